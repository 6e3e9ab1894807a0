"""Colours for the vertices: the photo on the side that it saw, its mirror image on the other."""

from __future__ import annotations

from math import asin, cos, sqrt

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.surface import THICKNESS
from sam3d_bento.reconstruction import Bool, Float32, UInt8

FRINGE = 1.5  # cells at the rim whose colour may be mixed with the background
GRAZING = 0.28  # sine of the angle between line of sight and surface below which the photo shows too little
FADE = 0.8  # share of the blurred colour where the line of sight only touches the surface
BLUR = 0.02  # standard deviation of that blur, in square roots of the object's area


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
    sharp, blurred = _foreground(canvas.rgb, core, nearest)

    place = vertices[:, [1, 0]].T.astype(np.float64)
    ball = np.maximum(_sample(radius, place), 1e-6)
    inwards = np.stack([_sample(part, place) for part in gradient])
    inwards /= np.maximum(np.hypot(*inwards), 1e-6)
    sine = np.clip(np.abs(vertices[:, 2]) / (THICKNESS * ball), 0, 1)
    fold = asin(GRAZING)
    angle = np.minimum(np.arcsin(sine), fold)
    # On a ball, radius * cos(angle) is the distance from its centre in the picture, and sin(fold) the rate at which
    # that changes along the surface at the fold. Beyond it the place goes back at the same rate.
    place += inwards * ball * (np.cos(angle) - cos(fold) + (fold - angle) * GRAZING)

    fade = FADE * np.clip(1 - sine / GRAZING, 0, 1)
    colours = (1 - fade) * _sample_colours(sharp, place) + fade * _sample_colours(blurred, place)
    return np.clip(np.rint(colours.T), 0, 255).astype(np.uint8)


def _foreground(rgb: Float32, core: Bool, nearest: npt.NDArray[np.int32]) -> tuple[Float32, Float32]:
    """The photo (R, C, 3) with the colours of `core` (R, C) continued beyond it, and a blurred copy of that.

    nearest: (2, R, C), row and column of each cell's nearest cell in the core.
    """
    continued = rgb[tuple(nearest)]
    softened = ndimage.gaussian_filter(continued, (FRINGE, FRINGE, 0))
    sharp = np.where(core[:, :, None], rgb, softened)
    blur = BLUR * sqrt(np.count_nonzero(core))
    return sharp, ndimage.gaussian_filter(continued, (blur, blur, 0))


def _sample(grid: Float32, place: npt.NDArray[np.float64]) -> Float32:
    """Bilinear values (V,) of a grid (R, C) at places (2, V) given as row and column."""
    values: Float32 = ndimage.map_coordinates(grid, place, np.float32, order=1, mode="nearest")
    return values


def _sample_colours(grid: Float32, place: npt.NDArray[np.float64]) -> Float32:
    """As `_sample`, for the channels of (R, C, 3): (3, V)."""
    return np.stack([_sample(grid[:, :, channel], place) for channel in range(3)])
