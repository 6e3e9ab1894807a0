"""Find which faces of a mesh meet along which edges: its dual graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import leads, stable_order
from sam3d_bento.export.mesh.components import components
from sam3d_bento.export.mesh.surface import area_vectors, unit


@dataclass(frozen=True)
class Adjacency:
    """Inner edges of a mesh: those along which two faces run in opposite directions.

    All other edges count as borders. Two faces that run along an edge in the same direction would lie on top of each
    other when laid out flat. Where three faces meet at an edge, nothing shows which two belong together. Where two
    sheets meet at one edge, as in a wall without thickness, each sheet has its own inner edge.

    first, second (E,) int: the two faces of each inner edge.
    lengths (E,) float64: of the inner edges, in scene units.
    neighbours (F, 3) int: the face behind the edge from each corner to the next, or the face itself at a border.
    edge_lengths (F, 3) float64: the lengths of those edges, in scene units.
    """

    first: Indices
    second: Indices
    lengths: Floats
    neighbours: Indices
    edge_lengths: Floats

    def restrict(self, faces: Indices) -> Adjacency:
        """Return the adjacency of some faces (N,) int alone, renumbered from 0 in their order.

        Edges to all other faces become borders.
        """
        number = np.full(len(self.neighbours), -1, dtype=np.intp)
        number[faces] = np.arange(len(faces))
        first, second = number.take(self.first), number.take(self.second)
        inner = (first >= 0) & (second >= 0)
        neighbours = number.take(self.neighbours.take(faces, axis=0))
        return Adjacency(
            first=first.compress(inner),
            second=second.compress(inner),
            lengths=self.lengths.compress(inner),
            neighbours=np.where(neighbours < 0, np.arange(len(faces))[:, None], neighbours),
            edge_lengths=self.edge_lengths.take(faces, axis=0),
        )

    def split_into_pieces(self, labels: Indices) -> Indices:
        """Return the connected components (F,) int of faces with equal labels (F,), numbered from 0."""
        same = labels.take(self.first) == labels.take(self.second)
        _, pieces = components(len(labels), self.first.compress(same), self.second.compress(same))
        return pieces

    def find_borders(self, labels: Indices) -> Bool:
        """Return (F, 3) bool: which edges have no face of the same label (F,) behind them."""
        own = np.arange(len(labels))[:, None]
        borders: Bool = (self.neighbours == own) | (labels.take(self.neighbours) != labels[:, None])
        return borders


def build_adjacency(vertices: Float32, faces: Int32) -> Adjacency:
    """Build the dual graph of a mesh.

    vertices (V, 3) float32 and faces (F, 3) int32.
    """
    start = faces.ravel().astype(np.int64)
    end = faces.take([1, 2, 0], axis=1).ravel().astype(np.int64)
    edge = np.minimum(start, end) * len(vertices) + np.maximum(start, end)
    ordered = stable_order(edge)
    lead = np.flatnonzero(leads(edge.take(ordered)))
    uses = np.diff(lead, append=len(ordered))
    pair, four = lead[uses == 2], ordered[lead[uses == 4][:, None] + np.arange(4)]
    one, other = np.concatenate(
        [np.stack([ordered[pair], ordered[pair + 1]]), _pair_sheets(vertices, faces, start, four)], axis=1
    )
    opposite = start[one] != start[other]
    one, other = one[opposite], other[opposite]

    places = vertices.astype(np.float64).take(faces, axis=0)
    along = places.take([1, 2, 0], axis=1) - places
    edge_lengths = np.sqrt(np.einsum("fki,fki->fk", along, along)).ravel()
    neighbours = np.repeat(np.arange(len(faces)), 3)
    neighbours[one], neighbours[other] = other // 3, one // 3
    return Adjacency(
        first=one // 3,
        second=other // 3,
        lengths=edge_lengths[one],
        neighbours=neighbours.reshape(-1, 3),
        edge_lengths=edge_lengths.reshape(-1, 3),
    )


def _pair_sheets(vertices: Float32, faces: Int32, start: Indices, uses: Indices) -> Indices:
    """Pair the four uses of an edge into two sheets, whose faces look most nearly the same way; return (2, 2 * N) int.

    uses (N, 4) int: the uses of each edge, as face * 3 + corner.
    start (F * 3,) int: the vertex at which each use begins.

    Three uses in one direction give a pair that runs in that direction, which is no inner edge.
    """
    # The two uses that run in one direction come before the two that run in the other.
    order = np.argsort(start[uses], axis=1, kind="stable")
    uses = np.take_along_axis(uses, order, axis=1)
    normals = unit(area_vectors(vertices, faces[uses.ravel() // 3])).reshape(-1, 4, 3)
    straight = np.einsum("nk,nk->n", normals[:, 0], normals[:, 2]) + np.einsum("nk,nk->n", normals[:, 1], normals[:, 3])
    crossed = np.einsum("nk,nk->n", normals[:, 0], normals[:, 3]) + np.einsum("nk,nk->n", normals[:, 1], normals[:, 2])
    partners = np.where((straight >= crossed)[:, None], uses[:, [2, 3]], uses[:, [3, 2]])
    return np.stack([uses[:, :2].ravel(), partners.ravel()])
