"""Inflate a silhouette: compute how far the union of all balls that fit into it rises above its plane.

The inflation of "Puffball" (Twarog, Tappen, Adelson: Playing with Puffball, SAP 2012), whose balls sit on the medial
axis (Blum 1967). A ball in any other place lies inside one of those, so every cell may have one.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Float32

# Standard deviation of the blur over creases, in square roots of the object's area.
CREASE_BLUR = 0.02

FADE_BLURS = 2.5  # distance from the rim, in standard deviations of the blur, from which the blur is full


def compute_squared_height(distance: Float32) -> Float32:
    """Compute the squared height (R, C) float32 in cells² over a silhouette, from its signed distance (R, C) in cells.

    The zero level is the silhouette. Outside it, the squared height continues below zero with the slope at the rim.
    """
    radius: Float32 = np.maximum(distance, 0)
    square = np.where(radius > 0, radius**2, -np.inf)
    reach = ceil(radius.max())
    square = np.maximum(_upper_envelope(_upper_envelope(square, reach).T, reach).T, 0)
    square = _smooth_creases(square, radius)
    return _continue_outside(square, distance)


def _upper_envelope(values: Float32, reach: int) -> Float32:
    """Return the upper envelope along each row: envelope[i] is the maximum over j of values[j] - (i - j)².

    One pass per axis unites the balls (Felzenszwalb, Huttenlocher: Distance Transforms of Sampled Functions, Theory of
    Computing 8, 2012, section 2). No ball is wider than `reach`, so as many shifts of the whole array suffice. In numpy
    they are faster than the paper's sweep, which is linear but scalar.
    """
    envelope = values.copy()
    for shift in range(1, min(reach + 1, values.shape[1])):
        np.maximum(envelope[:, shift:], values[:, :-shift] - shift**2, out=envelope[:, shift:])
        np.maximum(envelope[:, :-shift], values[:, shift:] - shift**2, out=envelope[:, :-shift])
    return envelope


def _smooth_creases(square: Float32, radius: Float32) -> Float32:
    """Blur the creases where balls meet, less and less towards the rim, which stays in place."""
    inside = radius > 0
    sigma = CREASE_BLUR * sqrt(np.count_nonzero(inside))
    # Dividing by the share of the kernel that lies inside keeps the outside from lowering the height.
    share = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    blurred = ndimage.gaussian_filter(square, sigma) / np.maximum(share, 1e-6)
    weight = np.clip(radius / (FADE_BLURS * sigma), 0, 1)
    smooth: Float32 = np.where(inside, (1 - weight) * square + weight * blurred, 0)
    return smooth


def _continue_outside(square: Float32, distance: Float32) -> Float32:
    """Continue the squared height at and beyond the rim: distance times the slope at the nearest cell well inside.

    This puts the zero level on the silhouette to a fraction of a cell, and keeps the gradient usable across it.
    """
    rim = distance < 0.5
    slope = square / np.where(rim, 1, distance)
    nearest = ndimage.distance_transform_edt(rim, return_distances=False, return_indices=True)
    continued: Float32 = distance * slope[tuple(nearest)]
    return continued
