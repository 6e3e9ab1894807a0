"""Colours for an inflated silhouette: the photo on the side that it saw, its mirror image on the other."""

from __future__ import annotations

from math import asin, cos

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Float32, UInt8
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.texture import FRINGE, as_colours, foreground, sample, sample_colours
from sam3d_bento.engines.preview.surface import THICKNESS

GRAZING = 0.28  # sine of the angle between line of sight and surface below which the photo shows too little
FADE = 0.8  # share of the blurred colour where the line of sight only touches the surface


def paint(canvas: Canvas, square: Float32, vertices: Float32) -> UInt8:
    """Colours (V, 3) uint8 sRGB for vertices (V, 3) in the canvas frame, on the surface of `square` (R, C).

    Near the rim a pixel would be drawn out to a long streak. There the colour is taken from further inside, as if the
    photo were folded back at GRAZING, and fades to that of the neighbourhood.
    """
    gradient: Float32 = np.asarray(np.gradient(square))
    # Over one ball with centre c, square = radius² - |x - c|², so its gradient is 2 (c - x).
    radius: Float32 = np.sqrt(np.maximum(square, 0) + np.square(gradient).sum(0) / 4)
    # Thin parts are nothing but rim; half of their width is still the best that is known of them.
    core = canvas.distance > np.minimum(FRINGE, radius / 2)
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    radius = radius[tuple(nearest)]  # at the rim itself the gradient is not reliable
    sharp, blurred = foreground(canvas.rgb, core, nearest)

    place = vertices[:, [1, 0]].T.astype(np.float64)
    ball = np.maximum(sample(radius, place), 1e-6)
    inwards = np.stack([sample(part, place) for part in gradient])
    inwards /= np.maximum(np.hypot(*inwards), 1e-6)
    sine = np.clip(np.abs(vertices[:, 2]) / (THICKNESS * ball), 0, 1)
    fold = asin(GRAZING)
    angle = np.minimum(np.arcsin(sine), fold)
    # On a ball, radius * cos(angle) is the distance from its centre in the picture, and sin(fold) the rate at which
    # that changes along the surface at the fold. Beyond it the place goes back at the same rate.
    place += inwards * ball * (np.cos(angle) - cos(fold) + (fold - angle) * GRAZING)

    fade = FADE * np.clip(1 - sine / GRAZING, 0, 1)
    colours = (1 - fade) * sample_colours(sharp, place) + fade * sample_colours(blurred, place)
    return as_colours(colours)
