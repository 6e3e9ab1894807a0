"""A body of revolution from its silhouette: the camera's elevation from the ellipse of its base, then its profile.

The circle at each height is the largest that nowhere leaves the silhouette, so the body fills the silhouette as far as
any body of revolution seen from that elevation can. Perspective is exact: circles are projected, not squashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, degrees, radians, sin, sqrt

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float64
from sam3d_bento.engines.preview.camera import tilted
from sam3d_bento.engines.preview.shapes.symmetry import TurnedView

USUAL_ELEVATION = radians(15)  # assumed where the base tells nothing
ELEVATIONS = np.radians(np.arange(0, 61))
ARC = 0.85  # share of a rim's radius over which its arc is compared: at its ends it is nearly upright
RIM_TOLERANCE = 0.015  # root mean square distance from the arc, in radii of the rim
CLEAR = 0.006  # error at which the base needs no comparison with the upper end
LEAST_RIM = 0.3  # radius of a rim that tells, by the largest half width
LEAST_SAG = 0.05 * ARC**2  # depth of the arc in radii: less is a straight edge
SHARE_OF_SAG = 0.3  # by which the arc may be missed, or a straight edge would pass for a shallow arc
STEEPEST_SAG = 0.75 * (1 - sqrt(1 - ARC**2))  # more is a body that is round itself, as a ball
TOUCHING = 0.06  # share of a circle's depth in the picture by which it may miss the end that it touches
OVERHANG = 1.0  # cells by which a circle may leave the silhouette: a rim seen edge-on fits into no pointed corner
FOOT = 0.6
SECTIONS = 400  # heights at which the profile is known
THINNEST = 0.01  # by the largest radius: keeps the body in one piece

PERFECT = 0.005  # asymmetry with which a rim needs to fit only half as well
MOST_ASYMMETRY = 0.03  # share of the silhouette that has no mirror image
LEAST_ELLIPSE = 0.965  # overlap of a silhouette without a rim that still is a body of revolution: a ball, an egg
MOST_LEAN = 8.0  # degrees of roll
MOST_HANDLE = 0.25  # share of the silhouette that may stick out at one side
LEAST_PIECE = 0.75  # share of it that hangs together


@dataclass(frozen=True)
class Lathe:
    """A body of revolution. Its unit of length is the distance from the camera to its axis, along the line of sight.

    elevation: the angle in radians by which that line looks down. heights, radii: (N,) along the axis from where the
    line meets it, rising; the body ends flat at both ends. rim_error: root mean square distance between the lower end
    (or upper) end of the silhouette and the ellipse of a circular rim, in radii. handle_side: -1 or 1 when something
    sticks out of the left or right side of it. fits: whether the silhouette is that of such a body, with handle or not.
    """

    view: TurnedView
    elevation: float
    heights: Float64
    radii: Float64
    rim_error: float
    handle_side: int
    fits: bool

    @property
    def figures(self) -> dict[str, float]:
        """How well it fits, for the report."""
        return {
            "asymmetry": round(self.view.asymmetry, 4),
            "rim_error": round(self.rim_error, 4),
            "elevation_degrees": round(degrees(self.elevation), 1),
            "roll_degrees": round(self.view.roll, 1),
        }

    @property
    def axes(self) -> Float64:
        """(3, 3): the body's x, y (its axis) and z (towards the camera) in the camera frame, as columns."""
        return self.view.axes @ tilted(self.elevation)

    @property
    def centre(self) -> Float64:
        """(3,): where the axis meets the line of sight, in the camera frame."""
        return -self.view.axes[:, 2]


@dataclass(frozen=True)
class _Ending:
    """The circle whose arc comes closest to one end of the silhouette.

    elevation in radians; error: root mean square distance from the arc in radii; tells: whether the
    body ends flat with that circle; straight: whether the arc has no depth, as the edge of a flat thing.
    """

    elevation: float
    error: float
    tells: bool
    straight: bool

    @classmethod
    def of(cls, view: TurnedView, elevations: Float64, *, near: bool) -> _Ending:
        """At the elevation, of those given, where it comes closest. near: the lower end, else the upper one."""
        radius, error, sag = _rims(view, elevations, near=near)
        error = np.where(radius > LEAST_RIM * view.half_widths.max(), error, np.inf)
        best = int(error.argmin())
        tolerance = RIM_TOLERANCE + 0.5 * view.step / radius[best]
        if view.asymmetry < PERFECT:
            tolerance *= 2
        tells = (
            error[best] < min(tolerance, SHARE_OF_SAG * sag[best])
            and sag[best] < STEEPEST_SAG
            and elevations[best] < ELEVATIONS[-1]
        )
        elevation = _minimum(elevations, error, best)
        return cls(elevation, float(min(error[best], 1.0)), bool(tells), bool(sag[best] < LEAST_SAG))


