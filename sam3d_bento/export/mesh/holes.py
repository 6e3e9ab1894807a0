"""Small holes in a surface, closed by a fan of faces around their middle."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Indices, Int32
from sam3d_bento.export.grouping import added_up, first_equal
from sam3d_bento.export.mesh.components import components
from sam3d_bento.export.mesh.surface import Surface, area_vectors, lengths
from sam3d_bento.export.mesh.topology import at_border

LARGEST = 0.05  # the extent of a hole that is a fault rather than an opening; the object's is about 1

# A hole is filled when its patch continues the faces around it: cosine of the angle between their mean normals.
# The outer border of a single sheet is a loop as well, whose patch would look the other way; the end of an open
# tube has its patch across.
CONTINUES = 0.4


def fill_holes(surface: Surface) -> Surface:
    """The surface with every simple loop of open edges filled that is small, and seen from its middle without folds.

    A new vertex per hole, appended, with the mean colour of its loop; new faces appended.
    """
    vertices, faces = surface.vertices, surface.faces
    edges, owner = _open_edges(len(vertices), faces)
    edges, owner, loop = _simple_loops(edges, owner)
    if not len(edges):
        return surface
    size = np.bincount(loop)
    starts = vertices[edges[:, 0]].astype(np.float64)
    middles = added_up(loop, starts, len(size)) / size[:, None]

    patch = np.stack([edges[:, 1], edges[:, 0], len(vertices) + loop], axis=1).astype(np.int32)
    everywhere = np.concatenate([vertices, middles.astype(np.float32)])
    normals = area_vectors(everywhere, patch)
    whole = added_up(loop, normals, len(size))
    folded = np.einsum("ij,ij->i", normals, whole[loop]) <= 0
    around = added_up(loop, area_vectors(vertices, faces[owner]), len(size))
    agreement = np.einsum("ij,ij->i", whole, around)
    filled = agreement > CONTINUES * lengths(whole) * lengths(around)
    filled[loop[folded]] = False
    away = np.abs(starts - middles[loop]).max(axis=1)
    filled[loop[away > LARGEST / 2]] = False

    number = np.cumsum(filled) - 1
    patch[:, 2] = len(vertices) + number[loop]
    colours = added_up(loop, surface.colours[edges[:, 0]], len(size)) / size[:, None]
    return Surface(
        np.concatenate([vertices, middles[filled].astype(np.float32)]),
        np.concatenate([faces, patch[filled[loop]]]),
        np.concatenate([surface.colours, np.rint(colours[filled]).astype(np.uint8)]),
    )


def _open_edges(count: int, faces: Int32) -> tuple[Int32, Indices]:
    """(E, 2) start and end, in the winding of their face, of the edges that only one face has; (E,) that face."""
    open_there = at_border(count, faces)
    a, b, c = (open_there[faces[:, corner]] for corner in range(3))
    near = np.flatnonzero(a | b | c)
    corners = faces[near]
    edges = np.stack([corners, np.roll(corners, -1, axis=1)], axis=2).reshape(-1, 2)
    first = first_equal(np.sort(edges, axis=1))
    alone = np.bincount(first, minlength=len(edges))[first] == 1
    return edges[alone], np.repeat(near, 3)[alone]


def _simple_loops(edges: Int32, owner: Indices) -> tuple[Int32, Indices, Indices]:
    """The edges of the loops in which each vertex has one edge in and one out, their faces, and (E,) which loop."""
    ends, vertex = np.unique(edges, return_inverse=True)
    vertex = vertex.reshape(-1, 2)
    count = len(ends)
    groups, group = components(count, vertex[:, 0], vertex[:, 1])
    leaving, arriving = (np.bincount(side, minlength=count) for side in vertex.T)
    simple = np.ones(groups, dtype=bool)
    simple[group[(leaving != 1) | (arriving != 1)]] = False
    kept = simple[group[vertex[:, 0]]]
    number = np.cumsum(simple) - 1
    return edges[kept], owner[kept], number[group[vertex[kept, 0]]]
