"""Reorder triangles and vertices so that neighbours follow each other."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Indices, Int32
from sam3d_bento.export.grouping import distinct, stable_order

RECENT = 14  # size of the cache in vertices: the last so many count as recently used


def in_fans(faces: Int32, vertices: int) -> Int32:
    """Reorder the faces: those around a vertex one after the other, then those around a vertex nearby.

    Sander, Nehab, Barczak: Fast Triangle Reordering for Vertex Locality and Reduced Overdraw (SIGGRAPH 2007), the
    algorithm Tipsify. faces (F, 3) int32; vertices: their number.
    """
    corners = faces.ravel()
    by_vertex = (stable_order(corners) // 3).tolist()
    counts = np.bincount(corners, minlength=vertices)
    starts = np.concatenate([[0], np.cumsum(counts)]).tolist()
    waiting = counts.tolist()  # number of faces of each vertex that are not placed
    triangles = faces.tolist()
    done = [False] * len(triangles)
    last_used = [-RECENT - 1] * vertices
    time = 0
    order: list[int] = []
    passed: list[int] = []  # vertices to return to
    unvisited = iter(range(vertices))

    fan: int | None = next(unvisited)
    while fan is not None:
        around: list[int] = []
        for triangle in by_vertex[starts[fan] : starts[fan + 1]]:
            if done[triangle]:
                continue
            done[triangle] = True
            order.append(triangle)
            for vertex in triangles[triangle]:
                around.append(vertex)
                waiting[vertex] -= 1
                if time - last_used[vertex] > RECENT:
                    last_used[vertex] = time
                    time += 1
        passed += around
        fan, best = None, -1
        for vertex in around:
            if waiting[vertex] > 0:
                age = time - last_used[vertex]
                # The oldest vertex that will still be in the cache after all its own faces are placed.
                value = age if age + 2 * waiting[vertex] <= RECENT else 0
                if value > best:
                    fan, best = vertex, value
        while fan is None and passed:
            vertex = passed.pop()
            if waiting[vertex] > 0:
                fan = vertex
        if fan is None:
            fan = next((vertex for vertex in unvisited if waiting[vertex] > 0), None)
    return faces[order]


def by_first_use(faces: Int32) -> tuple[Indices, Int32]:
    """Return the vertices in the order in which faces (F, 3) first use them, and the faces renumbered to that order."""
    corners = faces.ravel()
    first, which = distinct(corners)
    ordered = stable_order(first)
    rank = np.empty(len(first), dtype=np.int32)
    rank[ordered] = np.arange(len(first), dtype=np.int32)
    renumbered: Int32 = rank[which].reshape(faces.shape)
    return corners.take(first.take(ordered)).astype(np.intp), renumbered
