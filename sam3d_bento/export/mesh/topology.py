"""Find the edges of a mesh, and decide whether a surface is closed, or a sheet of two sides.

Half-edge 3 f + k leads from corner k of face f to its next corner. An edge is all half-edges between the same two
vertices, in both directions. On a closed manifold surface, each edge has two half-edges, one in each direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Indices, Int32
from sam3d_bento.export.grouping import first_equal, leads, stable_order
from sam3d_bento.export.mesh.components import pieces

SHEET_SAMPLE_FACES = 64  # looked at first, in a millisecond: most meshes that are no sheet are told by them


@dataclass(frozen=True)
class Edges:
    """Edges of a mesh of F faces, at least one face.

    by_edge (3F,): the half-edges, grouped by edge. first (E,): the place in `by_edge` where each edge begins; size
    (E,): the number of its half-edges. rising (3F,) bool: whether a half-edge leads to the vertex of higher index.
    """

    by_edge: Indices
    first: Indices
    size: Indices
    rising: Bool

    def plain(self) -> Bool:
        """Return (E,) bool: whether the edge has two half-edges, one in each direction."""
        two: Bool = self.size == 2
        at = self.first.compress(two)
        opposite = self.rising.take(self.by_edge.take(at)) != self.rising.take(self.by_edge.take(at + 1))
        two[two] = opposite
        return two

    def members(self, chosen: Bool) -> Indices:
        """Return the half-edges of the edges for which `chosen` (E,) is true, grouped by edge."""
        return self.by_edge.compress(np.repeat(chosen, self.size))


def edges(faces: Int32) -> Edges:
    """Find the edges of faces (F, 3), each with three different corners."""
    starts = faces.ravel().astype(np.int64)
    ends = starts.take(following(np.arange(len(starts))))
    keys = np.minimum(starts, ends) * (int(faces.max(initial=0)) + 1) + np.maximum(starts, ends)
    by_edge = stable_order(keys)
    first = np.flatnonzero(leads(keys.take(by_edge)))
    size = np.diff(np.append(first, len(keys)))
    return Edges(by_edge, first, size, starts < ends)


def following(half_edges: Indices) -> Indices:
    """Return the next half-edge in the same face for each half-edge."""
    after: Indices = half_edges + np.where(half_edges % 3 == 2, -2, 1)
    return after


def at_border(count: int, faces: Int32) -> Bool:
    """Return (V,) bool: whether the surface of faces (F, 3) is open at each of `count` vertices.

    It is open where some half-edge leaves a vertex and none comes back. Each vertex has a random number. For each
    vertex, the numbers of the vertices that its half-edges lead to are added, and those of the vertices that half-edges
    come from are subtracted. The result is 0 where all half-edges come in pairs. This is a sum, whereas finding the
    pairs would require sorting all edges. A sum that is 0 by chance hides an opening; this happens once in billions.
    """
    number = np.random.default_rng(0).integers(1 << 40, size=count).astype(np.float64)  # so that the sums are exact
    balance = np.zeros(count)
    at = [number.take(faces[:, corner]) for corner in range(3)]
    for corner in range(3):
        balance += np.bincount(faces[:, corner], at[(corner + 1) % 3] - at[(corner + 2) % 3], minlength=count)
    unpaired: Bool = balance != 0
    return unpaired


def in_closed_pieces(count: int, faces: Int32) -> Bool:
    """Return (F,) bool: whether a face belongs to a piece of the surface that is open nowhere. count: of vertices."""
    border = at_border(count, faces)
    if not border.any():
        return np.ones(len(faces), dtype=bool)
    total, piece = pieces(count, faces)
    closed = np.ones(total, dtype=bool)
    closed[piece.compress(border)] = False
    return closed.take(piece.take(faces[:, 0]))


def is_watertight(positions: Float32, faces: Int32) -> bool:
    """Return whether the surface is closed after vertices at exactly the same position are merged.

    positions (N, 3) float32, faces (F, 3) int32. True if every edge has two faces, which pass it in opposite
    directions. Faces with two corners at one position are ignored, because they are not part of the surface. The test
    is that of trimesh's `is_watertight` and `is_winding_consistent` together.
    """
    welded = weld(positions).take(faces)
    a, b, c = welded.T
    welded = welded.compress((a != b) & (b != c) & (c != a), axis=0)
    return len(welded) > 0 and bool(edges(welded).plain().all())


def weld(positions: Float32) -> Int32:
    """Return for each vertex (N,) the first vertex at exactly its position."""
    places = (positions + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0: equal places have equal bits
    return first_equal(places).astype(np.int32)


def front_sides(faces: Int32) -> Int32 | None:
    """Return one face of each pair back to back if all faces (F, 3) are in such pairs, else None.

    To a simplifier such a sheet is a closed surface: it does not see the border, and moves it.
    """
    mask = np.zeros(int(faces.max()) + 1, dtype=bool)
    some = faces[:: max(1, len(faces) // SHEET_SAMPLE_FACES)]
    mask[some] = True
    a, b, c = (mask.take(faces[:, corner]) for corner in range(3))
    if np.count_nonzero(a & b & c) < 1.5 * len(some):
        return None
    first = first_equal(np.sort(faces, axis=1))
    pairs = np.bincount(first, minlength=len(faces))
    front = pairs == 2
    return faces.compress(front, axis=0) if 2 * np.count_nonzero(front) == len(faces) else None
