"""A box from its silhouette: the cuboid whose picture has the silhouette's convex hull.

Hulls are compared by their support functions (how far they reach in each direction), which needs no corner to be found
and also holds where a side or the top is seen edge-on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import degrees, radians

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial import ConvexHull
from skimage.draw import polygon2mask
from skimage.measure import find_contours

from sam3d_bento.arrays import Float64
from sam3d_bento.engines.preview.camera import Camera, looking_at, tilted
from sam3d_bento.engines.preview.canvas import Canvas

ANGLES = np.radians(np.arange(0, 360, 5))
DIRECTIONS = np.stack([np.cos(ANGLES), np.sin(ANGLES)])
STARTS = [(radians(yaw), radians(pitch)) for pitch in (25, 45, 10) for yaw in (65, 25)]
# What the silhouette leaves open (the depth of what is seen straight on) is settled by what is usual: per unit of these
# deviations the fit may get this much worse, in extents of the silhouette.
USUAL_PITCH, PITCH_DEVIATION = radians(20), radians(20)
ROLL_DEVIATION = radians(3)
SIZE_DEVIATION = 1.0  # of the logarithms of the sizes from their mean
ZOOM_DEVIATION = 0.15  # of the logarithm of the focal length, when it was assumed
USUAL_WEIGHT = 0.0015

LEAST_OVERLAP = 0.975  # intersection over union of silhouette and hull of the cuboid
PERFECT = 0.0015  # error that needs no further start
MOST_ERROR = 0.006  # root mean square difference of the support functions, in extents of the silhouette


@dataclass(frozen=True)
class Cuboid:
    """camera: with the focal length that fits best.
    axes: (3, 3), its x, y (up) and z in the camera frame, as columns; z is the side that is turned to the camera.

    sizes: (3,) along its axes; centre: (3,) in the camera frame; unit: the distance along the line of sight.
    yaw, pitch, roll: radians; how far it is turned about its y, and how the camera looks down on it and leans.
    error: root mean square difference of the support functions in extents; overlap: intersection over union.
    """

    camera: Camera
    axes: Float64
    sizes: Float64
    centre: Float64
    yaw: float
    pitch: float
    roll: float
    error: float
    overlap: float

    @property
    def fits(self) -> bool:
        """Whether the silhouette is that of a box."""
        return self.overlap > LEAST_OVERLAP and self.error < MOST_ERROR

    @property
    def upright(self) -> Float64:
        """(3, 3): right, up and towards the camera on the ground where the box stands, as columns."""
        return self.axes @ _turned(self.yaw).T

    @property
    def figures(self) -> dict[str, float]:
        """How well it fits, for the report."""
        return {
            "support_error": round(self.error, 4),
            "overlap": round(self.overlap, 4),
            "yaw_degrees": round(degrees(self.yaw), 1),
            "elevation_degrees": round(degrees(self.pitch), 1),
            "roll_degrees": round(degrees(self.roll), 1),
        }


def may_be_cuboid(canvas: Canvas) -> bool:
    """Whether the silhouette is convex, which takes less time to see than it takes to fit a cuboid."""
    cells = np.argwhere(canvas.distance > 0).astype(np.float64)
    hull = float(ConvexHull(cells, qhull_options="QJ").volume)  # in the plane, its area
    return len(cells) > LEAST_OVERLAP * hull


def fit_cuboid(canvas: Canvas, camera: Camera, *, calibrated: bool) -> Cuboid:
    """The cuboid that comes closest to the silhouette; `fits` says whether that is close.

    calibrated: whether the camera's focal length is known; else the fit may change it.
    """
    inside = canvas.distance > 0
    outline = np.concatenate(find_contours(canvas.distance, 0.0))[:, ::-1]  # columns, rows
    outline = _hull(outline) * canvas.cell + canvas.origin
    extent = float(np.ptp(outline, axis=0).max())
    middle = (outline.min(0) + outline.max(0)) / 2
    support = (outline @ DIRECTIONS).max(0)
    zoom_deviation = ZOOM_DEVIATION * (1e-3 if calibrated else 1)

    def placed(parameters: Float64) -> tuple[Camera, Float64, Float64]:
        """The camera, the centre (3,) and the axes (3, 3) for yaw, pitch, roll, sizes, place in the photo, and zoom."""
        zoomed = replace(camera, focal_length=camera.focal_length * float(np.exp(parameters[8])))
        ray = zoomed.rays(middle + parameters[6:8] * extent)
        return zoomed, ray / np.linalg.norm(ray), looking_at(ray) @ _orientation(*parameters[:3])

    def residuals(parameters: Float64) -> Float64:
        zoomed, centre, axes = placed(parameters)
        corners = centre + (_SIGNS * np.exp(parameters[3:6])) @ axes.T
        corners[:, 2] = np.minimum(corners[:, 2], -0.05)  # a size tried may reach behind the camera
        difference = ((zoomed.project(corners) @ DIRECTIONS).max(0) - support) / extent
        sizes = parameters[3:6] - parameters[3:6].mean()
        usual = [(parameters[1] - USUAL_PITCH) / PITCH_DEVIATION, parameters[2] / ROLL_DEVIATION]
        usual = [*usual, *(sizes / SIZE_DEVIATION), parameters[8] / zoom_deviation]
        return np.concatenate([difference, USUAL_WEIGHT * len(ANGLES) ** 0.5 * np.array(usual)])

    size = np.log(0.6 * extent / camera.focal_length)
    low = np.array([-0.3, -0.2, -0.25, *[size - 4] * 3, -0.5, -0.5, -0.5])
    high = np.array([np.pi / 2 + 0.3, 1.3, 0.25, *[size + 1.5] * 3, 0.5, 0.5, 0.5])
    best = None
    for yaw, pitch in STARTS:
        run = least_squares(residuals, [yaw, pitch, 0, size, size, size, 0, 0, 0], bounds=(low, high), max_nfev=30)
        best = run if best is None or run.cost < best.cost else best
        if np.square(best.fun[: len(ANGLES)]).mean() < PERFECT**2:
            break
    assert best is not None
    zoomed, centre, axes = placed(best.x)
    yaw, pitch, roll = (float(angle) for angle in best.x[:3])
    corners = centre + (_SIGNS * np.exp(best.x[3:6])) @ axes.T
    drawn = polygon2mask(inside.shape, _hull((zoomed.project(corners) - canvas.origin) / canvas.cell)[:, ::-1])
    return Cuboid(
        camera=zoomed,
        axes=axes,
        sizes=np.exp(best.x[3:6]),
        centre=centre,
        yaw=yaw,
        pitch=pitch,
        roll=roll,
        error=float(np.sqrt(np.square(best.fun[: len(ANGLES)]).mean())),
        overlap=float(np.count_nonzero(drawn & inside) / np.count_nonzero(drawn | inside)),
    )


def _hull(points: Float64) -> Float64:
    """The corners of the convex hull of points (N, 2), in order. Points on one line are joggled."""
    corners: Float64 = points[ConvexHull(points, qhull_options="QJ").vertices]
    return corners


def _turned(yaw: float) -> Float64:
    """Rotation (3, 3) about y."""
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return np.array([[cosine, 0.0, sine], [0.0, 1.0, 0.0], [-sine, 0.0, cosine]])


def _orientation(yaw: float, pitch: float, roll: float) -> Float64:
    """The cuboid's axes (3, 3) as columns, in the frame of a camera that looks down by `pitch` and leans by `roll`."""
    cosine, sine = np.cos(roll), np.sin(roll)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]]) @ tilted(pitch) @ _turned(yaw)


_SIGNS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
