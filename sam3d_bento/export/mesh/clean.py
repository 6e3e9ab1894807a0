"""Remove from a dense reconstruction what is not part of its surface.

That is broken faces, duplicates and floaters. Small holes are filled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32, UInt8
from sam3d_bento.errors import BadResult
from sam3d_bento.export.grouping import first_equal
from sam3d_bento.export.mesh.components import pieces
from sam3d_bento.export.mesh.degenerate import without_degenerate
from sam3d_bento.export.mesh.holes import fill_holes
from sam3d_bento.export.mesh.surface import Surface, chosen, referenced
from sam3d_bento.export.mesh.topology import weld
from sam3d_bento.export.parallel import both
from sam3d_bento.reconstruction import Reconstruction

NEUTRAL_GREY = 128  # sRGB level of a reconstruction without colours

# Limits in scene units and squared scene units. The object fills the unit cube, so a coordinate this far out is as
# broken as NaN, and a surface with an area this small is a point. Both would cause overflows in the native libraries.
FARTHEST = 1e3
SMALLEST_AREA = 1e-9

# A piece is a floater when it is a speck of a few voxels, or when it is small in area and has no long thin part. Area
# alone does not decide: beside a small object, a speck has a fair share of the area. Extents are in scene units, areas
# are shares of the whole surface.
SPECK_EXTENT = 0.03
SMALL_AREA, SMALL_EXTENT = 0.002, 0.1
KEPT_AREA = 0.05  # share of the whole area; a larger piece is never a floater
# Share of the whole area. A surface that would lose more consists of many small pieces, and stays as it is.
MOST_REMOVED = 0.2


@dataclass(frozen=True)
class CleanSurface(Surface):
    """Surface after cleaning. holes_filled: number of holes that were filled; holes_kept: of openings that are left."""

    holes_filled: int
    holes_kept: int


def clean(reconstruction: Reconstruction) -> CleanSurface:
    """Return the reconstruction's surface, welded, cleaned and with its holes filled (see `fill_holes`).

    Removed are degenerate and duplicate faces, floaters and unused vertices. Vertices at exactly the same position
    become one, with the colour of the first. Raises BadResult when the arrays do not fit together, or no surface is
    left.
    """
    vertices, faces, colours = _arrays(reconstruction)
    faces = _usable(vertices, faces)
    faces = weld(vertices).take(faces)
    faces, areas = without_degenerate(vertices, faces)
    # A duplicate connects nothing that is not connected without it.
    single, (count, piece) = both(lambda: _single(faces), lambda: pieces(len(vertices), faces))
    faces, areas = chosen(faces, single), chosen(areas, single)
    if areas.sum() < SMALLEST_AREA:
        raise BadResult("The reconstruction has no surface.")
    faces = _without_floaters(vertices, faces, areas, count, piece)
    used, faces = referenced(len(vertices), faces)
    done = fill_holes(Surface(vertices.take(used, axis=0), faces, colours.take(used, axis=0)))
    whole = done.surface
    return CleanSurface(whole.vertices, whole.faces, whole.colours, done.filled, done.kept)


def _arrays(reconstruction: Reconstruction) -> tuple[Float32, Int32, UInt8]:
    """Return vertices, faces and colours with the types that native code relies on."""
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
    """Return the faces whose three corners all exist and have valid coordinates."""
    if faces.min(initial=0) < 0 or faces.max(initial=-1) >= len(vertices):
        faces = faces[((faces >= 0) & (faces < len(vertices))).all(axis=1)]
    if not np.abs(vertices).max(initial=0) < FARTHEST:  # NaN is not below the limit either
        sane = np.all(np.abs(vertices) < FARTHEST, axis=1)
        faces = faces[sane[faces].all(axis=1)]
    return faces


def _single(faces: Int32) -> Bool:
    """Return (F,) bool: false for a face with the corners of an earlier one in the same cyclic order.

    Both sides of a sheet are kept, as their orders differ.
    """
    a, b, c = faces.T
    lowest = np.minimum(np.minimum(a, b), c)
    second = np.where(lowest == a, b, np.where(lowest == b, c, a))
    third = np.where(lowest == a, c, np.where(lowest == b, a, b))
    first = first_equal(np.stack([lowest, second, third], axis=1))
    single: Bool = first == np.arange(len(faces))
    return single


def _without_floaters(vertices: Float32, faces: Int32, areas: Floats, count: int, piece_of_vertex: Indices) -> Int32:
    """Return the faces of the pieces that are not floaters. The piece with the largest area is always kept.

    count, piece_of_vertex: as of `pieces`.
    """
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
    """Return (P,) bool: whether a piece is small enough to be a floater. It is true for a piece without faces.

    faces (F, 3); piece (F,): the piece of each face; share (P,): of the area.
    """
    low = np.full((len(share), 3), np.inf, dtype=np.float32)
    high = -low
    for axis in range(3):
        places = vertices[faces, axis]
        np.minimum.at(low[:, axis], piece, places.min(axis=1))
        np.maximum.at(high[:, axis], piece, places.max(axis=1))
    extent = (high - low).max(axis=1)
    small: Bool = (extent < SPECK_EXTENT) | ((share < SMALL_AREA) & (extent < SMALL_EXTENT))
    return small
