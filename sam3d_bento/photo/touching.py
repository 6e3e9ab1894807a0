"""Find out whether a mask looks like two objects that stand beside each other and touch."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import convex_hull_image

from sam3d_bento.arrays import Bool, Indices, Int32

# Pixels of the mask's longer side at which it is examined: necks are found as well as in the photo, in milliseconds.
SIDE_PIXELS = 128

# Share of the mask's area that each of the two has at least. The head of an animal, a handle or a leg has less.
MIN_AREA_SHARE = 0.25

# Width of the neck between the two by the width of the narrower one. Two that touch in a picture overlap a little.
MAX_NECK = 0.6

# Area of each by that of its convex hull. Ears, legs and open frames, as of a bicycle, have less.
MIN_SOLIDITY = 0.8


def look_like_two(pixels: Bool) -> bool:
    """Return whether a mask (H, W) has two compact lobes of similar size, side by side, with a narrow neck between.

    One above the other they are more often one thing: a goblet, an hourglass, a snowman.
    """
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    if not len(rows):
        return False
    step = max(1, max(rows[-1] - rows[0], columns[-1] - columns[0]) // SIDE_PIXELS)
    small = np.pad(pixels[rows[0] : rows[-1] + 1 : step, columns[0] : columns[-1] + 1 : step], 1)
    radius = ndimage.distance_transform_edt(small)
    area = np.count_nonzero(small)
    for half_neck in range(round(float(radius.max()))):
        lobes, count = ndimage.label(radius > half_neck)
        if count < 2:
            continue
        nearest = ndimage.distance_transform_edt(lobes == 0, return_distances=False, return_indices=True)
        grown = np.where(small, lobes[tuple(nearest)], 0)
        sizes = np.bincount(grown.ravel(), minlength=count + 1)
        large = np.flatnonzero(sizes[1:] >= MIN_AREA_SHARE * area) + 1
        if len(large) == 2:
            return _are_side_by_side(grown, large) and all(
                half_neck < MAX_NECK * radius[grown == lobe].max() and _solidity(grown == lobe) > MIN_SOLIDITY
                for lobe in large
            )
    return False


def _are_side_by_side(lobes: Int32, two: Indices) -> bool:
    """Return whether the two labels in `lobes` (R, C) lie more beside than above each other."""
    (row, column), (other_row, other_column) = ndimage.center_of_mass(lobes > 0, lobes, two)
    return bool(abs(column - other_column) > abs(row - other_row))


def _solidity(lobe: Bool) -> float:
    """Return the area of a lobe (R, C) by that of its convex hull."""
    return float(np.count_nonzero(lobe) / np.count_nonzero(convex_hull_image(lobe)))
