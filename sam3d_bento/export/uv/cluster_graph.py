"""Clusters of faces as a graph: which touch, along how long a border, and what becomes of that when some merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import leads, stable_order


@dataclass
class ClusterGraph:
    """C clusters, and E edges: pairs of clusters that touch, each pair once.

    normals (3, C): sums of the faces' unit normals times their areas; areas, perimeters (C,).
    first, second (E,): clusters that touch, first < second; lengths (E,) of their common border; refused (E,): found
    not to fit, until one of the two has changed.
    """

    normals: Floats
    areas: Floats
    perimeters: Floats
    first: Indices
    second: Indices
    lengths: Floats
    refused: Bool

    @classmethod
    def of(
        cls,
        labels: Indices,
        first: Indices,
        second: Indices,
        lengths: Floats,
        normals: Floats,
        areas: Floats,
        perimeters: Floats,
    ) -> ClusterGraph:
        """The graph of clusters of faces.

        labels (F,) of the faces, numbered from 0; first, second (N,) faces that share an edge, of `lengths` (N,);
        normals (F, 3) of length 1; areas, perimeters (F,) of the faces.
        """
        count = int(labels.max()) + 1
        one, other = labels.take(first), labels.take(second)
        within = one == other
        outline = np.bincount(labels, perimeters, minlength=count).astype(np.float64)
        area = np.bincount(labels, areas, minlength=count).astype(np.float64)
        outline -= 2 * np.bincount(one[within], lengths[within], minlength=count)
        refused = np.zeros(len(one), dtype=bool)
        graph = cls(cluster_normals(labels, normals, areas), area, outline, one, other, lengths, refused)
        graph._join_edges()
        return graph

    def contract(self, edge: Indices, child: Indices, parent: Indices) -> Indices:
        """Merge each child into its parent across the edge, and number the clusters anew from 0.

        edge, child, parent (M,): no child twice, and no parent among the children. Returns (C,) the new number of every
        old cluster. An edge of a changed parent is refused no more: what did not fit may fit now.
        """
        count = len(self.areas)
        self.normals = self.normals + added(self.normals, child, parent)
        self.areas += np.bincount(parent, self.areas[child], minlength=count)
        gained = self.perimeters[child] - 2 * self.lengths[edge]
        self.perimeters += np.bincount(parent, gained, minlength=count)

        target = np.arange(count)
        target[child] = parent
        changed = np.zeros(count, dtype=bool)
        changed[parent] = True
        self.refused &= ~(changed[target].take(self.first) | changed[target].take(self.second))
        alive = np.ones(count, dtype=bool)
        alive[child] = False
        renumber: Indices = (np.cumsum(alive) - 1)[target]
        self.normals = self.normals.compress(alive, axis=1)
        self.areas, self.perimeters = self.areas.compress(alive), self.perimeters.compress(alive)
        self.first, self.second = renumber.take(self.first), renumber.take(self.second)
        self._join_edges()
        return renumber

    def _join_edges(self) -> None:
        """Drop edges within a cluster, and make one of those between the same two; refused if all of them were."""
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
        self.lengths, self.refused = self.lengths.take(chosen), self.refused.take(chosen)
        if len(lead):  # `reduceat` takes no empty array
            self.lengths = np.add.reduceat(self.lengths, lead)
            self.refused = np.logical_and.reduceat(self.refused, lead)


def added(normals: Floats, child: Indices, parent: Indices) -> Floats:
    """(3, C): for each cluster the normals (3, C) of its children added up; child, parent (M,)."""
    count = normals.shape[1]
    return np.stack([np.bincount(parent, column.take(child), minlength=count) for column in normals])


def cluster_normals(labels: Indices, normals: Floats, areas: Floats) -> Floats:
    """(3, C): for each label, the sum of its faces' normals (F, 3) times their areas (F,)."""
    count = int(labels.max()) + 1
    return np.stack([np.bincount(labels, column * areas, minlength=count) for column in normals.T])
