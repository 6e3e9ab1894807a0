"""Refine a lathe until its picture has the outline of the silhouette, to a fraction of a pixel.

The circles of the first fit each stay inside the silhouette. Here the whole outline decides on the pose, the focal
length and the profile together, by least squares: elevation and focal length follow from all rims at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import atan2, ceil, cos, degrees, sin
from typing import NamedTuple

import numpy as np
from scipy.interpolate import BSpline
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from skimage.measure import find_contours

from sam3d_bento.arrays import Bool, Float64, Floats
from sam3d_bento.engines.preview.camera import Camera, look_at
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.shapes.lathe import MIN_RADIUS_SHARE, Lathe

PLACES = 240  # of the outline at which the body is compared with it
MAX_EVALUATIONS = 40  # of the differences; most fits need 20 to 30
DERIVATIVE_STEP = 0.1  # in units of a parameter: well above the error of SEARCH, a tenth of a cell at most

# Searches for the place on a line of sight that is nearest to the body, one after the other: the number of places, and
# the length over which they lie, by the body's extent. Each covers two steps of the one before.
SEARCH = ((48, 1.0), (13, 1 / 23.5), (9, 1 / 141), (9, 1 / 564), (9, 1 / 2256))
SEARCH_EXTENT = 1.1  # by the largest radius or height

# Bumps are what a curved piece of the profile may change by: one for each such part of the profile's length.
BUMP_SHARE = 0.07
MIN_PIECE_POINTS = 8  # of a piece that has bumps
STRAIGHT_ROWS = 0.3  # distance from a straight line up to which a piece stays straight, in rows of the turned view

SLOPE_CELLS = 1.5  # distance from the outline, to both sides, between which the distances' slope is measured
MIN_SLOPE = 0.3  # of 1; a smaller one is not measured reliably

# Where a handle was cut off, the outline is not the body's: the depth within the whole silhouette from which this is
# so, and the neighbours on both sides for which it counts too.
CUT_CELLS = 1.5
CUT_NEIGHBOURS = 3

# What a parameter's unit is, so that each moves the outline by about a cell.
ZOOM_UNIT = 0.02  # of the logarithm of the focal length
TURN_UNIT = 0.01  # radians

# The outline leaves some parameters open. These stay as they were: weights of a change by one unit, beside PLACES
# distances in cells. The zoom's is chosen so that the usual deviation of a focal length costs 1.5.
ZOOM_WEIGHT = 0.2
TURN_WEIGHT = 2e-4
PROFILE_WEIGHT = 0.05
BUMP_WEIGHT = 0.15


class _Change(NamedTuple):
    """Change of a lathe and its camera.

    zoom: of the logarithm of the focal length. elevation, roll: in radians. across: of the axis in the photo, in cells.
    up, out (K,): of the heights and radii at the profile's corners, in cells. bumps (B,): in cells.
    """

    zoom: float
    elevation: float
    roll: float
    across: float
    up: Float64
    out: Float64
    bumps: Float64


@dataclass(frozen=True)
class _Outline:
    """Places on the outline of a silhouette.

    pixels (N, 2) float64 in the photo. outwards (N, 2): directions of length 1. own (N,): which are the body's own.
    """

    pixels: Float64
    outwards: Float64
    own: Bool

    @classmethod
    def trace(cls, body: Canvas, silhouette: Canvas) -> _Outline:
        """Trace the longest outline of a body. silhouette: with what was cut off."""
        outline = max(find_contours(body.distance, 0.0), key=len)
        length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(outline, axis=0).T))])
        along = np.arange(PLACES) / PLACES * length[-1]
        cells = np.stack([np.interp(along, length, outline[:, axis]) for axis in (0, 1)])  # rows, columns
        inwards = np.stack([_sample(np.gradient(body.distance, axis=axis), cells) for axis in (1, 0)], 1)
        inwards /= np.maximum(np.linalg.norm(inwards, axis=1, keepdims=True), 1e-6)
        cut = _sample(silhouette.distance, cells) > CUT_CELLS
        near = np.any([np.roll(cut, shift) for shift in range(-CUT_NEIGHBOURS, CUT_NEIGHBOURS + 1)], axis=0)
        return cls(cells[::-1].T * body.cell + body.origin, -inwards, ~near)


class _Family:
    """Lathes and cameras that small changes of one lathe lead to."""

    def __init__(self, lathe: Lathe, canvas: Canvas, camera: Camera, *, calibrated: bool) -> None:
        self._lathe, self._camera = lathe, camera
        self._edge = canvas.cell
        self._cell = canvas.cell / camera.focal_length
        sight = -lathe.view.axes[:, 2]
        self._pixel = camera.project(sight)
        right = look_at(sight).T @ lathe.view.axes[:, 0]
        self._roll = atan2(right[1], right[0])
        self._share = np.linspace(0, 1, len(lathe.radii))
        self._corners = self._share[list(lathe.corners)]
        self._bumps = _shape_bumps(lathe)
        count, bumps = len(self._corners), self._bumps.shape[1]
        # Without a rim, the silhouette shows neither how far the camera looks down nor how close it is.
        known = [ZOOM_UNIT * (lathe.rimmed and not calibrated), TURN_UNIT * lathe.rimmed, TURN_UNIT, 1.0]
        self.units = np.concatenate([known, np.ones(2 * count + bumps)])
        self.weights = np.concatenate(
            [
                [ZOOM_WEIGHT, TURN_WEIGHT, TURN_WEIGHT, TURN_WEIGHT],
                np.full(2 * count, PROFILE_WEIGHT),
                np.full(bumps, BUMP_WEIGHT),
            ]
        )

    def change(self, parameters: Float64) -> tuple[Lathe, Camera]:
        """Return the lathe and the camera that parameters (P,) lead to."""
        values, count = parameters * self.units, len(self._corners)
        change = _Change(*values[:4], *np.split(values[4:], [count, 2 * count]))
        lathe, camera = self._lathe, self._camera
        camera = replace(camera, focal_length=camera.focal_length * float(np.exp(change.zoom)))
        facing = look_at(camera.unproject(self._pixel + np.array([change.across * self._edge, 0.0])))
        roll = self._roll + change.roll
        turn = np.array([[cos(roll), -sin(roll), 0.0], [sin(roll), cos(roll), 0.0], [0.0, 0.0, 1.0]])
        heights = lathe.heights + self._cell * np.interp(self._share, self._corners, change.up)
        out = np.interp(self._share, self._corners, change.out) + self._bumps @ change.bumps
        radii = np.maximum(lathe.radii + self._cell * out, MIN_RADIUS_SHARE * lathe.radii.max())
        shrink = float(np.exp(-change.zoom))  # seen through the longer lens, it is as large as before
        return replace(
            lathe,
            view=replace(lathe.view, axes=facing @ turn, roll=lathe.view.roll + degrees(change.roll)),
            elevation=lathe.elevation + float(change.elevation),
            heights=np.maximum.accumulate(heights) * shrink,
            radii=radii * shrink,
        ), camera


def refine_lathe(
    lathe: Lathe, body: Canvas, silhouette: Canvas, camera: Camera, *, calibrated: bool
) -> tuple[Lathe, Camera]:
    """Refine a lathe that fits a silhouette; return it and the camera, whose focal length may have changed too.

    body: the canvas of the body alone; silhouette: that of all. calibrated: whether the focal length is known, which
    then stays.
    """
    outline = _Outline.trace(body, silhouette)
    family = _Family(lathe, body, camera, calibrated=calibrated)
    step = SLOPE_CELLS * body.cell * outline.outwards
    beyond, within = (_measure_gaps(lathe, camera, outline.pixels + side * step) for side in (1, -1))
    cell = body.cell / camera.focal_length
    slope = np.maximum((beyond - within) / (2 * SLOPE_CELLS), MIN_SLOPE * cell)

    def compute_residuals(parameters: Float64) -> Float64:
        """Return the distances in cells, of which large ones count by their logarithm, and the weighted changes."""
        cells = _measure_gaps(*family.change(parameters), outline.pixels) / slope
        # Cauchy's loss: a chip or a stub of a handle must not bend the rest.
        robust = np.sign(cells) * np.sqrt(np.log1p(cells**2))
        return np.concatenate([np.where(outline.own, robust, 0.0), family.weights * parameters])

    def compute_derivatives(parameters: Float64) -> Float64:
        """Return the derivatives of the residuals by the parameters; scipy's own steps would be too small."""
        here = compute_residuals(parameters)
        steps = DERIVATIVE_STEP * np.eye(len(parameters))
        return np.stack([compute_residuals(parameters + step) - here for step in steps], 1) / DERIVATIVE_STEP

    start = np.zeros(len(family.units))
    best = least_squares(
        compute_residuals, start, jac=compute_derivatives, x_scale="jac", max_nfev=MAX_EVALUATIONS, ftol=1e-4
    )
    return family.change(best.x)


