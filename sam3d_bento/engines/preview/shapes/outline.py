"""Smooth the outline of a body of revolution between its corners: pixels of the mask would show as rings on it."""

from __future__ import annotations

from itertools import pairwise
from math import radians

import numpy as np
from scipy.interpolate import UnivariateSpline
from scipy.signal import find_peaks

from sam3d_bento.arrays import Float64

# Turn of the outline, between straight lines through CORNER_POINTS points before and after, from which it has a corner.
CORNER_TURN = radians(22)
CORNER_POINTS = 9

# Standard deviation from the outline that a smooth curve may have, in rows of the turned view: what is left of the
# mask's pixels after the circles were fitted.
NOISE_ROWS = 0.25

MIN_POINTS = 6  # of a piece that is smoothed; a shorter one is what it is


def smooth_outline(heights: Float64, radii: Float64, step: float) -> tuple[Float64, tuple[int, ...]]:
    """Smooth radii (N,) over equally spaced heights (N,), piece by piece between the corners.

    step: between two rows of the view, in the unit of the radii. Returns the radii and the indices of the corners, with
    the first and the last. Each piece is the cubic spline of fewest knots that stays within NOISE_ROWS of it (Dierckx:
    Curve and Surface Fitting with Splines, 1993); a straight piece becomes straight.
    """
    corners = (0, *_find_corners(heights, radii), len(radii) - 1)
    smooth = radii.copy()
    ends: dict[int, list[float]] = {corner: [] for corner in corners}
    for start, stop in pairwise(corners):
        piece = slice(start, stop + 1)
        if stop - start >= MIN_POINTS:
            allowed = (stop - start + 1) * (NOISE_ROWS * step) ** 2
            degree = 1 if _is_straight(heights[piece], radii[piece], step) else 3
            smooth[piece] = UnivariateSpline(heights[piece], radii[piece], k=degree, s=allowed)(heights[piece])
        ends[start].append(float(smooth[start]))
        ends[stop].append(float(smooth[stop]))
    for corner, values in ends.items():  # both pieces meet in the middle between their ends
        smooth[corner] = np.mean(values)
    return smooth, corners


def _is_straight(heights: Float64, radii: Float64, step: float) -> bool:
    """Test whether a piece is straight but for the noise."""
    line = np.polyval(np.polyfit(heights, radii, 1), heights)
    return bool(np.sqrt(np.square(radii - line).mean()) < NOISE_ROWS * step)


def _find_corners(heights: Float64, radii: Float64) -> list[int]:
    """Find the places where the outline turns sharply."""
    count = len(radii)
    if count < 4 * CORNER_POINTS:
        return []
    slopes = _fit_slopes(radii, CORNER_POINTS) / (heights[1] - heights[0])
    turn = np.zeros(count)
    before, after = slopes[: count - 2 * CORNER_POINTS + 2], slopes[CORNER_POINTS - 1 : count - CORNER_POINTS + 1]
    turn[CORNER_POINTS - 1 : count - CORNER_POINTS + 1] = np.abs(np.arctan(after) - np.arctan(before))
    peaks, _ = find_peaks(turn, height=CORNER_TURN, distance=CORNER_POINTS)
    return [int(peak) for peak in peaks]


def _fit_slopes(values: Float64, points: int) -> Float64:
    """Fit a line to each `points` values in a row; return the slopes (N - points + 1,)."""
    weights = np.arange(points) - (points - 1) / 2
    slopes: Float64 = np.correlate(values, weights / np.square(weights).sum(), "valid")
    return slopes
