"""Fewer faces for the same shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import fast_simplification
import numpy as np

from sam3d_bento.arrays import Float32, Indices, Int32
from sam3d_bento.export.mesh.coarsen import coarsen
from sam3d_bento.export.mesh.degenerate import contract
from sam3d_bento.export.mesh.hidden import visible
from sam3d_bento.export.mesh.surface import Surface, bounds, face_areas, lengths, referenced
from sam3d_bento.export.mesh.topology import in_closed_pieces
from sam3d_bento.export.mesh.volume import restore_volume, signed_volume
from sam3d_bento.progress import OnProgress, silent

Mesh = tuple[Float32, Int32]

ACCURATE, EAGER = 3.0, 7.0  # `agg` of fast_simplification; the second is its default

# Edges this short, as a share of the median and in scene units, shrink to a point. Marching cubes leaves them and
# simplification keeps some; a face on such an edge is a needle, which is hard to unwrap and worth nothing.
NEEDLE_SHARE, NEEDLE_LENGTH = 0.03, 1e-3

# Stage one leaves STAGE times the faces that are wanted: enough for stage two to choose from. A grid as wide as an edge
# is long leaves 1 / FEWER of the faces, a wider one fewer with the square of its width. Above COARSEST edges a thin
# wire would lose its shape.
STAGE = 4
FEWER = 1.3
COARSEST = 2.2

# Where quadrics fail: grids with cells of a FINEST_GRID-th of the extent and wider, each WIDER than the one before, so
# that each has about a third fewer faces.
FINEST_GRID, WIDER = 1000, 1.2


def simplify(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """At most `target_faces` faces; a mesh that small already is returned as it is.

    vertices (V, 3) float32 and faces (F, 3) int32 in and out. The result has no unused vertex, but may have degenerate
    faces, folds, and edges of more than two faces: `repair` is for those.
    """
    if len(faces) <= target_faces:
        return vertices, faces
    reduced = _coarse(vertices, faces, target_faces)
    lost = signed_volume(vertices, faces) - signed_volume(reduced.vertices, reduced.faces)
    return _finished(reduced.vertices, reduced.faces, target_faces, lost)


def simplify_visible(dense: Surface, target_faces: int, on_progress: OnProgress = silent) -> Mesh:
    """Return what `simplify` does, without spending a face on what cannot be seen from outside (see `visible`)."""
    if len(dense.faces) <= target_faces:
        return dense.vertices, dense.faces
    reduced = _coarse(dense.vertices, dense.faces, target_faces)
    on_progress(0.3)
    seen = visible(dense, dense.faces[reduced.origins], reduced.faces)
    on_progress(0.6)
    lost = signed_volume(dense.vertices, dense.faces) - signed_volume(reduced.vertices, reduced.faces)
    used, faces = referenced(len(reduced.vertices), reduced.faces[seen])
    return _finished(reduced.vertices[used], faces, target_faces, lost)


def _finished(vertices: Float32, faces: Int32, target_faces: int, lost: float) -> Mesh:
    """Return what stage two makes of the mesh, with the volume that its closed pieces have and stage one has lost.

    What open pieces have lost is no volume: where there are some, `lost` does not count.
    """
    closed = in_closed_pieces(len(vertices), faces)
    volume = signed_volume(vertices, faces.compress(closed, axis=0)) + (lost if closed.all() else 0)
    vertices, faces = _fine(vertices, faces, target_faces)
    return restore_volume(vertices, faces, volume), faces


@dataclass(frozen=True)
class _Coarse:
    """origins (F,) int: the face of the dense mesh that each one comes from."""

    vertices: Float32
    faces: Int32
    origins: Indices


def _coarse(vertices: Float32, faces: Int32, target_faces: int) -> _Coarse:
    """Stage one: about STAGE times the wanted faces, in a fraction of the time that fewer would take."""
    surplus = len(faces) / (STAGE * target_faces)
    if surplus <= 1:
        return _Coarse(vertices, faces, np.arange(len(faces)))
    start, end = vertices.take(faces[:, 0], axis=0), vertices.take(faces[:, 1], axis=0)
    edge = float(np.median(lengths(end - start)))
    return _Coarse(*coarsen(vertices, faces, edge * min(np.sqrt(surplus / FEWER), COARSEST)))


def _fine(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """Stage two: by least quadric error to the target, and without what that leaves behind."""
    # fast_simplification 0.2.0 may stop above its goal, or lose a tangle altogether: then the next way takes over.
    accurate, eager = (partial(_quadric, aggressiveness=aggressiveness) for aggressiveness in (ACCURATE, EAGER))
    ways: tuple[Callable[[Float32, Int32, int], Mesh], ...] = (accurate, eager, _clustered, _largest)
    for way in ways:
        if len(faces) > target_faces:
            reduced = way(vertices, faces, target_faces)
            vertices, faces = reduced if len(reduced[1]) else (vertices, faces)
    faces = _without_needles(vertices, faces)
    used, faces = referenced(len(vertices), faces)
    return vertices[used], faces


def _quadric(vertices: Float32, faces: Int32, target_faces: int, *, aggressiveness: float) -> Mesh:
    """fast_simplification: collapses edges to the point of least quadric error."""
    points, faces = fast_simplification.simplify(vertices, faces, target_count=target_faces, agg=aggressiveness)
    return points.astype(np.float32), faces.astype(np.int32)


def _clustered(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """Return a closed mesh after clustering on ever wider grids, until it has at most `target_faces`; it stays closed.

    fast_simplification 0.2.0 refuses to make slender triangles, and stalls where there are many. A mesh that is open,
    or vanishes, is returned as it is.
    """
    if not in_closed_pieces(len(vertices), faces).all():
        return vertices, faces
    low, high = bounds(vertices)
    cell = float((high - low).max()) / FINEST_GRID
    reduced, fewer = vertices, faces
    while len(fewer) > target_faces:
        reduced, fewer, _ = coarsen(vertices, faces, cell)
        cell *= WIDER
    return (reduced, fewer) if len(fewer) else (vertices, faces)


def _largest(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """For a tangle that no library can reduce: the faces that cover most."""
    order = np.argsort(-face_areas(vertices, faces), kind="stable")
    return vertices, faces[np.sort(order[:target_faces])]


def _without_needles(vertices: Float32, faces: Int32) -> Int32:
    """The faces after every edge that is far shorter than the others has become a point; closed stays closed."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    length = np.linalg.norm(vertices[end] - vertices[start], axis=1)
    short = length < min(NEEDLE_SHARE * np.median(length), NEEDLE_LENGTH)
    kept = contract(len(vertices), faces, start[short], end[short])
    return kept if len(kept) else faces
