"""Take from a dense reconstruction what is no part of its surface: broken faces, duplicates, floaters, small holes."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32, UInt8
from sam3d_bento.errors import BadResult
from sam3d_bento.export.grouping import first_equal
from sam3d_bento.export.mesh.components import pieces
from sam3d_bento.export.mesh.degenerate import without_degenerate
from sam3d_bento.export.mesh.holes import fill_holes
from sam3d_bento.export.mesh.surface import Surface, chosen, referenced
from sam3d_bento.export.mesh.topology import weld
from sam3d_bento.reconstruction import Reconstruction

NEUTRAL_GREY = 128  # sRGB, for a reconstruction without colours

# The object fills the unit cube, so a coordinate this far out is as broken as NaN, and an area
# this small is a point: both would lead the native libraries into overflow.
FARTHEST = 1e3
SMALLEST_AREA = 1e-9

# A piece is a floater when it is a speck of a few voxels, or small in area and no long thin part either.
# Area alone cannot tell: beside a small object, a speck has a fair share of the area.
SPECK_EXTENT = 0.03
SMALL_AREA, SMALL_EXTENT = 0.002, 0.1
KEPT_AREA = 0.05  # a share of the whole that is never a floater
MOST_REMOVED = 0.2  # what would lose more is made of many small pieces, and stays as it is


def clean(reconstruction: Reconstruction) -> Surface:
    """The reconstruction's surface: welded, without degenerate and duplicate faces, floaters and unused vertices, and
    with its small holes filled.

    Vertices at exactly the same place become one, with the colour of the first.
    Raises BadResult when the arrays do not fit together, or no surface is left.
    """
    vertices, faces, colours = _arrays(reconstruction)
    faces = _usable(vertices, faces)
    faces = weld(vertices).take(faces)
    faces, areas = without_degenerate(vertices, faces)
    single = _single(faces)
    faces, areas = chosen(faces, single), chosen(areas, single)
    if areas.sum() < SMALLEST_AREA:
        raise BadResult("The reconstruction has no surface.")
    faces = _without_floaters(vertices, faces, areas)
    used, faces = referenced(len(vertices), faces)
    return fill_holes(Surface(vertices.take(used, axis=0), faces, colours.take(used, axis=0)))


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


def _usable(vertices: Float32, faces: Int32) -> Int32:
    """The faces whose three corners all exist and lie at a sane place."""
    if faces.min(initial=0) < 0 or faces.max(initial=-1) >= len(vertices):
        faces = faces[((faces >= 0) & (faces < len(vertices))).all(axis=1)]
    if not np.abs(vertices).max(initial=0) < FARTHEST:  # neither is NaN
        sane = np.all(np.abs(vertices) < FARTHEST, axis=1)
        faces = faces[sane[faces].all(axis=1)]
    return faces


def _single(faces: Int32) -> Bool:
    """(F,) false for a face with the corners of an earlier one in the same cyclic order; a sheet's two sides both
    stay."""
    a, b, c = faces.T
    lowest = np.minimum(np.minimum(a, b), c)
    second = np.where(lowest == a, b, np.where(lowest == b, c, a))
    third = np.where(lowest == a, c, np.where(lowest == b, a, b))
    first = first_equal(np.stack([lowest, second, third], axis=1))
    single: Bool = first == np.arange(len(faces))
    return single


def _without_floaters(vertices: Float32, faces: Int32, areas: Floats) -> Int32:
    """The faces of the pieces worth keeping; the one with the most area always is."""
    count, piece_of_vertex = pieces(len(vertices), faces)
    piece = piece_of_vertex.take(faces[:, 0])
    area = np.bincount(piece, areas, minlength=count)
    share = area / area.sum()

    suspect = share < KEPT_AREA
    suspect[area.argmax()] = False
    if not suspect.any():
        return faces
    asked = suspect.take(piece)
    floater = suspect & _small(vertices, faces.compress(asked, axis=0), piece.compress(asked), share)
    if share[floater].sum() > MOST_REMOVED:
        return faces
    return chosen(faces, ~floater.take(piece))


def _small(vertices: Float32, faces: Int32, piece: Indices, share: Floats) -> Bool:
    """(P,) whether the piece is as small as floaters are; share (P,) of the area. True for a piece without faces."""
    low = np.full((len(share), 3), np.inf, dtype=np.float32)
    high = -low
    for axis in range(3):
        places = vertices[faces, axis]
        np.minimum.at(low[:, axis], piece, places.min(axis=1))
        np.maximum.at(high[:, axis], piece, places.max(axis=1))
    extent = (high - low).max(axis=1)
    small: Bool = (extent < SPECK_EXTENT) | ((share < SMALL_AREA) & (extent < SMALL_EXTENT))
    return small
