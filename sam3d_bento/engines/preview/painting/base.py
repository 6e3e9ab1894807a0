"""Separate the photo's low frequencies from its detail, and guess the low frequencies of the back from the rim."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import spsolve

from sam3d_bento.arrays import Bool, Float32

# Standard deviation of the blur that leaves the low frequencies, in square roots of the object's area. Eyes, letters
# and highlights are smaller than that and belong to the detail.
BASE_BLUR = 0.08

# Longer side of the grid on which the back is in-painted. Low frequencies need no more.
COARSE_SIDE = 72

# Distance from the rim at which the back is as much like the front behind it as like the rim, in square roots of the
# object's area.
FRONT_REACH = 0.5


def compute_base(continued: Float32, inside: Bool) -> Float32:
    """Compute the low frequencies (R, C, 3) of colours (R, C, 3) that were continued beyond the object.

    inside (R, C) bool: the object.
    """
    return _blur(continued, BASE_BLUR * sqrt(np.count_nonzero(inside)))


def inpaint_back(base: Float32, inside: Bool) -> Float32:
    """In-paint the low frequencies (R, C, 3) of the back from those of the front at the rim.

    The solution of the screened Poisson equation, the smoothest picture that equals `base` (R, C, 3) at the rim of
    `inside` (R, C) bool and, the farther from the rim the more, resembles it: a face's colours fade, a stripe that
    reaches the rim does not.
    """
    height, width = inside.shape
    step = max(1.0, max(inside.shape) / COARSE_SIDE)
    size = (max(1, round(width / step)), max(1, round(height / step)))
    small = _resize(base, size)
    within = _resize(inside[:, :, None].astype(np.float32), size)[:, :, 0] > 0.5
    hidden = within & ndimage.binary_erosion(within)
    number = np.full(within.shape, -1)
    number[hidden] = np.arange(np.count_nonzero(hidden))
    if not hidden.any():
        return base
    reach = FRONT_REACH * sqrt(np.count_nonzero(within))
    screen = 1 / reach**2
    row, column = np.nonzero(hidden)
    right = screen * small[hidden].astype(np.float64)
    links: list[npt.NDArray[np.intp]] = []
    for down, across in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        other = (row + down, column + across)  # the rim is not hidden, so there is always one
        known = number[other] < 0
        right[known] += small[other][known]
        links.append(np.stack([np.flatnonzero(~known), number[other][~known]]))
    start, end = np.concatenate(links, 1)
    count = len(row)
    matrix = diags_array(np.full(count, 4 + screen)) - coo_array((np.ones(len(start)), (start, end)), (count, count))
    small[hidden] = spsolve(matrix.tocsc(), right)
    return _resize(small, (width, height))


def _blur(picture: Float32, sigma: float) -> Float32:
    """Blur a picture (R, C, 3) at a lower resolution, where that is as good and takes less time."""
    step = max(1, int(sigma / 2))
    if step == 1:
        blurred: Float32 = ndimage.gaussian_filter(picture, (sigma, sigma, 0))
        return blurred
    height, width = picture.shape[:2]
    small = _resize(picture, (ceil(width / step), ceil(height / step)))
    return _resize(ndimage.gaussian_filter(small, (sigma / step, sigma / step, 0)), (width, height))


def _resize(picture: Float32, size: tuple[int, int]) -> Float32:
    """Resample a picture (R, C, channels) to `size` (width, height)."""
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(picture[:, :, k])).resize(size, Image.Resampling.BILINEAR))
        for k in range(picture.shape[2])
    ]
    return np.stack(channels, 2)
