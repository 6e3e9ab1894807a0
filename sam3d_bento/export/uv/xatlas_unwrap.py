"""Unwrap a mesh by xatlas: slower by an order of magnitude, and independent of our own way."""

from __future__ import annotations

import numpy as np
import xatlas

from sam3d_bento.arrays import Bool, Float32, Indices, Int32
from sam3d_bento.errors import BadResult
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.layout import UnwrappedMesh

# Largest number of faces in a piece. The time of xatlas grows faster than the number of faces, and it works on one mesh
# per core. Pieces of this size take a fraction of the time of the whole mesh, for a few more seams along their borders.
MAX_PIECE_FACES = 5_000

# Texels around a chart, as xatlas counts them. They leave five texels between two charts, and more than three after the
# atlas was fitted to the texture. From 2 * sqrt(2) on, each texel that bilinear sampling reads belongs to its own
# chart.
PADDING_TEXELS = 2

# Factor by which meshes are scaled for xatlas. xatlas 0.0.11 leaves out every face whose area is under 1.2e-7, whatever
# the scale of the mesh. At this scale no face is that small: clean.DEGENERATE_AREA times its square is 1e-6.
XATLAS_SCALE = 1e4

# xatlas flattens by least squares. At times it stretches the tip of a needle across the whole page, and all charts must
# shrink for it. Such faces are then made into separate charts, and the mesh is laid out once more.
MIN_PAGE_USE = 0.4  # share of a page that is covered; a sound page uses 0.5 to 0.6
MAX_DENSITY_RATIO = 16  # texels for its area that a face may get, by those of the median face


def unwrap_by_xatlas(vertices: Float32, faces: Int32, texture_size: int) -> UnwrappedMesh:
    """Compute texture coordinates for a mesh without degenerate faces.

    vertices (V, 3) float32, faces (F, 3) int32; texture_size in texels sets how wide the gutters between charts are.
    Holds the GIL for seconds. Raises BadResult when xatlas finds no layout.
    """
    pieces = _split_into_pieces(vertices, faces)
    unwrapped = _lay_out(vertices, faces, pieces, texture_size)
    stretched = np.concatenate(pieces)[_find_stretched(vertices, unwrapped)]
    if len(stretched):
        others = [piece[~np.isin(piece, stretched)] for piece in pieces]
        pieces = [piece for piece in others if len(piece)] + list(stretched[:, None])
        unwrapped = _lay_out(vertices, faces, pieces, texture_size)
    return unwrapped


def _lay_out(vertices: Float32, faces: Int32, pieces: list[Indices], texture_size: int) -> UnwrappedMesh:
    """Chart each piece separately, and pack all charts together. The new faces are in the order of the pieces."""
    atlas = xatlas.Atlas()
    originals = []
    for piece in pieces:
        used, corners = np.unique(faces[piece], return_inverse=True)
        originals.append(used)
        atlas.add_mesh(vertices[used] * np.float32(XATLAS_SCALE), corners.reshape(-1, 3).astype(np.uint32))
    atlas.generate(_make_chart_options(), _make_pack_options(texture_size))
    if atlas.atlas_count != 1:  # without texels_per_unit, one page grows as needed
        raise BadResult("The surface could not be unwrapped.")

    size = np.array([atlas.width, atlas.height])
    vertex_map, corner_lists, uv = [], [], []
    count = 0
    for index, used in enumerate(originals):
        new_vertices, corners, coordinates = atlas[index]
        vertex_map.append(used[new_vertices])
        corner_lists.append(corners + count)
        # Both axes have the same factor: the page is seldom square, but texels must be. xatlas counts rows from the
        # bottom.
        uv.append([0, 1] + [1, -1] * coordinates * size / size.max())
        count += len(new_vertices)
    return UnwrappedMesh(
        vertex_map=np.concatenate(vertex_map).astype(np.int32),
        faces=np.concatenate(corner_lists).astype(np.int32),
        uv=np.concatenate(uv).clip(0, 1).astype(np.float32),
    )


def _find_stretched(vertices: Float32, unwrapped: UnwrappedMesh) -> Bool:
    """Find the faces (F,) bool that were stretched so far that they waste the texture.

    Where the texture is well used, none is.
    """
    flat = face_areas(np.pad(unwrapped.uv, ((0, 0), (0, 1))), unwrapped.faces)
    if flat.sum() > MIN_PAGE_USE:
        return np.zeros(len(flat), dtype=bool)
    density = flat / face_areas(vertices[unwrapped.vertex_map], unwrapped.faces)
    stretched: Bool = density > MAX_DENSITY_RATIO * np.median(density)
    return stretched


def _split_into_pieces(vertices: Float32, faces: Int32) -> list[Indices]:
    """Split the faces into compact groups of at most MAX_PIECE_FACES.

    A group that is too large is halved across its longest side.
    """
    centres = vertices[faces].mean(axis=1)
    pieces, waiting = [], [np.arange(len(faces))]
    while waiting:
        piece = waiting.pop()
        if len(piece) <= MAX_PIECE_FACES:
            pieces.append(piece)
            continue
        axis = np.ptp(centres[piece], axis=0).argmax()
        order = piece[np.argsort(centres[piece, axis], kind="stable")]
        waiting += [order[: len(order) // 2], order[len(order) // 2 :]]
    return pieces


def _make_chart_options() -> xatlas.ChartOptions:
    """Make options by which flatness alone decides how a chart grows.

    Without the other terms, xatlas takes half the time.
    """
    options = xatlas.ChartOptions()
    options.roundness_weight = 0
    options.straightness_weight = 0
    options.normal_seam_weight = 0
    options.texture_seam_weight = 0
    return options


def _make_pack_options(texture_size: int) -> xatlas.PackOptions:
    """Make options for a page of `texture_size` texels."""
    options = xatlas.PackOptions()
    options.resolution = texture_size
    options.padding = PADDING_TEXELS
    return options
