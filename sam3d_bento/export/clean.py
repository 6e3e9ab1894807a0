"""Take from a dense reconstruction what is no part of its surface: broken faces, duplicates and floaters."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from trimesh.grouping import unique_rows

from sam3d_bento.errors import BadResult
from sam3d_bento.export.surface import Surface, face_areas, referenced
from sam3d_bento.reconstruction import Bool, Float32, Int32, Reconstruction, UInt8

NEUTRAL_GREY = 128  # sRGB, for a reconstruction without colours

# The object fills the unit cube, so a coordinate this far out is as broken as NaN, and an area
# this small is a point: both would lead the native libraries into overflow.
FARTHEST = 1e3
SMALLEST_AREA = 1e-9

# A face is degenerate when its area is lost in the rounding of float32 coordinates.
DEGENERATE_AREA = 1e-14

# A piece is a floater when it is a speck of a few voxels, or small in area and no long thin part either.
# Area alone cannot tell: beside a small object, a speck has a fair share of the area.
SPECK_EXTENT = 0.03
SMALL_AREA, SMALL_EXTENT = 0.002, 0.1
KEPT_AREA = 0.05  # a share of the whole that is never a floater
MOST_REMOVED = 0.2  # what would lose more is made of many small pieces, and stays as it is


def clean(reconstruction: Reconstruction) -> Surface:
    """The reconstruction's surface: welded, without degenerate and duplicate faces, floaters and unused vertices.

    Vertices at exactly the same place become one, with the colour of the first.
    Raises BadResult when the arrays do not fit together, or no surface is left.
    """
    vertices, faces, colours = _arrays(reconstruction)
    faces = faces[_usable(vertices, faces)]
    faces = _weld(vertices, faces)
    faces = faces[face_areas(vertices, faces) > DEGENERATE_AREA]
    faces = _without_duplicates(faces)
    _require_surface(vertices, faces)
    faces = _without_floaters(vertices, faces)
    used, faces = referenced(len(vertices), faces)
    return Surface(vertices[used], faces, colours[used])


def _arrays(reconstruction: Reconstruction) -> tuple[Float32, Int32, UInt8]:
    """Vertices, faces and colours, of the types that native code relies on."""
    vertices = np.ascontiguousarray(reconstruction.vertices, dtype=np.float32)
    faces = np.ascontiguousarray(reconstruction.faces, dtype=np.int32)
    if reconstruction.colours is None:
        colours = np.full(vertices.shape, NEUTRAL_GREY, dtype=np.uint8)
    else:
        colours = np.ascontiguousarray(reconstruction.colours, dtype=np.uint8)
    if vertices.ndim != 2 or faces.ndim != 2 or vertices.shape[1] != 3 or faces.shape[1] != 3:
        raise BadResult("The reconstruction is not a triangle mesh.")
    if colours.shape != vertices.shape:
        raise BadResult("The reconstruction does not have one colour for each vertex.")
    return vertices, faces, colours


def _usable(vertices: Float32, faces: Int32) -> Bool:
    """(F,) whether all three corners exist and lie at a sane place."""
    exists = ((faces >= 0) & (faces < len(vertices))).all(axis=1)
    sane = np.all(np.abs(vertices) < FARTHEST, axis=1)  # false for NaN as well
    usable = np.zeros(len(faces), dtype=bool)
    usable[exists] = sane[faces[exists]].all(axis=1)
    return usable


def _weld(vertices: Float32, faces: Int32) -> Int32:
    """The faces with every corner moved to the first vertex at exactly its place.

    Simplification would otherwise tear the surface open between such twins.
    """
    order = np.lexsort(vertices.T)  # stable, so that the first of equal vertices leads them
    places = vertices[order]
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = (places[1:] != places[:-1]).any(axis=1)
    first = np.empty(len(order), dtype=np.int32)
    first[order] = order[leads][np.cumsum(leads) - 1]
    welded: Int32 = first[faces]
    return welded


def _without_duplicates(faces: Int32) -> Int32:
    """One of each set of faces with the same corners in the same cyclic order; a sheet's two sides both stay."""
    start = faces.argmin(axis=1)[:, None]
    rotated = np.take_along_axis(faces, (start + np.arange(3)) % 3, axis=1)
    kept, _ = unique_rows(rotated)
    unique: Int32 = faces[np.sort(kept)]
    return unique


def _require_surface(vertices: Float32, faces: Int32) -> None:
    if not len(faces) or face_areas(vertices, faces).sum() < SMALLEST_AREA:
        raise BadResult("The reconstruction has no surface.")


def _without_floaters(vertices: Float32, faces: Int32) -> Int32:
    """The faces of the pieces worth keeping; the one with the most area always is."""
    corners = faces.ravel()
    links = coo_array(
        (np.ones(len(corners), dtype=bool), (corners, np.roll(faces, 1, axis=1).ravel())), shape=(len(vertices),) * 2
    )
    count, piece_of_vertex = connected_components(links, directed=False)
    piece = piece_of_vertex[faces[:, 0]]
    area = np.bincount(piece, face_areas(vertices, faces), minlength=count)
    share = area / area.sum()

    low = np.full((count, 3), np.inf, dtype=np.float32)
    high = -low
    np.minimum.at(low, piece, vertices[faces].min(axis=1))
    np.maximum.at(high, piece, vertices[faces].max(axis=1))
    extent = (high - low).max(axis=1)

    floater = (extent < SPECK_EXTENT) | ((share < SMALL_AREA) & (extent < SMALL_EXTENT))
    floater &= share < KEPT_AREA
    floater[area.argmax()] = False
    if share[floater].sum() > MOST_REMOVED:
        return faces
    kept: Int32 = faces[~floater[piece]]
    return kept
