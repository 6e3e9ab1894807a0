"""Clusters of faces as a graph: which touch, along how long a border, and what becomes of that when some merge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.export.sorting import leads, stable_order
from sam3d_bento.export.surface import Floats, Indices
from sam3d_bento.reconstruction import Bool


@dataclass
class ClusterGraph:
    """C clusters, and E edges: pairs of clusters that touch, each pair once.

    normals (C, 3): sums of the faces' unit normals times their areas; areas, perimeters (C,).
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
        for axis in range(3):
            self.normals[:, axis] += np.bincount(parent, self.normals[child, axis], minlength=count)
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
        self.normals, self.areas, self.perimeters = self.normals[alive], self.areas[alive], self.perimeters[alive]
        self.first, self.second = renumber.take(self.first), renumber.take(self.second)
        self._join_edges()
        return renumber

    def _join_edges(self) -> None:
        """Drop edges within a cluster, and make one of those between the same two; refused if all of them were."""
        count = len(self.areas)
        between = self.first != self.second
        low = np.minimum(self.first[between], self.second[between])
        high = np.maximum(self.first[between], self.second[between])
        key = low * count + high
        ordered = stable_order(key)
        lead = np.flatnonzero(leads(key.take(ordered)))
        self.first, self.second = low[ordered[lead]], high[ordered[lead]]
        self.lengths, self.refused = self.lengths[between][ordered], self.refused[between][ordered]
        if len(lead):  # `reduceat` takes no empty array
            self.lengths = np.add.reduceat(self.lengths, lead)
            self.refused = np.logical_and.reduceat(self.refused, lead)


def cluster_normals(labels: Indices, normals: Floats, areas: Floats) -> Floats:
    """(C, 3): for each label, the sum of its faces' normals times their areas."""
    count = int(labels.max()) + 1
    return np.stack([np.bincount(labels, normals[:, axis] * areas, minlength=count) for axis in range(3)], axis=1)
