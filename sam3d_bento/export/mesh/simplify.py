"""Reduce the number of faces of a mesh, and keep its shape."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import fast_simplification
import numpy as np

from sam3d_bento.arrays import Bool, Float32, Int32
from sam3d_bento.export.grouping import added_up
from sam3d_bento.export.mesh.coarsen import coarsen
from sam3d_bento.export.mesh.degenerate import contract
from sam3d_bento.export.mesh.flips import flip_strays
from sam3d_bento.export.mesh.hidden import visible
from sam3d_bento.export.mesh.meshoptimizer import SimplifierFailed, collapse_edges
from sam3d_bento.export.mesh.repair import repair
from sam3d_bento.export.mesh.surface import Surface, extent, face_areas, median_edge, referenced
from sam3d_bento.export.mesh.topology import at_border, front_sides, in_closed_pieces
from sam3d_bento.export.mesh.volume import restore_volume, signed_volume
from sam3d_bento.progress import OnProgress, silent

Mesh = tuple[Float32, Int32]

# Values of `agg` of fast_simplification; the second is its default.
ACCURATE, EAGER = 3.0, 7.0

# Edges shorter than a share of the median length, and shorter than a length in scene units, are contracted to a point.
# Marching cubes makes such edges and simplification keeps some. A face on such an edge is a needle, which is hard to
# unwrap and worth nothing.
NEEDLE_SHARE, NEEDLE_LENGTH = 0.03, 1e-3

# Stage one leaves STAGE times the target number of faces, among which hidden ones are sought. Quadrics that start anew
# in stage two make the result 0.1 to 1 dB better than a single stage does.
STAGE = 3

# Multiple of the target. A mesh of more faces is first coarsened to about so many, to save time. There is enough left
# for quadrics to choose from, so that the loss does not show.
LARGEST_INPUT = 8

# A grid whose cells are as wide as an edge is long reduces the faces by a factor of FEWER, and a wider one with the
# square of its width. With cells wider than COARSEST edges, a thin wire would lose its shape.
FEWER = 1.3
COARSEST = 2.2

# Share of the extent. A vertex this far off its place counts as much as a channel of its colour that changes from 0 to
# 255. So vertices stay at the borders between colours, at no cost for the shape.
COLOUR_WEIGHT = 0.02

# Share of the target number of faces. Where the vertices at borders are no more than this, they all keep their place:
# each costs about one face. Of more, those are left that keep the border's shape best.
MAX_RIM_SHARE = 0.25

# Grids for meshes where quadrics fail. The first has cells of the extent divided by FINEST_GRID. Each further grid has
# cells wider by a factor of WIDER, so that it leaves about a third fewer faces.
FINEST_GRID, WIDER = 1000, 1.2

log = logging.getLogger("sam3d_bento.export")


@dataclass(frozen=True)
class _Painted:
    """Mesh between two stages.

    colours (V, 3) float32: sRGB, 0..1. rim (V,) bool: the vertices at a border of the dense surface.
    """

    vertices: Float32
    faces: Int32
    colours: Float32
    rim: Bool


def simplify(dense: Surface, target_faces: int) -> Mesh:
    """Reduce a surface to at most `target_faces` faces; one that has no more is returned as it is.

    Returns vertices (V, 3) float32 and faces (F, 3) int32. The result has no unused vertex, but it may have degenerate
    faces, folds, and edges of more than two faces, which `repair` removes. Borders keep their place.
    """
    if len(dense.faces) <= target_faces:
        return dense.vertices, dense.faces
    front = front_sides(dense.faces)
    if front is not None:
        return _simplified_sheet(dense, front, target_faces)
    reduced = _coarse(dense, target_faces)
    return _finished(reduced, target_faces, _lost_volume(dense, reduced))


def simplify_visible(dense: Surface, target_faces: int, on_progress: OnProgress = silent) -> Mesh:
    """Simplify as `simplify` does, but spend no face on what cannot be seen from outside (see `visible`)."""
    return VisibleSurface(dense, target_faces, on_progress).simplify(target_faces)


class VisibleSurface:
    """What can be seen from outside of a dense surface, ready to be simplified to several numbers of faces.

    What takes longest, stage one and the search for hidden faces, is done once, for the largest number.
    """

    def __init__(self, dense: Surface, largest_target: int, on_progress: OnProgress = silent) -> None:
        self._dense = dense
        self._largest_target = largest_target
        self._front = front_sides(dense.faces) if len(dense.faces) > largest_target else None
        if len(dense.faces) <= largest_target or self._front is not None:
            return
        reduced = _coarse(dense, largest_target)
        on_progress(0.4)
        seen = visible(reduced.vertices, reduced.faces)
        on_progress(0.7)
        self._lost = _lost_volume(dense, reduced)
        self._reduced = replace(reduced, faces=reduced.faces.compress(seen, axis=0))

    def simplify(self, target_faces: int) -> Mesh:
        """Return the mesh of at most `target_faces` faces, which are no more than the largest number."""
        dense = self._dense
        if len(dense.faces) <= target_faces:
            return dense.vertices, dense.faces
        if len(dense.faces) <= self._largest_target:
            return simplify_visible(dense, target_faces)
        if self._front is not None:
            return _simplified_sheet(dense, self._front, target_faces)
        if target_faces == self._largest_target:
            return _finished(self._reduced, target_faces, self._lost)
        further = _collapsed(self._reduced, STAGE * target_faces)
        lost = signed_volume(self._reduced.vertices, self._reduced.faces)
        lost -= signed_volume(further.vertices, further.faces)
        return _finished(further, target_faces, self._lost + lost)


def _simplified_sheet(dense: Surface, front: Int32, target_faces: int) -> Mesh:
    """Simplify a sheet by its front sides (F, 3), and give it its back sides again."""
    vertices, faces = simplify(Surface(dense.vertices, front, dense.colours), target_faces // 2)
    return vertices, np.concatenate([faces, faces[:, ::-1]])


def _lost_volume(dense: Surface, reduced: _Painted) -> float:
    """Return the volume in cubed scene units that stage one has lost. It means nothing if the surface is open."""
    return signed_volume(dense.vertices, dense.faces) - signed_volume(reduced.vertices, reduced.faces)


def _coarse(dense: Surface, target_faces: int) -> _Painted:
    """Run stage one: reduce to about STAGE times the target."""
    rim = at_border(len(dense.vertices), dense.faces)
    mesh = _Painted(dense.vertices, dense.faces, dense.colours * np.float32(1 / 255), rim)
    surplus = len(dense.faces) / (LARGEST_INPUT * target_faces)
    if surplus > 1:
        cell = median_edge(dense.vertices, dense.faces) * min(np.sqrt(surplus / FEWER), COARSEST)
        vertices, faces, cluster = coarsen(mesh.vertices, mesh.faces, cell)
        sums = added_up(cluster, mesh.colours, len(vertices))
        means = sums / np.bincount(cluster)[:, None]
        rim_left = np.zeros(len(vertices), bool)
        rim_left[cluster[rim]] = True
        mesh = _Painted(vertices, faces, means.astype(np.float32), rim_left)
    return _collapsed(mesh, STAGE * target_faces)


def _finished(reduced: _Painted, target_faces: int, lost: float) -> Mesh:
    """Run stage two, and restore the volume that closed pieces have and that stage one has lost.

    lost: the volume lost in stage one. Open pieces have no volume to lose: if there are some, `lost` is ignored.
    """
    closed = in_closed_pieces(len(reduced.vertices), reduced.faces)
    volume = signed_volume(reduced.vertices, reduced.faces.compress(closed, axis=0)) + (lost if closed.all() else 0)
    vertices, faces = _fine(reduced, target_faces)
    return restore_volume(vertices, faces, volume), faces


def _collapsed(mesh: _Painted, target_faces: int) -> _Painted:
    """Collapse edges until `target_faces` faces are left, or as many as can be; drop unused vertices."""
    if len(mesh.faces) <= target_faces:
        return mesh
    locked = mesh.rim & (np.count_nonzero(mesh.rim) <= MAX_RIM_SHARE * target_faces)
    try:
        vertices, faces, colours = collapse_edges(
            mesh.vertices, mesh.faces, mesh.colours, COLOUR_WEIGHT, target_faces, locked
        )
    except SimplifierFailed as exc:
        log.warning("meshoptimizer failed on %d faces: %s.", len(mesh.faces), exc)
        return mesh
    if not len(faces):
        return mesh
    used, faces = referenced(len(vertices), faces)
    return _Painted(vertices.take(used, axis=0), faces, colours.take(used, axis=0), mesh.rim.take(used))


def _fine(reduced: _Painted, target_faces: int) -> Mesh:
    """Run stage two: reduce to the target by least quadric error, then contract needles and drop unused vertices."""
    reduced = _collapsed(reduced, target_faces)
    vertices, faces = reduced.vertices, reduced.faces
    # meshoptimizer stops above its target where edges have more than two faces. fast_simplification 0.2.0 may stop
    # above it too, or lose a tangled mesh completely. Then the next method is used.
    accurate, eager = (partial(_quadric, aggressiveness=aggressiveness) for aggressiveness in (ACCURATE, EAGER))
    ways: tuple[Callable[[Float32, Int32, int], Mesh], ...] = (_cut_apart, accurate, eager, _clustered, _largest)
    for way in ways:
        if len(faces) > target_faces:
            fewer = way(vertices, faces, target_faces)
            vertices, faces = fewer if len(fewer[1]) else (vertices, faces)
    faces = flip_strays(vertices, _without_needles(vertices, faces))
    used, faces = referenced(len(vertices), faces)
    return vertices[used], faces


def _cut_apart(vertices: Float32, faces: Int32, target_faces: int) -> Mesh:
    """Cut closed pieces apart where surfaces meet, such as the two sides of a sheet, and collapse edges then."""
    vertices, faces = repair(vertices, faces)
    rim = at_border(len(vertices), faces)
    apart = _collapsed(_Painted(vertices, faces, np.zeros(vertices.shape, np.float32), rim), target_faces)
    return apart.vertices, apart.faces


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
    cell = extent(vertices) / FINEST_GRID
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
    """Contract every edge that is far shorter than the others; return the faces. A closed mesh stays closed.

    Edges between two vertices at borders are kept: a row of them would close an opening, or join two.
    """
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    length = np.linalg.norm(vertices[end] - vertices[start], axis=1)
    border = at_border(len(vertices), faces)
    short = length < min(NEEDLE_SHARE * np.median(length), NEEDLE_LENGTH)
    short &= ~(border[start] & border[end])
    kept = contract(len(vertices), faces, start[short], end[short])
    return kept if len(kept) else faces