def _measure_gaps(lathe: Lathe, camera: Camera, pixels: Float64) -> Float64:
    """Measure how far lines of sight through pixels (N, 2) pass from a lathe, in its unit (N,); negative inside.

    The distance to the body is that of the surface of revolution, or that beyond its flat ends where this is larger.
    """
    rays = camera.unproject(pixels) @ lathe.axes
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    eye = -lathe.centre @ lathe.axes
    low, high = lathe.heights[0], lathe.heights[-1]
    extent = SEARCH_EXTENT * float(max(lathe.radii.max(), np.abs(lathe.heights).max()))
    every = np.arange(len(rays))
    nearest = -(rays @ eye)
    gap = np.zeros(len(rays))
    for count, share in SEARCH:
        along = nearest[:, None] + extent * share * np.linspace(-1, 1, count)
        x, y, z = (eye[axis] + rays[:, axis, None] * along for axis in range(3))
        beside = np.hypot(x, z) - np.interp(y, lathe.heights, lathe.radii)
        gaps = np.maximum(beside, np.maximum(y - high, low - y))
        best = gaps.argmin(1)
        nearest, gap = along[every, best], gaps[every, best]
    return gap


def _shape_bumps(lathe: Lathe) -> Float64:
    """Shape the bumps (N, B) of the profile's N points: B-splines on each curved piece that are 0 at its ends."""
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(lathe.radii), np.diff(lathe.heights)))])
    bumps = [np.zeros((len(lathe.radii), 0))]
    for start, stop in pairwise(lathe.corners):
        points = stop - start + 1
        chord = np.linspace(lathe.radii[start], lathe.radii[stop], points)
        bend = np.abs(lathe.radii[start : stop + 1] - chord).max()
        if points < MIN_PIECE_POINTS or bend < STRAIGHT_ROWS * lathe.view.step:
            continue
        inner = max(2, ceil((length[stop] - length[start]) / length[-1] / BUMP_SHARE))
        knots = np.concatenate([np.zeros(3), np.linspace(0, 1, inner), np.ones(3)])
        splines = BSpline.design_matrix(np.linspace(0, 1, points), knots, 3).toarray()[:, 1:-1]
        bumps.append(np.pad(splines, ((start, len(lathe.radii) - 1 - stop), (0, 0))))
    return np.concatenate(bumps, 1)


def _sample(grid: Floats, cells: Float64) -> Float64:
    """Sample a grid (R, C) at rows and columns (2, N); return (N,)."""
    values: Float64 = map_coordinates(grid, cells, np.float64, order=1, mode="nearest")
    return values
