"""Turn the camera to see the silhouette straight on, with its mirror axis upright in the middle.

An object with a vertical axis is symmetric in such a view, from wherever it is seen, and whatever the perspective.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float64
from sam3d_bento.engines.preview.camera import Camera, look_at
from sam3d_bento.engines.preview.canvas import Canvas

VIEW_ROWS = 360  # rows of the turned view, over the longer side of the silhouette
SEARCH_ROWS = 80  # the same while the roll is sought
MARGIN = 0.05  # around the silhouette, by its longer side
MAX_ROLL_DEGREES = 10  # that are tried; nobody holds a camera more askew by accident
UPRIGHT_PREFERENCE = 2e-4  # asymmetry that each degree of roll must gain, because a ball has no axis
OUTSIDE_CELLS = -9  # signed distance of places beyond the canvas: well outside the silhouette


@dataclass(frozen=True)
class TurnedView:
    """Silhouette in a camera turned so that its axis is the line x = 0. Lengths are tangents: x / -z and y / -z.

    axes: (3, 3), the turned camera's x, y and z in the camera frame, as columns.
    roll: degrees by which the camera leans.
    heights: (R,) of the rows, rising. half_widths: (R,), how far the widest run of a row reaches on both sides; -1
    where there is none.
    across: (C,) of the columns, rising. lowest, highest: (C,), the ends of the silhouette in a column; nan where it is
    not.
    inside: (R, C), the silhouette. core: (R, C), the part of it that lies within the half widths.
    shared: (R, C), signed distance in cells to the part that the silhouette has on both sides of the axis, positive
    inside.
    """

    axes: Float64
    roll: float
    heights: Float64
    half_widths: Float64
    across: Float64
    lowest: Float64
    highest: Float64
    inside: Bool
    core: Bool
    shared: Float64

    @property
    def step(self) -> float:
        """Distance between two rows."""
        return float(self.heights[1] - self.heights[0])

    @property
    def asymmetry(self) -> float:
        """Share of the silhouette outside the core."""
        return float(1 - np.count_nonzero(self.core) / np.count_nonzero(self.inside))


def turn_to_axis(canvas: Canvas, camera: Camera) -> TurnedView:
    """Turn the camera so that the line about which the silhouette is most symmetric is upright in the middle."""
    rows, columns = np.nonzero(canvas.distance > 0)
    middle = np.array([columns.min() + columns.max(), rows.min() + rows.max()]) / 2
    facing = look_at(camera.unproject(middle * canvas.cell + canvas.origin))

    def measure_asymmetry(roll: float) -> float:
        """Measure the asymmetry of the silhouette turned by that many degrees."""
        _, across, distance = _resample(canvas, camera, _roll(facing, roll), SEARCH_ROWS)
        left, right = _find_widest_runs(distance, across)
        axis = _find_axis(left, right)
        core = 2 * np.nansum(np.clip(np.minimum(axis - left, right - axis), 0, None))
        area = np.count_nonzero(distance > 0) * (across[1] - across[0])
        return float(1 - core / area + UPRIGHT_PREFERENCE * abs(roll))

    roll = float(min(range(-MAX_ROLL_DEGREES, MAX_ROLL_DEGREES + 1, 2), key=measure_asymmetry))
    for step in (1.0, 0.5, 0.25):
        roll = min((roll, roll - step, roll + step), key=measure_asymmetry)
    return _build_turned_view(canvas, camera, _roll(facing, roll), roll)


def _build_turned_view(canvas: Canvas, camera: Camera, axes: Float64, roll: float) -> TurnedView:
    """Build the view along those axes, turned sideways until the mirror axis is in the middle."""
    heights, across, distance = _resample(canvas, camera, axes, VIEW_ROWS)
    left, right = _find_widest_runs(distance, across)
    axes = _pan(axes, _find_axis(left, right))
    heights, across, distance = _resample(canvas, camera, axes, VIEW_ROWS)
    left, right = _find_widest_runs(distance, across)
    step = heights[1] - heights[0]
    half_widths = np.where(np.isfinite(left), np.maximum(np.minimum(-left, right), step / 2), -1.0)
    lowest, highest = _find_column_ends(distance, heights)
    inside = distance > 0
    core = inside & (np.abs(across) <= half_widths[:, None])
    shared = np.minimum(distance, distance[:, ::-1])
    return TurnedView(axes, roll, heights, half_widths, across, lowest, highest, inside, core, shared)


def _find_axis(left: Float64, right: Float64) -> float:
    """Find the x of the mirror axis from the ends (R,) of the rows: the median of their middles.

    The core of a row is as wide as the row, less twice the deviation of its middle. So the median leaves the largest
    core. A handle shifts only some rows, which does not change the median.
    """
    return float(np.nanmedian((left + right) / 2))


def _roll(axes: Float64, degrees: float) -> Float64:
    """Turn the axes (3, 3) about the line of sight."""
    cosine, sine = cos(radians(degrees)), sin(radians(degrees))
    rolled: Float64 = axes @ np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    return rolled


def _pan(axes: Float64, offset: float) -> Float64:
    """Turn the axes (3, 3) about y, to look at what was seen at x = offset."""
    right = np.array([1.0, 0.0, offset]) / np.hypot(1, offset)
    panned: Float64 = axes @ np.stack([right, [0.0, 1.0, 0.0], np.cross(right, [0.0, 1.0, 0.0])], 1)
    return panned


def _resample(canvas: Canvas, camera: Camera, axes: Float64, rows: int) -> tuple[Float64, Float64, Float64]:
    """Resample the canvas' distance in the turned camera.

    Returns the heights (R,) of the rows, the places across (C,) of the columns, and the distance (R, C) in cells.
    """
    inside = canvas.distance > 0
    rim = inside & ~ndimage.binary_erosion(inside)
    seen = camera.unproject(np.argwhere(rim)[:, ::-1] * canvas.cell + canvas.origin) @ axes
    places = seen[:, :2] / -seen[:, 2:]
    low, high = places.min(0), places.max(0)
    step = float((high - low).max()) / rows
    low, high = low - MARGIN * rows * step, high + MARGIN * rows * step
    heights: Float64 = np.arange(low[1], high[1], step)
    reach = int(max(-low[0], high[0]) / step)
    across: Float64 = np.arange(-reach, reach + 1, dtype=np.float64) * step
    rays = np.stack([*np.broadcast_arrays(across, heights[:, None]), -np.ones((len(heights), len(across)))], -1)
    cells = (camera.project(rays @ axes.T) - canvas.origin) / canvas.cell
    distance = ndimage.map_coordinates(
        canvas.distance, [cells[..., 1], cells[..., 0]], np.float64, order=1, cval=OUTSIDE_CELLS
    )
    distance += max(0.0, 1e-3 - float(distance.max()))  # specks may fall between the rows
    return heights, across, distance


def _find_widest_runs(distance: Float64, across: Float64) -> tuple[Float64, Float64]:
    """Find both ends (R,) of the widest run inside of each row, to a fraction of a column; nan for none.

    Returns the left and the right ends.
    """
    left, right = np.full((2, len(distance)), np.nan)
    step = across[1] - across[0]
    change = np.diff((distance > 0).astype(np.int8), axis=1, prepend=0, append=0)
    for row in np.flatnonzero((change != 0).any(1)):
        starts, stops = np.flatnonzero(change[row] > 0), np.flatnonzero(change[row] < 0)
        widest = int(np.argmax(stops - starts))
        start, last, line = int(starts[widest]), int(stops[widest]) - 1, distance[row]
        left[row] = across[start] - step * _find_rim(line[start], line[max(start - 1, 0)])
        right[row] = across[last] + step * _find_rim(line[last], line[min(last + 1, len(line) - 1)])
    return left, right


def _find_rim(within: float, without: float) -> float:
    """Return how far the rim is from a place inside, by the distance to its neighbour outside."""
    return within / (within - without) if without < 0 else 0.0


def _find_column_ends(distance: Float64, heights: Float64) -> tuple[Float64, Float64]:
    """Find the lowest and highest place (C,) of each column, to a fraction of a row; nan for an empty column."""
    inside = distance > 0
    lowest, highest = np.full((2, distance.shape[1]), np.nan)
    step = heights[1] - heights[0]
    for column in np.flatnonzero(inside.any(0)):
        rows, line = np.flatnonzero(inside[:, column]), distance[:, column]
        first, last = int(rows[0]), int(rows[-1])
        lowest[column] = heights[first] - step * _find_rim(line[first], line[max(first - 1, 0)])
        highest[column] = heights[last] + step * _find_rim(line[last], line[min(last + 1, len(line) - 1)])
    return lowest, highest
