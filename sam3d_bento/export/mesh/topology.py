"""How the faces of a mesh hang together: half-edges, which of them belong together, and whether a surface is closed.

Half-edge 3 f + k leads from corner k of face f to its next corner. An edge is the half-edges between the same two
vertices, whichever way they lead. Where a surface is closed and manifold, each edge has two, one in each direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Indices, Int32
from sam3d_bento.export.grouping import first_equal, leads, stable_order
from sam3d_bento.export.mesh.components import pieces


@dataclass(frozen=True)
class Edges:
    """The edges of a mesh of F faces, at least one.

    by_edge (3F,): the half-edges, those of one edge one after the other. first (E,): where each edge begins in it;
    size (E,): how many half-edges it has. rising (3F,) bool: whether a half-edge leads to the vertex of higher index.
    """

    by_edge: Indices
    first: Indices
    size: Indices
    rising: Bool

    def plain(self) -> Bool:
        """Return (E,) whether the edge has two half-edges, one in each direction."""
        two: Bool = self.size == 2
        at = self.first.compress(two)
        opposite = self.rising.take(self.by_edge.take(at)) != self.rising.take(self.by_edge.take(at + 1))
        two[two] = opposite
        return two

    def members(self, chosen: Bool) -> Indices:
        """Return the half-edges of the edges that `chosen` (E,) is true for, edge by edge."""
        return self.by_edge.compress(np.repeat(chosen, self.size))


def edges(faces: Int32) -> Edges:
    """Return the edges of faces (F, 3), each with three different corners."""
    starts = faces.ravel().astype(np.int64)
    ends = starts.take(following(np.arange(len(starts))))
    keys = np.minimum(starts, ends) * (int(faces.max(initial=0)) + 1) + np.maximum(starts, ends)
    by_edge = stable_order(keys)
    first = np.flatnonzero(leads(keys.take(by_edge)))
    size = np.diff(np.append(first, len(keys)))
    return Edges(by_edge, first, size, starts < ends)


def following(half_edges: Indices) -> Indices:
    """Return the half-edges that come next in the same faces."""
    after: Indices = half_edges + np.where(half_edges % 3 == 2, -2, 1)
    return after


def at_border(count: int, faces: Int32) -> Bool:
    """Return (V,) whether the surface of faces (F, 3) is open at a vertex of `count`: not every half-edge that leaves
    it comes back.

    Each vertex has a random number. Those of the vertices that half-edges lead to, less those that half-edges come
    from, add up to nothing where all come in pairs. It is a sum where finding the pairs would be a sort of all edges.
    That it comes to nothing by chance, and an opening is missed, happens once in billions.
    """
    number = np.random.default_rng(0).integers(1 << 40, size=count).astype(np.float64)  # their sums are exact
    balance = np.zeros(count)
    at = [number.take(faces[:, corner]) for corner in range(3)]
    for corner in range(3):
        balance += np.bincount(faces[:, corner], at[(corner + 1) % 3] - at[(corner + 2) % 3], minlength=count)
    unpaired: Bool = balance != 0
    return unpaired


def in_closed_pieces(count: int, faces: Int32) -> Bool:
    """Return (F,) whether a face belongs to a piece of the surface that is nowhere open; `count` vertices."""
    border = at_border(count, faces)
    if not border.any():
        return np.ones(len(faces), dtype=bool)
    total, piece = pieces(count, faces)
    closed = np.ones(total, dtype=bool)
    closed[piece.compress(border)] = False
    return closed.take(piece.take(faces[:, 0]))


def is_watertight(positions: Float32, faces: Int32) -> bool:
    """Return whether the surface is closed once vertices at exactly the same place are one.

    positions (N, 3) float32, faces (F, 3) int32. True if every edge has two faces, which pass it in opposite
    directions. Faces with two corners at one place do not count: they are no part of the surface. It is the test of
    trimesh's `is_watertight` and `is_winding_consistent` together.
    """
    welded = weld(positions).take(faces)
    a, b, c = welded.T
    welded = welded.compress((a != b) & (b != c) & (c != a), axis=0)
    return len(welded) > 0 and bool(edges(welded).plain().all())


def weld(positions: Float32) -> Int32:
    """Return (N,) for each vertex the first one at exactly its place."""
    places = (positions + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0: equal places have equal bits
    return first_equal(places).astype(np.int32)
