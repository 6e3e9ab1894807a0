"""Degenerate faces, taken out of a surface without opening it.

A face without area that is merely deleted leaves a slit: its three neighbours lose their partner. Here its shortest
edge becomes a point instead, which takes the face on the edge's other side along.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.mesh.components import components
from sam3d_bento.export.mesh.surface import chosen, face_areas, lengths

# A face is degenerate when its area, in squared scene units, is lost in the rounding of float32 coordinates.
DEGENERATE_AREA = 1e-14

# Rounds of contracting edges; what is degenerate after so many is deleted. Each round reaches about a third of a row of
# degenerate faces, so that this is enough for rows of some hundred.
MAX_ROUNDS = 12


def without_degenerate(vertices: Float32, faces: Int32) -> tuple[Int32, Floats]:
    """Return the faces after the shortest edge of each degenerate one became a point, and their areas (F,).

    vertices (V, 3) float32 are as they were, only some are not used any more; faces (F, 3) int32. A surface without
    degenerate faces is returned as it is, and a closed one stays closed.
    """
    areas = face_areas(vertices, faces)
    for _ in range(MAX_ROUNDS):
        sound = areas > DEGENERATE_AREA
        if sound.all():
            return faces, areas
        thin = np.flatnonzero(~sound & np.isfinite(areas))
        thin = thin.compress(_with_three_corners(faces.take(thin, axis=0)))
        if not len(thin):
            break
        starts, ends = _shortest_edges(vertices, faces.take(thin, axis=0))
        contracted, new_areas = _with_points(vertices, faces, areas, starts, ends)
        if not len(contracted):
            break
        faces, areas = contracted, new_areas
    sound = areas > DEGENERATE_AREA
    return chosen(faces, sound), chosen(areas, sound)


def _with_points(vertices: Float32, faces: Int32, areas: Floats, starts: Int32, ends: Int32) -> tuple[Int32, Floats]:
    """Return the faces and areas after edges without a common vertex became points: `contract` for a few of many."""
    target = np.arange(len(vertices), dtype=np.int32)
    target[np.maximum(starts, ends)] = np.minimum(starts, ends)
    moved = np.zeros(len(vertices), dtype=bool)
    moved[np.maximum(starts, ends)] = True
    a, b, c = (moved.take(faces[:, corner]) for corner in range(3))
    touched = np.flatnonzero(a | b | c)
    faces, areas = faces.copy(), areas.copy()
    faces[touched] = target.take(faces.take(touched, axis=0))
    areas[touched] = face_areas(vertices, faces.take(touched, axis=0))
    kept = np.ones(len(faces), dtype=bool)
    kept[touched] = _with_three_corners(faces.take(touched, axis=0))
    return chosen(faces, kept), chosen(areas, kept)


def _with_three_corners(faces: Int32) -> Bool:
    """Return (F,) whether the three corners differ."""
    a, b, c = faces.T
    differ: Bool = (a != b) & (b != c) & (c != a)
    return differ


def contract(count: int, faces: Int32, starts: Int32 | Indices, ends: Int32 | Indices) -> Int32:
    """Return the faces (F, 3) of `count` vertices after each edge from starts (E,) to ends (E,) became a point.

    The point is the vertex of lowest index of those that become one. Faces that lose a corner are left out.
    """
    _, group = components(count, starts, ends)
    first = np.flatnonzero(np.diff(np.maximum.accumulate(group), prepend=-1))  # groups are numbered in this order
    contracted = first.astype(np.int32).take(group).take(faces)
    return contracted.compress(_with_three_corners(contracted), axis=0)


def _shortest_edges(vertices: Float32, faces: Int32) -> tuple[Int32, Int32]:
    """Return starts (E,) and ends (E,) of edges that have no vertex in common: the shortest of each face (F, 3), but
    not those that meet a shorter one. So a row of degenerate faces along a line does not become one point."""
    corners = vertices.astype(np.float64)[faces]
    length = np.stack([lengths(corners[:, (k + 1) % 3] - corners[:, k]) for k in range(3)], axis=1)
    shortest, face = length.argmin(axis=1), np.arange(len(faces))
    starts, ends = faces[face, shortest], faces[face, (shortest + 1) % 3]
    # Equal lengths are ranked at random: in a row of them, each would otherwise wait for the one before.
    order = np.lexsort((np.random.default_rng(0).permutation(len(faces)), length[face, shortest]))
    rank = np.empty(len(faces), dtype=np.intp)
    rank[order] = face
    lowest = np.full(len(vertices), len(faces))
    np.minimum.at(lowest, starts, rank)
    np.minimum.at(lowest, ends, rank)
    free: Bool = (lowest[starts] == rank) & (lowest[ends] == rank)
    return starts[free], ends[free]
