"""Flip edges of faces that look another way than the surface around them.

Collapsing edges leaves such slivers. They hardly show, but each needs a chart of its own.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import added_up, first_equal
from sam3d_bento.export.mesh.surface import area_vectors, lengths, median_edge
from sam3d_bento.export.mesh.topology import edges, following

# Least cosine between a face's normal and the mean of its corners' normals. Faces below it are flipped, if that helps.
# Real creases of a right angle have 0.7 and more there.
STRAY = 0.5
# By how much the worse of the two cosines must grow: an edge that flips back and forth gains nothing.
LEAST_GAIN = 0.1
# Longest way that the surface may move where an edge flips, in median edge lengths. Slivers are thin, so theirs is
# short. Across a real crease it is not.
MAX_MOVE = 0.15
MAX_ROUNDS = 6  # rounds in which edges flip at the same time; later ones find next to nothing


def flip_strays(vertices: Float32, faces: Int32) -> Int32:
    """Return the faces (F, 3) after flipping edges of stray faces, where both faces at the edge then fit better.

    vertices (V, 3) float32, faces (F, 3) int32. Edges keep their number of faces, and borders their places.
    """
    faces = faces.copy()
    vectors = area_vectors(vertices, faces)
    normals = added_up(faces, vectors, len(vertices))
    most = MAX_MOVE * median_edge(vertices, faces)
    for _ in range(MAX_ROUNDS):
        strays = np.flatnonzero(_cosines(vectors, normals, faces) < STRAY)
        flipped = _flip_round(vertices, faces, normals, strays, most) if len(strays) else strays
        if not len(flipped):
            break
        vectors[flipped] = area_vectors(vertices, faces.take(flipped, axis=0))
    return faces


def _cosines(vectors: Floats, normals: Floats, corners: Int32) -> Floats:
    """Return the cosines (N,) between vectors (N, 3) and the sum of the normals (V, 3) at the corners (N, K)."""
    around = normals.take(corners, axis=0).sum(axis=1)
    scale = lengths(vectors) * lengths(around)
    cosines: Floats = np.einsum("ij,ij->i", vectors, around) / np.maximum(scale, np.finfo(np.float64).tiny)
    return cosines


def _flip_round(vertices: Float32, faces: Int32, normals: Floats, strays: Indices, most: float) -> Indices:
    """Flip edges of the faces `strays` in place, at most one of each face; return the faces that changed.

    most: the longest way that the surface may move, in scene units.
    """
    mask = np.zeros(len(vertices), dtype=bool)
    mask[faces[strays]] = True
    near = np.flatnonzero(mask.take(faces).any(axis=1))
    some = faces.take(near, axis=0)
    found = edges(some)
    pairs = found.members(found.plain()).reshape(-1, 2)
    stray = np.isin(near, strays)
    one = np.concatenate([side.compress(stray.take(side // 3)) for side in pairs.T])
    other = np.concatenate([pairs[:, 1 - side].compress(stray.take(pairs[:, side] // 3)) for side in range(2)])

    corners = some.ravel().astype(np.int64)
    a, b = corners.take(one), corners.take(following(one))
    c, d = (corners.take(following(following(half))) for half in (one, other))
    key = np.minimum(c, d) * len(vertices) + np.maximum(c, d)
    ends = corners.take(following(np.arange(len(corners))))
    there = np.minimum(corners, ends) * len(vertices) + np.maximum(corners, ends)
    free = (c != d) & ~np.isin(key, there)
    one, other, a, b, c, d, key = (column.compress(free) for column in (one, other, a, b, c, d, key))

    quads = np.stack([a, b, c, d], axis=1).astype(np.int32)

    def worse(*two: list[int]) -> Floats:
        """Return the lesser cosine (N,) of two faces, given by the places of their corners in a quad."""
        cosines = [_cosines(area_vectors(vertices, quads[:, face]), normals, quads) for face in two]
        least: Floats = np.minimum(*cosines)
        return least

    gain = worse([2, 0, 3], [2, 3, 1]) - worse([0, 1, 2], [1, 0, 3])
    gain[_moves(vertices, quads) > most] = 0
    taken = _independent(gain, one // 3, other // 3, key, len(some))
    first, second = near.take(one[taken] // 3), near.take(other[taken] // 3)
    faces[first], faces[second] = quads[taken][:, [2, 0, 3]], quads[taken][:, [2, 3, 1]]
    return np.concatenate([first, second])


def _moves(vertices: Float32, quads: Int32) -> Floats:
    """Return how far the surface moves (N,) where edge a b of a quad (N, 4) becomes c d: the distance of both lines."""
    a, b, c, d = (vertices.take(corner, axis=0).astype(np.float64) for corner in quads.T)
    across = np.cross(b - a, d - c)
    ways: Floats = np.abs(np.einsum("ij,ij->i", c - a, across)) / np.maximum(lengths(across), 1e-30)
    return ways


def _independent(gain: Floats, one: Indices, other: Indices, key: Indices, count: int) -> Indices:
    """Choose flips (N,) that gain enough, the best first, of which no two change one face or make one edge."""
    order = np.argsort(-gain, kind="stable")
    order = order.compress(gain.take(order) > LEAST_GAIN)
    order = order[first_equal(key.take(order)[:, None].view(np.int32)) == np.arange(len(order))]
    rank = np.arange(len(order))
    best = np.full(count, len(order))
    for side in (one, other):
        np.minimum.at(best, side.take(order), rank)
    alone: Indices = order[(best.take(one.take(order)) == rank) & (best.take(other.take(order)) == rank)]
    return alone
