"""Colour an inflated silhouette: the photo on the side that it shows, its mirror image on the other."""

from __future__ import annotations

from math import asin, cos

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Float32, UInt8
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.texture import (
    FRINGE_CELLS,
    extend_foreground,
    sample,
    sample_colours,
    to_colours,
)
from sam3d_bento.engines.preview.surface import DEPTH_BY_WIDTH

GRAZING_SINE = 0.28  # of the angle between line of sight and surface below which the photo shows too little
MAX_FADE = 0.8  # share of the blurred colour where the line of sight only touches the surface


def paint(canvas: Canvas, square: Float32, vertices: Float32) -> UInt8:
    """Paint vertices (V, 3) in the canvas frame on the surface of `square` (R, C); return (V, 3) uint8 sRGB.

    Near the rim a pixel would be stretched to a long streak. There the colour is taken from further inside, as if the
    photo were folded back at GRAZING_SINE, and it fades to the blurred colour of the neighbourhood.
    """
    gradient: Float32 = np.asarray(np.gradient(square))
    # Over a ball with centre c, square = radius² - |x - c|², so its gradient is 2 (c - x).
    radius: Float32 = np.sqrt(np.maximum(square, 0) + np.square(gradient).sum(0) / 4)
    # Thin parts consist of rim only. The middle half of their width is the best that the photo shows of them.
    core = canvas.distance > np.minimum(FRINGE_CELLS, radius / 2)
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    radius = radius[tuple(nearest)]  # at the rim itself the gradient is not reliable
    sharp, blurred = extend_foreground(canvas.rgb, core, nearest)

    place = vertices[:, [1, 0]].T.astype(np.float64)
    ball = np.maximum(sample(radius, place), 1e-6)
    inwards = np.stack([sample(part, place) for part in gradient])
    inwards /= np.maximum(np.hypot(*inwards), 1e-6)
    sine = np.clip(np.abs(vertices[:, 2]) / (DEPTH_BY_WIDTH * ball), 0, 1)
    fold = asin(GRAZING_SINE)
    angle = np.minimum(np.arcsin(sine), fold)
    # On a ball, radius * cos(angle) is the distance from its centre in the picture, and sin(fold) is the rate at which
    # this distance changes along the surface at the fold. Beyond the fold, the place moves back at the same rate.
    place += inwards * ball * (np.cos(angle) - cos(fold) + (fold - angle) * GRAZING_SINE)

    fade = MAX_FADE * np.clip(1 - sine / GRAZING_SINE, 0, 1)
    colours = (1 - fade) * sample_colours(sharp, place) + fade * sample_colours(blurred, place)
    return to_colours(colours)
