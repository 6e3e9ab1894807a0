"""Silhouette -> height: how far the union of all balls that fit into the silhouette rises above its plane.

The inflation of "Puffball" (Twarog, Tappen, Adelson: Playing with Puffball, SAP 2012), whose balls sit on the medial
axis (Blum 1967). A ball in any other place lies inside one of those, so every cell may carry one.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Float32

SMOOTHING = 0.02  # standard deviation of the blur over creases, in square roots of the object's area


def squared_height(distance: Float32) -> Float32:
    """Squared height (R, C) float32 in cells² over a silhouette given by its signed distance (R, C) in cells.

    Its zero level is the silhouette; it goes on below zero outside with the slope that it has at the rim.
    """
    radius: Float32 = np.maximum(distance, 0)
    square = np.where(radius > 0, radius**2, -np.inf)
    reach = ceil(radius.max())
    square = np.maximum(_upper_envelope(_upper_envelope(square, reach).T, reach).T, 0)
    square = _smooth_creases(square, radius)
    return _continue_outside(square, distance)


def _upper_envelope(values: Float32, reach: int) -> Float32:
    """Along each row: envelope[i] = the maximum over j of values[j] - (i - j)².

    One pass per axis unites the balls (Felzenszwalb, Huttenlocher: Distance Transforms of Sampled Functions, Theory of
    Computing 8, 2012, section 2). No ball is wider than `reach`, so that many shifts of the whole array suffice;
    in numpy they are faster than the paper's sweep, which is linear but scalar.
    """
    envelope = values.copy()
    for shift in range(1, min(reach + 1, values.shape[1])):
        np.maximum(envelope[:, shift:], values[:, :-shift] - shift**2, out=envelope[:, shift:])
        np.maximum(envelope[:, :-shift], values[:, shift:] - shift**2, out=envelope[:, :-shift])
    return envelope


def _smooth_creases(square: Float32, radius: Float32) -> Float32:
    """Blur where balls meet, less and less towards the rim, which stays where it is."""
    inside = radius > 0
    sigma = SMOOTHING * sqrt(np.count_nonzero(inside))
    # Divided by the share of the kernel that lies inside, so that the outside does not pull the height down.
    share = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    blurred = ndimage.gaussian_filter(square, sigma) / np.maximum(share, 1e-6)
    weight = np.clip(radius / (2.5 * sigma), 0, 1)
    smooth: Float32 = np.where(inside, (1 - weight) * square + weight * blurred, 0)
    return smooth


def _continue_outside(square: Float32, distance: Float32) -> Float32:
    """Height² as distance times slope, at and beyond the rim with the slope of the nearest cell well inside.

    That puts the zero level on the silhouette to a fraction of a cell, and keeps the gradient usable across it.
    """
    rim = distance < 0.5
    slope = square / np.where(rim, 1, distance)
    nearest = ndimage.distance_transform_edt(rim, return_distances=False, return_indices=True)
    continued: Float32 = distance * slope[tuple(nearest)]
    return continued