def fit_lathe(view: TurnedView) -> Lathe:
    """The body of revolution that the silhouette suggests; `fits` says whether it is one."""
    # A body that widens from its foot hides the foot's arc, but then its upper rim shows.
    base, top = (_Ending.of(view, ELEVATIONS, near=near) for near in (True, False))
    clearer = base if base.error < CLEAR or base.error <= top.error else top
    ending = next((end for end in (clearer, base, top) if end.tells and not end.straight), clearer)
    known = ending.tells and not ending.straight
    ellipsoid = not known and _overlap_with_ellipse(view.inside) > LEAST_ELLIPSE
    elevation = ending.elevation if known else USUAL_ELEVATION
    heights, radii = _profile(view, elevation, base_tells=base.tells, rimmed=known)
    side = _handle_side(view) if known else 0
    fits = abs(view.roll) < MOST_LEAN and (view.asymmetry < MOST_ASYMMETRY or side != 0)
    fits = fits and (known or ellipsoid)
    return Lathe(view, elevation, heights, radii, ending.error, side, fits)


def _handle_side(view: TurnedView) -> int:
    """-1 or 1 when what makes the silhouette asymmetric is one piece at the left or right; else 0."""
    rest = view.inside & ~view.core
    if not MOST_ASYMMETRY <= view.asymmetry < MOST_HANDLE:
        return 0
    pieces, count = ndimage.label(rest)
    area = ndimage.sum_labels(rest, pieces, np.arange(1, count + 1))
    columns = np.nonzero(pieces == 1 + int(area.argmax()))[1]
    sides = np.sign(view.across[columns])
    if area.max() < LEAST_PIECE * area.sum() or abs(sides.mean()) < 1:
        return 0
    return int(sides[0])


def _overlap_with_ellipse(inside: Bool) -> float:
    """Intersection over union of a silhouette (R, C) with the ellipse that has its area and second moments."""
    places = np.argwhere(inside) - np.argwhere(inside).mean(0)
    spread = places.T @ places / len(places)
    grid = np.indices(inside.shape).reshape(2, -1).T - np.argwhere(inside).mean(0)
    ellipse = np.einsum("ni,ij,nj->n", grid, np.linalg.pinv(spread), grid) < 4
    return np.count_nonzero(ellipse & inside.ravel()) / np.count_nonzero(ellipse | inside.ravel())


def _rims(view: TurnedView, elevations: Float64, *, near: bool) -> tuple[Float64, Float64, Float64]:
    """For each of E elevations the circle whose near (far) arc ends the silhouette below (above), as wide as that is.

    Returns its radius, the root mean square distance of its arc from the silhouette's end and the depth of that arc,
    both in radii; all (E,).
    """
    side = 1.0 if near else -1.0
    ends = view.lowest if near else view.highest
    apex = _apex(view, ends)
    cosine, sine = np.cos(elevations), np.sin(elevations)
    widest = float(view.half_widths.max())

    radius = np.full(len(elevations), 0.7 * widest)
    for _ in range(20):  # until the silhouette is as wide as the circle where the circle is widest
        x, y = _circle(_touching(apex, side * radius, cosine, sine), radius, elevations, np.array([np.pi / 2]))
        wanted = np.interp(y[:, 0], view.heights, view.half_widths)
        radius = np.clip(radius * (0.3 + 0.7 * wanted / x[:, 0]), 0.03 * widest, 1.1 * widest)
    angles = np.arcsin(np.linspace(-ARC, ARC, 41))
    x, y = _circle(_touching(apex, side * radius, cosine, sine), radius, elevations, angles if near else np.pi - angles)
    known = np.isfinite(ends)
    residual = np.interp(x, view.across[known], ends[known]) - y
    # The edge of a mask is rough here and there; one such place must not decide.
    error = np.sqrt(np.square(np.clip(residual / radius[:, None], -0.2, 0.2)).mean(1))
    return radius, error, np.ptp(y, axis=1) / radius


