"""Connected components of a graph, by array operations.

Each vertex is hooked to its smallest neighbour, all follow their hooks to the end, and only the edges between what has
not met yet are left for the next round, of which a mesh needs two or three (Shiloach and Vishkin, 1982). That is two to
five times as fast as a walk along the edges, for which the edges would have to be sorted first.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Indices, Int32


def components(count: int, starts: Int32 | Indices, ends: Int32 | Indices) -> tuple[int, Indices]:
    """How many components `count` vertices have with the edges from starts (E,) to ends (E,), whichever way, and (V,)
    which one each vertex belongs to. They are numbered in the order of their first vertices."""
    vertex = np.arange(count, dtype=np.int32)
    root = vertex.copy()
    starts, ends = starts.astype(np.int32), ends.astype(np.int32)
    while len(starts):
        np.minimum.at(root, np.maximum(starts, ends), np.minimum(starts, ends))
        while (root != (above := root.take(root))).any():
            root = above
        starts, ends = root.take(starts), root.take(ends)
        apart = starts != ends
        starts, ends = starts.compress(apart), ends.compress(apart)
    first = root == vertex
    number = np.cumsum(first) - 1
    return int(np.count_nonzero(first)), number.take(root)


def pieces(count: int, faces: Int32) -> tuple[int, Indices]:
    """How many pieces the faces (F, 3) and `count` vertices make, and (V,) which one a vertex belongs to; a vertex
    without faces is a piece of its own."""
    a, b, c = faces.T
    return components(count, np.concatenate([a, b]), np.concatenate([b, c]))
