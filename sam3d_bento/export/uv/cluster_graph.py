"""Keep clusters of faces as a graph: which clusters touch, along how long a border, and how that changes by merging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import leads, stable_order


@dataclass
class ClusterGraph:
    """Graph of C clusters with E edges. An edge joins two clusters that touch; each pair has one edge.

    normals (3, C): for each cluster, the sum of its faces' unit normals times their areas.
    areas, perimeters (C,): of the clusters.
    first, second (E,) int: the clusters of each edge, first < second.
    lengths (E,): of the common border of the two clusters.
    rejected (E,) bool: whether a merger was tested and does not fit; valid until one of the two clusters changes.
    """

    normals: Floats
    areas: Floats
    perimeters: Floats
    first: Indices
    second: Indices
    lengths: Floats
    rejected: Bool

    @classmethod
    def from_faces(
        cls,
        labels: Indices,
        first: Indices,
        second: Indices,
        lengths: Floats,
        normals: Floats,
        areas: Floats,
        perimeters: Floats,
    ) -> ClusterGraph:
        """Build the graph of clusters of faces.

        labels (F,) int: the cluster of each face, numbered from 0.
        first, second (N,) int: pairs of faces that share an edge, of `lengths` (N,).
        normals (F, 3): unit normals of the faces.
        areas, perimeters (F,): of the faces.
        """
        count = int(labels.max()) + 1
        one, other = labels.take(first), labels.take(second)
        within = one == other
        outline = np.bincount(labels, perimeters, minlength=count).astype(np.float64)
        area = np.bincount(labels, areas, minlength=count).astype(np.float64)
        outline -= 2 * np.bincount(one[within], lengths[within], minlength=count)
        rejected = np.zeros(len(one), dtype=bool)
        graph = cls(sum_normals(labels, normals, areas), area, outline, one, other, lengths, rejected)
        graph._join_edges()
        return graph

    def contract(self, edge: Indices, child: Indices, parent: Indices) -> Indices:
        """Merge each child into its parent across the given edge, and renumber the clusters from 0.

        edge, child, parent (M,) int: no child occurs twice, and no parent is a child. Returns (C,) int, the new number
        of each old cluster. The edges of a changed parent are no longer rejected, because what did not fit may fit now.
        """
        count = len(self.areas)
        self.normals = self.normals + sum_children(self.normals, child, parent)
        self.areas += np.bincount(parent, self.areas[child], minlength=count)
        gained = self.perimeters[child] - 2 * self.lengths[edge]
        self.perimeters += np.bincount(parent, gained, minlength=count)

        target = np.arange(count)
        target[child] = parent
        changed = np.zeros(count, dtype=bool)
        changed[parent] = True
        self.rejected &= ~(changed[target].take(self.first) | changed[target].take(self.second))
        alive = np.ones(count, dtype=bool)
        alive[child] = False
        renumber: Indices = (np.cumsum(alive) - 1)[target]
        self.normals = self.normals.compress(alive, axis=1)
        self.areas, self.perimeters = self.areas.compress(alive), self.perimeters.compress(alive)
        self.first, self.second = renumber.take(self.first), renumber.take(self.second)
        self._join_edges()
        return renumber

    def _join_edges(self) -> None:
        """Drop edges within one cluster, and join edges between the same two clusters into one.

        A joined edge is rejected if all its parts were.
        """
        count = len(self.areas)
        between = self.first != self.second
        first, second = self.first.compress(between), self.second.compress(between)
        low, high = np.minimum(first, second), np.maximum(first, second)
        key = low * count + high
        ordered = stable_order(key)
        lead = np.flatnonzero(leads(key.take(ordered)))
        leading = ordered.take(lead)
        self.first, self.second = low.take(leading), high.take(leading)
        chosen = np.flatnonzero(between).take(ordered)
        self.lengths, self.rejected = self.lengths.take(chosen), self.rejected.take(chosen)
        if len(lead):  # `reduceat` takes no empty array
            self.lengths = np.add.reduceat(self.lengths, lead)
            self.rejected = np.logical_and.reduceat(self.rejected, lead)


def sum_children(normals: Floats, child: Indices, parent: Indices) -> Floats:
    """Sum the normals (3, C) of the children of each cluster; child, parent (M,) int. Returns (3, C)."""
    count = normals.shape[1]
    return np.stack([np.bincount(parent, column.take(child), minlength=count) for column in normals])


def sum_normals(labels: Indices, normals: Floats, areas: Floats) -> Floats:
    """Sum the normals (F, 3) of the faces of each label (F,), times their areas (F,); return (3, C)."""
    count = int(labels.max()) + 1
    return np.stack([np.bincount(labels, column * areas, minlength=count) for column in normals.T])
