"""Find the camera of a point map whose depth is known up to a shift."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares

from sam3d_bento.arrays import Float32, Float64

# Points of the map that take part, as rows and columns of a grid: 4,096 tell two numbers as well as a million.
GRID = 64
MIN_POINTS = 30  # fewer tell nothing about a whole photo
# Share of the depths' spread before the nearest point at which the search begins where the map reaches behind 0.
HEADROOM = 0.1


def solve(points: Float32, focal_length: float | None = None) -> tuple[float, float] | None:
    """Return the focal length in pixels, and the shift of z, of a point map; None if it tells none.

    points: (H, W, 3) in OpenCV's frame (x right, y down, z forward), in any unit, NaN where there is none. z lacks a
    constant. focal_length: in pixels; None if it is not known. The principal point is the centre.

    They are the least squares solution of (u - cx) = f · x / (z + shift) and (v - cy) = f · y / (z + shift), as in MoGe
    (Wang et al. 2024, https://arxiv.org/abs/2410.19115, section 3.1). For a given shift, f is the solution of a linear
    equation.
    """
    height, width = points.shape[:2]
    rows, columns = (np.arange(GRID) * side // GRID for side in (height, width))
    seen = points[rows][:, columns].astype(np.float64)
    known = np.isfinite(seen).all(-1)
    if np.count_nonzero(known) < MIN_POINTS:
        return None
    half_diagonal = float(np.hypot(width, height)) / 2
    across, down = (columns + 0.5 - width / 2) / half_diagonal, (rows + 0.5 - height / 2) / half_diagonal
    offsets = np.stack(np.meshgrid(across, down), -1)[known]
    xy, z = seen[known][:, :2], seen[known][:, 2]
    given = None if focal_length is None else focal_length / half_diagonal

    def residuals(shift: Float64) -> Float64:
        slopes = xy / (z + shift)[:, None]
        misfit: Float64 = ((given or _focal(slopes, offsets)) * slopes - offsets).ravel()
        return misfit

    with np.errstate(all="ignore"):
        begin = max(0.0, HEADROOM * float(np.ptp(z)) - float(z.min())) if z.min() <= 0 else 0.0
        if not np.isfinite(residuals(np.array([begin]))).all():
            return None
        shift = float(least_squares(residuals, [begin], method="lm").x[0])
        focal = given or _focal(xy / (z + shift)[:, None], offsets)
    if not (np.isfinite((focal, shift)).all() and focal > 0 and np.median(z) + shift > 0):
        return None
    return focal * half_diagonal, shift


def _focal(slopes: Float64, offsets: Float64) -> float:
    """Return the factor by which the slopes (N, 2) fit best to the offsets (N, 2)."""
    return float((slopes * offsets).sum() / (slopes**2).sum())
