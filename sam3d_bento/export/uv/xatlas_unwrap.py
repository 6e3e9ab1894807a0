"""Unwrapping by xatlas: slower by an order of magnitude, and an independent second way."""

from __future__ import annotations

import numpy as np
import xatlas

from sam3d_bento.arrays import Bool, Float32, Indices, Int32
from sam3d_bento.errors import BadResult
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.layout import Unwrapped

# xatlas' time grows faster than the number of faces, and it works on one mesh per core. Pieces of this
# size are several times faster than the whole, for a few more seams along their borders.
PIECE_FACES = 5_000

# Texels of xatlas around a chart. They leave five between two charts, and over three after the atlas was
# fitted to the texture. From 2 * sqrt(2) on, each texel that bilinear sampling meets belongs to its own chart.
PADDING = 2

# xatlas 0.0.11 leaves out every face whose area is under 1.2e-7, whatever the scale of the mesh.
# At this scale no face is that small: clean.DEGENERATE_AREA times its square is 1e-6.
SCALE = 1e4

# xatlas flattens by least squares, and at times flings the tip of a needle across the whole page, for which all
# charts must shrink. Such faces then become charts of their own, and all is done once more.
WASTED = 0.4  # a page uses 0.5 to 0.6 of its area
BLOWN_UP = 16  # times the texels for its area that the median face gets


def unwrap_by_xatlas(vertices: Float32, faces: Int32, texture_size: int) -> Unwrapped:
    """Texture coordinates for a mesh without degenerate faces.

    vertices (V, 3) float32, faces (F, 3) int32; texture_size in texels, which sets how wide the gutters
    between charts are. The GIL is held for seconds. Raises BadResult when xatlas finds no layout.
    """
    pieces = _pieces(vertices, faces)
    unwrapped = _lay_out(vertices, faces, pieces, texture_size)
    wild = np.concatenate(pieces)[_wild(vertices, unwrapped)]
    if len(wild):
        tame = [piece[~np.isin(piece, wild)] for piece in pieces]
        pieces = [piece for piece in tame if len(piece)] + list(wild[:, None])
        unwrapped = _lay_out(vertices, faces, pieces, texture_size)
    return unwrapped


def _lay_out(vertices: Float32, faces: Int32, pieces: list[Indices], texture_size: int) -> Unwrapped:
    """Charts of each piece on its own, packed together. The new faces are in the order of the pieces."""
    atlas = xatlas.Atlas()
    originals = []
    for piece in pieces:
        used, corners = np.unique(faces[piece], return_inverse=True)
        originals.append(used)
        atlas.add_mesh(vertices[used] * np.float32(SCALE), corners.reshape(-1, 3).astype(np.uint32))
    atlas.generate(_chart_options(), _pack_options(texture_size))
    if atlas.atlas_count != 1:  # one page grows as it must, because texels_per_unit is not given
        raise BadResult("The surface could not be unwrapped.")

    size = np.array([atlas.width, atlas.height])
    vertex_map, corner_lists, uv = [], [], []
    count = 0
    for index, used in enumerate(originals):
        new_vertices, corners, coordinates = atlas[index]
        vertex_map.append(used[new_vertices])
        corner_lists.append(corners + count)
        # One factor for both axes: the page is seldom square, and texels must be. xatlas counts rows from the bottom.
        uv.append([0, 1] + [1, -1] * coordinates * size / size.max())
        count += len(new_vertices)
    return Unwrapped(
        vertex_map=np.concatenate(vertex_map).astype(np.int32),
        faces=np.concatenate(corner_lists).astype(np.int32),
        uv=np.concatenate(uv).clip(0, 1).astype(np.float32),
    )


def _wild(vertices: Float32, unwrapped: Unwrapped) -> Bool:
    """(F,) which faces of a wasted texture were blown up; none where the texture is well used."""
    flat = face_areas(np.pad(unwrapped.uv, ((0, 0), (0, 1))), unwrapped.faces)
    if flat.sum() > WASTED:
        return np.zeros(len(flat), dtype=bool)
    density = flat / face_areas(vertices[unwrapped.vertex_map], unwrapped.faces)
    wild: Bool = density > BLOWN_UP * np.median(density)
    return wild


def _pieces(vertices: Float32, faces: Int32) -> list[Indices]:
    """The faces in compact groups of at most PIECE_FACES: halved again and again across the longest side."""
    centres = vertices[faces].mean(axis=1)
    pieces, waiting = [], [np.arange(len(faces))]
    while waiting:
        piece = waiting.pop()
        if len(piece) <= PIECE_FACES:
            pieces.append(piece)
            continue
        axis = np.ptp(centres[piece], axis=0).argmax()
        order = piece[np.argsort(centres[piece, axis], kind="stable")]
        waiting += [order[: len(order) // 2], order[len(order) // 2 :]]
    return pieces


def _chart_options() -> xatlas.ChartOptions:
    """Only flatness decides how a chart grows: without the other terms it takes half the time."""
    options = xatlas.ChartOptions()
    options.roundness_weight = 0
    options.straightness_weight = 0
    options.normal_seam_weight = 0
    options.texture_seam_weight = 0
    return options


def _pack_options(texture_size: int) -> xatlas.PackOptions:
    options = xatlas.PackOptions()
    options.resolution = texture_size
    options.padding = PADDING
    return options
