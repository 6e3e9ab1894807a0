"""Fill the holes that a network left in a surface, and leave the openings that are meant.

A hole of a network is a few edges wide and its rim is ragged, because it follows edges of the mesh. The rim of an
opening that somebody made is smooth or straight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices, Int32
from sam3d_bento.export.grouping import added_up
from sam3d_bento.export.mesh.patches import Patch, fair, make_patch
from sam3d_bento.export.mesh.rims import Rims, find_rims
from sam3d_bento.export.mesh.surface import Surface, area_vectors, lengths

# Widest hole, in local edge lengths. Networks leave holes of one to five voxels, whose rims are up to ten edges apart.
LARGEST_EDGES = 14
MAX_RIM_EDGES = 64  # longest rim: more than twice around the widest hole
MAX_HOLES = 2_000  # filled in one surface, which takes about five seconds; a surface with more holes is a sieve

# Minimum cosine between the mean normals of a hole's patch and of the faces around it: a hole is filled when its patch
# continues these. The outer border of a single sheet is a loop as well, but its patch would face the other way.
CONTINUES = 0.4

# Length of the sum of the area vectors of the faces around a rim, as a share of their area. Below it they look in all
# directions, as around the end of a tube, and no patch can continue them. A ragged end is closed all the same.
TUBE = 0.4

# An opening that is meant has at least so many edges. With fewer, it cannot be told from a missing vertex or two.
MEANT_EDGES = 8
# Sum of the absolute angles by which its rim turns, in full turns. It is 1 for convex rims; ragged ones reach 1.1 to 3.
MEANT_TURNS = 1.05
# Standard deviation of these angles, in units of their mean, up to which a rim is smooth: 0 for a regular polygon,
# 0.3 for an ellipse, 0.6 and more for a hole of a few missing vertices.
SMOOTH = 0.45
# Share of angles below STRAIGHT radians from which a convex rim is a polygon with straight sides. Holes in a regular
# grid have up to 0.6.
POLYGON_SHARE, STRAIGHT = 0.7, 0.1


@dataclass(frozen=True)
class Filled:
    """Surface with holes filled. filled: number of holes that were; kept: of rims that are left."""

    surface: Surface
    filled: int
    kept: int


def fill_holes(surface: Surface) -> Filled:
    """Fill every hole that is small against its local edges, is not meant, and whose patch does not fold.

    New vertices and faces are appended. Vertices inside a patch continue the surface around it, and their colours are
    between those of the rim. A surface without holes is returned as it is.
    """
    rims = find_rims(len(surface.vertices), surface.faces)
    total = int(rims.rim.max(initial=-1)) + 1
    if not total:
        return Filled(surface, 0, 0)
    edge = _local_edges(surface, rims)
    small = np.flatnonzero(_fillable(surface, rims, edge))[:MAX_HOLES]
    kept = np.zeros(total, dtype=bool)
    kept[small] = True
    rims = rims.chosen(kept)
    patches: list[tuple[Indices, Patch]] = []
    for loop, length in zip(rims.loops(), edge.take(small), strict=True):
        rim = rims.edges[loop[::-1], 1]  # the patch winds the other way than the faces around it
        places = surface.vertices[rim].astype(np.float64)
        patch = None if _is_meant(places) else make_patch(places, float(length))
        if patch is not None:
            patches.append((rim, patch))
    return Filled(_joined(surface, patches), len(patches), total - len(patches))


def _local_edges(surface: Surface, rims: Rims) -> Floats:
    """Return the mean edge length (R,) of the faces at each rim."""
    corners = surface.vertices.astype(np.float64)[surface.faces[rims.owner]]
    mean = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).mean(axis=1)
    edges: Floats = np.bincount(rims.rim, mean) / rims.sizes()
    return edges


def _fillable(surface: Surface, rims: Rims, edge: Floats) -> Bool:
    """Return (R,) bool: whether each rim is small, and its patch would continue the faces around it or end a tube."""
    size = rims.sizes()
    starts = surface.vertices[rims.edges[:, 0]].astype(np.float64)
    middle = added_up(rims.rim, starts, len(size)) / size[:, None]
    reach = np.zeros(len(size))
    np.maximum.at(reach, rims.rim, lengths(starts - middle.take(rims.rim, axis=0)))
    ends = surface.vertices[rims.edges[:, 1]].astype(np.float64) - middle.take(rims.rim, axis=0)
    whole = added_up(rims.rim, np.cross(ends, starts - middle.take(rims.rim, axis=0)), len(size)) / 2
    vectors = area_vectors(surface.vertices, surface.faces[rims.owner])
    around = added_up(rims.rim, vectors, len(size))
    agreement = np.einsum("ij,ij->i", whole, around)
    continues = agreement > CONTINUES * lengths(whole) * lengths(around)
    tube = lengths(around) < TUBE * np.bincount(rims.rim, lengths(vectors))
    fillable: Bool = (size <= MAX_RIM_EDGES) & (2 * reach < LARGEST_EDGES * edge) & (continues | tube)
    return fillable


def _is_meant(rim: Floats) -> bool:
    """Return whether a rim (N, 3) is so regular that the opening was made on purpose."""
    if len(rim) < MEANT_EDGES:
        return False
    along = np.roll(rim, -1, axis=0) - rim
    along /= np.maximum(lengths(along), 1e-30)[:, None]
    cosine = np.einsum("ij,ij->i", along, np.roll(along, -1, axis=0))
    turn = np.arccos(cosine.clip(-1, 1))  # in space, so that a rim on a curved surface turns no more than a flat one
    if turn.sum() > MEANT_TURNS * 2 * np.pi:
        return False
    return bool(turn.std() < SMOOTH * turn.mean() or (turn < STRAIGHT).mean() > POLYGON_SHARE)


def _joined(surface: Surface, patches: list[tuple[Indices, Patch]]) -> Surface:
    """Return the surface with the patches, each with the vertices (N,) of its rim, appended and faired."""
    if not patches:
        return surface
    count = len(surface.vertices)
    places: list[Floats] = [surface.vertices.astype(np.float64)]
    faces: list[Int32] = []
    for rim, patch in patches:
        inner = len(patch.points) - len(rim)
        faces.append(np.append(rim, count + np.arange(inner)).astype(np.int32).take(patch.faces))
        places.append(patch.points[len(rim) :])
        count += inner
    points, patch_faces = np.concatenate(places), np.concatenate(faces)
    new = np.arange(len(surface.vertices), count)
    colours = np.concatenate([surface.colours, np.zeros((len(new), 3), np.uint8)])
    if len(new):
        points[new], mixed = _faired(surface, points, patch_faces, np.concatenate([rim for rim, _ in patches]))
        colours[new] = np.rint(mixed.clip(0, 255)).astype(np.uint8)
    return Surface(points.astype(np.float32), np.concatenate([surface.faces, patch_faces]), colours)


def _faired(surface: Surface, points: Floats, patch_faces: Int32, rims: Indices) -> tuple[Floats, Floats]:
    """Return places and colours, each (M, 3), of the vertices that are new in `points` (V + M, 3).

    patch_faces (F, 3): the faces of all patches; rims: the vertices of all rims.
    """
    at_rim = np.zeros(len(surface.vertices), dtype=bool)
    at_rim[rims] = True
    around = surface.faces[at_rim[surface.faces].any(axis=1)]
    used, local = np.unique(np.concatenate([around, patch_faces]), return_inverse=True)
    new = np.flatnonzero(used >= len(surface.vertices))
    colours = np.zeros((len(used), 3))
    colours[: len(used) - len(new)] = surface.colours[used[: len(used) - len(new)]]
    return fair(len(used), local.reshape(-1, 3).astype(np.int32), points[used], colours, new)
