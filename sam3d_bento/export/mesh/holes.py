"""Close small holes in a surface by a fan of faces around their centre."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Indices, Int32
from sam3d_bento.export.grouping import added_up, first_equal
from sam3d_bento.export.mesh.components import components
from sam3d_bento.export.mesh.surface import Surface, area_vectors, lengths
from sam3d_bento.export.mesh.topology import at_border

# Extent in scene units, in which the object's is about 1. A hole of at most this extent is a fault, a larger one an
# opening.
LARGEST = 0.05

# Minimum cosine between the mean normals of a hole's patch and of the faces around it: a hole is filled when its patch
# continues these. The outer border of a single sheet is a loop as well, but its patch would face the other way. The
# patch at the end of an open tube lies across its faces.
CONTINUES = 0.4


def fill_holes(surface: Surface) -> Surface:
    """Fill every simple loop of open edges that is small and whose patch has no folds; return the surface.

    A fold is a face of the patch that looks backwards, seen from the loop's centre. Each hole gets one new vertex at
    its centre, with the mean colour of its loop. New vertices and faces are appended.
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
    """Return the edges (E, 2) that only one face has, from start to end in its winding, and that face (E,)."""
    open_there = at_border(count, faces)
    a, b, c = (open_there[faces[:, corner]] for corner in range(3))
    near = np.flatnonzero(a | b | c)
    corners = faces[near]
    edges = np.stack([corners, np.roll(corners, -1, axis=1)], axis=2).reshape(-1, 2)
    first = first_equal(np.sort(edges, axis=1))
    alone = np.bincount(first, minlength=len(edges))[first] == 1
    return edges[alone], np.repeat(near, 3)[alone]


def _simple_loops(edges: Int32, owner: Indices) -> tuple[Int32, Indices, Indices]:
    """Find the loops in which each vertex has one incoming and one outgoing edge.

    Returns their edges (E, 2), the face (E,) of each edge, and the number (E,) of its loop.
    """
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