def _apex(view: TurnedView, ends: Float64) -> float:
    """Where the silhouette ends on its axis; `ends` (C,): where its columns do."""
    middle = ends[np.abs(view.across) <= 1.5 * view.step]
    known = middle if np.isfinite(middle).any() else ends  # nothing lies on the axis of two legs
    return float(np.nanmedian(known))


def _circle(height: Float64, radius: Float64, elevation: Float64, angles: Float64) -> tuple[Float64, Float64]:
    """Where A points of E horizontal circles are seen, x and y (E, A) in tangents; angle 0 is nearest to the camera."""
    cosine, sine = np.cos(elevation)[:, None], np.sin(elevation)[:, None]
    forward = radius[:, None] * np.cos(angles)
    depth = 1 - height[:, None] * sine - forward * cosine
    return radius[:, None] * np.sin(angles) / depth, (height[:, None] * cosine - forward * sine) / depth


def _minimum(places: Float64, values: Float64, index: int) -> float:
    """Where the parabola through the value at `index` and its neighbours is least."""
    if not 0 < index < len(values) - 1 or not np.isfinite(values[index - 1 : index + 2]).all():
        return float(places[index])
    before, here, after = values[index - 1 : index + 2]
    return float(places[index] + (places[1] - places[0]) * (before - after) / 2 / (before - 2 * here + after))


def _profile(view: TurnedView, elevation: float, *, base_tells: bool, rimmed: bool) -> tuple[Float64, Float64]:
    """Heights and radii (N,) of the largest circles inside the silhouette.

    The body ends flat with the largest of the circles that touch the end of the silhouette: what lies beyond is hidden
    behind that circle (or below it), and smaller circles there would only make it pointed. Where a body that widens
    from its foot hides the base's arc, the foot is narrower than that by a guess, FOOT. What has no rim, as a ball,
    goes on to the last circle above.
    """
    cosine, sine = cos(elevation), sin(elevation)
    bottom, top = _apex(view, view.lowest), _apex(view, view.highest)
    heights = np.linspace(bottom / (cosine + bottom * sine), top / (cosine + top * sine), SECTIONS)
    angles = np.linspace(0, np.pi, 49)
    least, most = np.zeros(SECTIONS), np.full(SECTIONS, 1.2 * float(view.half_widths.max()))
    for _ in range(16):  # bisection
        radius = (least + most) / 2
        x, y = _circle(heights, radius, np.full(SECTIONS, elevation), angles)
        place = np.stack([y - view.heights[0], x - view.across[0]]) / view.step
        fits = ndimage.map_coordinates(view.shared, place, order=1, cval=-9) >= -OVERHANG
        fits |= x < np.interp(y, view.heights, view.half_widths) - 2 * view.step  # over a hole in the mask
        fits = fits.all(1)
        least, most = np.where(fits, radius, least), np.where(fits, most, radius)
    _, y = _circle(heights, least, np.full(SECTIONS, elevation), np.array([0, np.pi]))
    lower, upper = y.min(1), y.max(1)  # what stands higher than the camera is seen from below
    grace = view.step + TOUCHING * (upper - lower)  # a lid is seen less steeply than a base
    touching = np.where(lower < bottom + view.step, least, -1)
    low = int((touching >= (1 if base_tells else FOOT) * touching.max()).argmax())
    high = int(np.where(upper > top - grace, least, -1).argmax()) if rimmed else SECTIONS - 1
    if high - low < 2:
        low, high = 0, SECTIONS - 1
    radii = ndimage.gaussian_filter1d(least[low : high + 1], 1.0, mode="nearest")
    radii = np.maximum(radii, max(THINNEST * radii.max(), view.step / 2))
    heights = heights[low : high + 1].copy()
    # Both ends were chosen with some grace; now they touch.
    either = np.array([-1.0, 1.0])
    heights[0] = min(_touching(bottom, either * radii[0], cosine, sine).max(), heights[1] - view.step / 4)
    heights[-1] = max(_touching(top, either * radii[-1], cosine, sine).min(), heights[-2] + view.step / 4)
    return heights, radii


def _touching(apex: float, radius: Float64, cosine: Float64 | float, sine: Float64 | float) -> Float64:
    """Height of the circle whose nearest point is seen at `apex`; of its farthest point, for a negative radius."""
    height: Float64 = (apex * (1 - radius * cosine) + radius * sine) / (cosine + apex * sine)
    return height
