"""Reduce the number of faces of a mesh, and keep its shape."""

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

ACCURATE, EAGER = 3.0, 7.0  # values of `agg` of fast_simplification; the second is its default

# Edges shorter than a share of the median length, and shorter than a length in scene units, are contracted to a point.
# Marching cubes makes such edges and simplification keeps some. A face on such an edge is a needle, which is hard to
# unwrap and worth nothing.
NEEDLE_SHARE, NEEDLE_LENGTH = 0.03, 1e-3

# Stage one leaves STAGE times the target number of faces, which is enough for stage two to choose from. A grid whose
# cells are as wide as an edge is long reduces the faces by a factor of FEWER, and a wider one with the square of its
# width. With cells wider than COARSEST edges, a thin wire would lose its shape.
STAGE = 4
FEWER = 1.3
COARSEST = 2.2

# Grids for meshes where quadrics fail. The first has cells of the extent divided by FINEST_GRID. Each further grid has
# cells wider by a factor of WIDER, so that it leaves about a third fewer faces.
FINEST_GRID, WIDER = 1000, 1.2


def simplify(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """Reduce a mesh to at most `target_faces` faces; a mesh that has no more is returned as it is.

    vertices (V, 3) float32 and faces (F, 3) int32 in and out. The result has no unused vertex, but it may have
    degenerate faces, folds, and edges of more than two faces, which `repair` removes.
    """
    if len(faces) <= target_faces:
        return vertices, faces
    reduced = _coarse(vertices, faces, target_faces)
    lost = signed_volume(vertices, faces) - signed_volume(reduced.vertices, reduced.faces)
    return _finished(reduced.vertices, reduced.faces, target_faces, lost)


def simplify_visible(dense: Surface, target_faces: int, on_progress: OnProgress = silent) -> Mesh:
    """Simplify as `simplify` does, but spend no face on what cannot be seen from outside (see `visible`)."""
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
    """Run stage two, and restore the volume that closed pieces have and that stage one has lost.

    lost: the volume lost in stage one. Open pieces have no volume to lose: if there are some, `lost` is ignored.
    """
    closed = in_closed_pieces(len(vertices), faces)
    volume = signed_volume(vertices, faces.compress(closed, axis=0)) + (lost if closed.all() else 0)
    vertices, faces = _fine(vertices, faces, target_faces)
    return restore_volume(vertices, faces, volume), faces


@dataclass(frozen=True)
class _Coarse:
    """Mesh after stage one. origins (F,) int: the face of the dense mesh that each face comes from."""

    vertices: Float32
    faces: Int32
    origins: Indices


def _coarse(vertices: Float32, faces: Int32, target_faces: int) -> _Coarse:
    """Run stage one: reduce to about STAGE times the target, in a fraction of the time that stage two would take."""
    surplus = len(faces) / (STAGE * target_faces)
    if surplus <= 1:
        return _Coarse(vertices, faces, np.arange(len(faces)))
    start, end = vertices.take(faces[:, 0], axis=0), vertices.take(faces[:, 1], axis=0)
    edge = float(np.median(lengths(end - start)))
    return _Coarse(*coarsen(vertices, faces, edge * min(np.sqrt(surplus / FEWER), COARSEST)))


def _fine(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """Run stage two: reduce to the target by least quadric error, then contract needles and drop unused vertices."""
    # fast_simplification 0.2.0 may stop above its target, or lose a tangled mesh completely. Then the next method is
    # used.
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
    """Reduce by fast_simplification, which collapses edges to the point of least quadric error."""
    points, faces = fast_simplification.simplify(vertices, faces, target_count=target_faces, agg=aggressiveness)
    return points.astype(np.float32), faces.astype(np.int32)


def _clustered(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """Reduce a closed mesh by clustering on ever wider grids, to at most `target_faces` faces; it stays closed.

    fast_simplification 0.2.0 refuses to make slender triangles, and makes no progress where there are many. A mesh that
    is open, or would vanish, is returned as it is.
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
    """Keep only the faces with the largest areas: for a tangled mesh that no library can reduce."""
    order = np.argsort(-face_areas(vertices, faces), kind="stable")
    return vertices, faces[np.sort(order[:target_faces])]


def _without_needles(vertices: Float32, faces: Int32) -> Int32:
    """Contract every edge that is far shorter than the others; return the faces. A closed mesh stays closed."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    length = np.linalg.norm(vertices[end] - vertices[start], axis=1)
    short = length < min(NEEDLE_SHARE * np.median(length), NEEDLE_LENGTH)
    kept = contract(len(vertices), faces, start[short], end[short])
    return kept if len(kept) else faces
