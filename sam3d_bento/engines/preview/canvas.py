"""Cut the object out of the photo, resampled to the one grid of square cells that all later steps share."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.special import erfinv

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.errors import NoObject
from sam3d_bento.reconstruction import Mask, Photo

# Cells that the object and its rim take. Each cell has one vertex, which carries its colour: the number of cells sets
# the sharpness, the number of faces (about 500,000) and the time.
MAX_OBJECT_CELLS = 90_000

MAX_SIDE_CELLS = 640  # of the object's longer side; it limits thin objects
MAX_CELLS_PER_PIXEL = 2  # along one side; a finer grid shows no more of the photo
PADDING_CELLS = 4  # around the object, in which the surface closes
MIN_RADIUS_CELLS = 1.5  # of the thickest part of an object; thinner ones are lost between the points of the grid
RIM_BLUR_CELLS = 0.8  # standard deviation of the blur that smooths the pixels of the mask


@dataclass(frozen=True)
class Canvas:
    """Grid of R rows and C columns over the object.

    The canvas frame, in cells: x to the right and y down, a cell's centre at (column, row); z towards the camera.

    rgb: (R, C, 3) float32 sRGB 0..255, background included.
    distance: (R, C) float32, signed distance of the cell's centre to the silhouette in cells, positive inside.
    cell: edge of a cell in photo pixels.
    origin: (x, y) of the canvas frame in photo pixels, where the photo's first pixel has its centre at (0.5, 0.5).
    """

    rgb: Float32
    distance: Float32
    cell: float
    origin: tuple[float, float]


def cut_out(photo: Photo, mask: Mask) -> Canvas:
    """Crop photo and mask to the object and resample both. Raises NoObject when the mask is empty."""
    rows, columns = np.flatnonzero(mask.pixels.any(1)), np.flatnonzero(mask.pixels.any(0))
    if not len(rows):
        raise NoObject("The mask is empty: there is nothing to reconstruct.")
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    object_pixels = mask.pixels[top:bottom, left:right]
    cell = max(_choose_cell(object_pixels), max(object_pixels.shape) / MAX_SIDE_CELLS, 1 / MAX_CELLS_PER_PIXEL)
    size = (ceil((right - left) / cell) + 2 * PADDING_CELLS, ceil((bottom - top) / cell) + 2 * PADDING_CELLS)

    # Pillow resamples only inside an image, so the crop is padded first.
    margin = ceil((PADDING_CELLS + 1) * cell)
    rgb = np.pad(photo.rgb[top:bottom, left:right], ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    coverage = np.pad(object_pixels.astype(np.float32), margin)
    start = margin - PADDING_CELLS * cell
    box = (start, start, start + size[0] * cell, start + size[1] * cell)
    return Canvas(
        rgb=np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS, box), np.float32),
        distance=_compute_signed_distance(
            np.asarray(Image.fromarray(coverage).resize(size, Image.Resampling.BILINEAR, box))
        ),
        cell=cell,
        origin=(left - margin + start + cell / 2, top - margin + start + cell / 2),
    )


def _choose_cell(pixels: Bool) -> float:
    """Choose the edge of a cell in pixels so that the object and its rim take MAX_OBJECT_CELLS.

    Speckled masks consist mostly of rim. Without counting the rim, they would take gigabytes.
    """
    area = int(np.count_nonzero(pixels))
    rim = int(np.count_nonzero(pixels[1:] != pixels[:-1]) + np.count_nonzero(pixels[:, 1:] != pixels[:, :-1]))
    # cells = area / edge² + rim / edge
    return (rim + sqrt(rim**2 + 4 * MAX_OBJECT_CELLS * area)) / (2 * MAX_OBJECT_CELLS)


def _compute_signed_distance(coverage: Float32) -> Float32:
    """Compute the signed distance (R, C) in cells from the share 0..1 of each cell that the object covers (R, C).

    It is exact to a fraction of a cell, because steps of whole cells would show in the finished mesh. The distance to
    the nearest cell across the rim is known, and that cell's blurred coverage gives its distance to the rim (the idea
    of Gustavson, Strand: Anti-aliased Euclidean distance transform, Pattern Recognition Letters 32, 2011).
    """
    soft = ndimage.gaussian_filter(coverage, RIM_BLUR_CELLS)
    soft /= min(1.0, float(soft.max()))  # a line thinner than the grid covers less than half of any cell
    # Across a straight rim, the blurred coverage is the integral of a Gaussian.
    to_rim = sqrt(2) * RIM_BLUR_CELLS * erfinv(np.clip(2 * soft - 1, -0.99, 0.99))
    inside = soft > 0.5
    depth, nearest_outside = ndimage.distance_transform_edt(inside, return_indices=True)
    height, nearest_inside = ndimage.distance_transform_edt(~inside, return_indices=True)
    across = np.where(inside, depth + to_rim[tuple(nearest_outside)], to_rim[tuple(nearest_inside)] - height)
    # For a cell on the rim itself, the nearest cell across the rim may lie along it, so its own coverage is used.
    distance: Float32 = np.where(np.abs(to_rim) < 0.5, to_rim, across).astype(np.float32)
    # Moving the zero level outwards thickens the whole object evenly.
    distance += max(0.0, MIN_RADIUS_CELLS - float(distance.max()))
    return distance
