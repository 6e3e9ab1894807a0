"""Find connected components of a graph by array operations.

Each vertex is hooked to its smallest neighbour, and every hook is followed to its end. Only edges between different
ends are kept for the next round; a mesh needs two or three rounds (Shiloach and Vishkin, 1982). This is two to five
times as fast as a walk along the edges, which would need sorted edges.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Indices, Int32


def components(count: int, starts: Int32 | Indices, ends: Int32 | Indices) -> tuple[int, Indices]:
    """Find the connected components of `count` vertices; return their number, and the component (V,) of each vertex.

    starts, ends (E,): the edges, which have no direction. Components are numbered in the order of their first vertices.
    """
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
    """Find the connected pieces of faces (F, 3); return their number, and the piece (V,) of each of `count` vertices.

    A vertex without faces is a separate piece.
    """
    a, b, c = faces.T
    return components(count, np.concatenate([a, b]), np.concatenate([b, c]))
