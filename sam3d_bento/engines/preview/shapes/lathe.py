r"""Fit a body of revolution to a silhouette: first the camera's elevation, from the ellipse of a rim, then its profile.

The circle at each height is the largest that nowhere leaves the silhouette. So the body fills the silhouette as far as
any body of revolution seen from that elevation can. Perspective is exact: circles are projected, not squashed.

The near arc of the base in the picture, seen from above; the far arc of the upper rim is its mirror image:

      |<--- radius --->|
      |                |                |
      +- - - - - - - axis - - - - - - - +    the circle is widest here
       \               |               /     ^
         '.            |            .'       | sag: depth of the arc
            ''--..     |     ..--''          |
                  ''---+---''                v
                     apex: the silhouette ends here on its axis
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, degrees, radians, sin, sqrt

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float64
from sam3d_bento.engines.preview.camera import tilt
from sam3d_bento.engines.preview.shapes.outline import smooth_outline
from sam3d_bento.engines.preview.shapes.symmetry import OUTSIDE_CELLS, TurnedView

USUAL_ELEVATION = radians(15)  # assumed where neither end of the silhouette shows the elevation
ELEVATIONS = np.radians(np.arange(0, 61))  # elevations that are tried

ARC_SHARE = 0.85  # of a rim's radius, over which its arc is compared: near its ends the arc is almost upright
ARC_POINTS = 41  # points of an arc that are compared with the silhouette
MAX_RESIDUAL_RADII = 0.2  # to which the distance of one point is clipped: one rough place of a mask must not decide
RADIUS_STEPS = 20  # steps of the fixed-point iteration for the radius of a rim


@dataclass(frozen=True)
class RimLimits:
    """Limits within which the end of a silhouette is the arc of a flat circular rim.

    max_rms_radii: root mean square distance from the arc, in radii of the rim.
    clear_rms_radii: distance at which the base is taken without comparison with the upper end.
    max_rms_sags: distance by the depth of the arc; with a larger one, a straight edge would pass for a shallow arc.
    min_radius_share: radius by the largest half width of the silhouette; a smaller rim shows nothing reliably.
    min_sag_radii: depth of the arc in radii; an arc of less depth is a straight edge.
    max_sag_radii: depth of the arc in radii; a deeper one belongs to a round body such as a ball.
    lenient_asymmetry: asymmetry of a silhouette below which a rim may miss the arc by twice as much.
    """

    max_rms_radii: float = 0.015
    clear_rms_radii: float = 0.006
    max_rms_sags: float = 0.3
    min_radius_share: float = 0.3
    min_sag_radii: float = 0.05 * ARC_SHARE**2
    max_sag_radii: float = 0.75 * (1 - sqrt(1 - ARC_SHARE**2))
    lenient_asymmetry: float = 0.005


RIM = RimLimits()

SECTIONS = 400  # heights at which the profile is computed
CIRCLE_POINTS = 49  # points of half a circle that must lie in the silhouette
BISECTIONS = 16  # steps in which the largest circle is found
OVERHANG_CELLS = 0.3  # by which a circle may leave the silhouette: a rim seen edge-on fits into no pointed corner
TOUCHING_DEPTHS = 0.06  # distance by which a circle may miss the end that it touches, by its depth in the picture
FOOT_RADIUS_SHARE = (
    0.6  # foot of a body that hides its base, by the largest circle there; guessed, benchmarks/preview.py
)
MIN_RADIUS_SHARE = 0.01  # least radius by the largest one: keeps the body in one piece

MAX_ASYMMETRY = 0.03  # share of the silhouette that has no mirror image
STUB_ASYMMETRY = 0.05  # the same where a handle was cut off: its stubs are left
MIN_ELLIPSE_OVERLAP = 0.965  # overlap with an ellipse from which a silhouette without a rim is a ball or an egg
NEAR_ASYMMETRY = 0.12  # up to which a silhouette that is refused is said to be near a lathe
MAX_ROLL_DEGREES = 8.0  # by which a body may lean


@dataclass(frozen=True)
class Lathe:
    """Body of revolution. Its unit of length is the distance from the camera to its axis, along the line of sight.

    elevation: the angle in radians by which that line looks down.
    heights, radii: (N,) rising along the axis, from where the line meets it; the body is flat at both ends.
    rim_error: root mean square distance of the lower (or upper) end of the silhouette from the ellipse of a circular
    rim, in radii of the rim.
    rimmed: whether a rim shows the elevation.
    fits: whether the silhouette is that of such a body.
    corners: the places in heights and radii where the outline has an edge, with the first and the last.
    """

    view: TurnedView
    elevation: float
    heights: Float64
    radii: Float64
    corners: tuple[int, ...]
    rim_error: float
    rimmed: bool
    fits: bool

    @property
    def figures(self) -> dict[str, float]:
        """Figures of the fit, for the report."""
        return {
            "asymmetry": round(self.view.asymmetry, 4),
            "rim_error": round(self.rim_error, 4),
            "elevation_degrees": round(degrees(self.elevation), 1),
            "roll_degrees": round(self.view.roll, 1),
        }

    @property
    def nearness(self) -> float | None:
        """Share of the silhouette that has a mirror image, if nearly all has; else None."""
        near = self.view.asymmetry < NEAR_ASYMMETRY and abs(self.view.roll) < MAX_ROLL_DEGREES
        return round(1 - self.view.asymmetry, 3) if near else None

    @property
    def axes(self) -> Float64:
        """The body's x, y (its axis) and z (towards the camera) in the camera frame, as columns (3, 3)."""
        return self.view.axes @ tilt(self.elevation)

    @property
    def centre(self) -> Float64:
        """The place (3,) where the axis meets the line of sight, in the camera frame."""
        return -self.view.axes[:, 2]


@dataclass(frozen=True)
class _Rim:
    """Circle whose arc comes closest to one end of the silhouette.

    elevation: in radians.
    error: root mean square distance from the arc, in radii.
    ends_flat: whether the body ends flat with that circle.
    straight: whether the arc has no depth, like the edge of a flat thing.
    """

    elevation: float
    error: float
    ends_flat: bool
    straight: bool

    @property
    def shows_elevation(self) -> bool:
        """Whether the elevation follows from the arc."""
        return self.ends_flat and not self.straight

    @classmethod
    def fit(cls, view: TurnedView, elevations: Float64, *, near: bool) -> _Rim:
        """Fit a rim to the lower end (near) or the upper end; try the given elevations (E,) in radians."""
        radius, error, sag = _fit_arcs(view, elevations, near=near)
        error = np.where(radius > RIM.min_radius_share * view.half_widths.max(), error, np.inf)
        best = int(error.argmin())
        tolerance = RIM.max_rms_radii + 0.5 * view.step / radius[best]
        if view.asymmetry < RIM.lenient_asymmetry:
            tolerance *= 2
        ends_flat = (
            error[best] < min(tolerance, RIM.max_rms_sags * sag[best])
            and sag[best] < RIM.max_sag_radii
            and elevations[best] < ELEVATIONS[-1]
        )
        elevation = _find_minimum(elevations, error, best)
        return cls(elevation, float(min(error[best], 1.0)), bool(ends_flat), bool(sag[best] < RIM.min_sag_radii))


def fit_lathe(view: TurnedView, *, max_asymmetry: float = MAX_ASYMMETRY) -> Lathe:
    """Fit a body of revolution to the silhouette; `fits` says whether the silhouette is that of one.

    max_asymmetry: share of it that may have no mirror image.
    """
    # A body that widens from its foot hides the foot's arc, but then its upper rim shows.
    base, top = (_Rim.fit(view, ELEVATIONS, near=near) for near in (True, False))
    clearer = base if base.error < RIM.clear_rms_radii or base.error <= top.error else top
    rim = next((end for end in (clearer, base, top) if end.shows_elevation), clearer)
    known = rim.shows_elevation
    ellipsoid = not known and _measure_ellipse_overlap(view.inside) > MIN_ELLIPSE_OVERLAP
    elevation = rim.elevation if known else USUAL_ELEVATION
    heights, radii, corners = _fit_profile(view, elevation, base_ends_flat=base.ends_flat, rimmed=known)
    fits = bool(abs(view.roll) < MAX_ROLL_DEGREES and view.asymmetry < max_asymmetry and (known or ellipsoid))
    return Lathe(view, elevation, heights, radii, corners, rim.error, known, fits)


def _measure_ellipse_overlap(inside: Bool) -> float:
    """Return the intersection over union of a silhouette (R, C) with the ellipse of equal area and second moments."""
    places = np.argwhere(inside) - np.argwhere(inside).mean(0)
    spread = places.T @ places / len(places)
    grid = np.indices(inside.shape).reshape(2, -1).T - np.argwhere(inside).mean(0)
    ellipse = np.einsum("ni,ij,nj->n", grid, np.linalg.pinv(spread), grid) < 4
    return np.count_nonzero(ellipse & inside.ravel()) / np.count_nonzero(ellipse | inside.ravel())


def _fit_arcs(view: TurnedView, elevations: Float64, *, near: bool) -> tuple[Float64, Float64, Float64]:
    """Fit for each elevation (E,) the circle whose near (far) arc ends the silhouette below (above).

    The circle is as wide as the silhouette is at its widest points. Returns its radius, the root mean square distance
    of its arc from the silhouette's end, and its sag, the latter two in radii; all (E,).
    """
    side = 1.0 if near else -1.0
    ends = view.lowest if near else view.highest
    apex = _find_apex(view, ends)
    cosine, sine = np.cos(elevations), np.sin(elevations)
    widest = float(view.half_widths.max())

    radius = np.full(len(elevations), 0.7 * widest)
    for _ in range(RADIUS_STEPS):  # until the silhouette is as wide as the circle where the circle is widest
        height = _touch(apex, side * radius, cosine, sine)
        x, y = _project_circles(height, radius, elevations, np.array([np.pi / 2]))
        wanted = np.interp(y[:, 0], view.heights, view.half_widths)
        radius = np.clip(radius * (0.3 + 0.7 * wanted / x[:, 0]), 0.03 * widest, 1.1 * widest)
    angles = np.arcsin(np.linspace(-ARC_SHARE, ARC_SHARE, ARC_POINTS))
    height = _touch(apex, side * radius, cosine, sine)
    x, y = _project_circles(height, radius, elevations, angles if near else np.pi - angles)
    known = np.isfinite(ends)
    residual = np.interp(x, view.across[known], ends[known]) - y
    clipped = np.clip(residual / radius[:, None], -MAX_RESIDUAL_RADII, MAX_RESIDUAL_RADII)
    return radius, np.sqrt(np.square(clipped).mean(1)), np.ptp(y, axis=1) / radius


def _find_apex(view: TurnedView, ends: Float64) -> float:
    """Find where the silhouette ends on its axis. ends (C,): where its columns end."""
    middle = ends[np.abs(view.across) <= 1.5 * view.step]
    known = middle if np.isfinite(middle).any() else ends  # nothing lies on the axis of two legs
    return float(np.nanmedian(known))


def _project_circles(height: Float64, radius: Float64, elevation: Float64, angles: Float64) -> tuple[Float64, Float64]:
    """Project A points of E horizontal circles; return x and y (E, A) in tangents.

    height, radius, elevation (E,); angles (A,) in radians, 0 nearest to the camera.
    """
    cosine, sine = np.cos(elevation)[:, None], np.sin(elevation)[:, None]
    forward = radius[:, None] * np.cos(angles)
    depth = 1 - height[:, None] * sine - forward * cosine
    return radius[:, None] * np.sin(angles) / depth, (height[:, None] * cosine - forward * sine) / depth


def _find_minimum(places: Float64, values: Float64, index: int) -> float:
    """Return the place of the minimum of the parabola through the value at `index` and its neighbours."""
    if not 0 < index < len(values) - 1 or not np.isfinite(values[index - 1 : index + 2]).all():
        return float(places[index])
    before, here, after = values[index - 1 : index + 2]
    return float(places[index] + (places[1] - places[0]) * (before - after) / 2 / (before - 2 * here + after))


def _fit_profile(
    view: TurnedView, elevation: float, *, base_ends_flat: bool, rimmed: bool
) -> tuple[Float64, Float64, tuple[int, ...]]:
    """Fit the heights and radii (N,) of the largest circles inside the silhouette, and the corners of this outline.

    base_ends_flat: whether the lower end is the arc of the base. rimmed: whether the body has a flat end at all.
    """
    cosine, sine = cos(elevation), sin(elevation)
    bottom, top = _find_apex(view, view.lowest), _find_apex(view, view.highest)
    heights = np.linspace(bottom / (cosine + bottom * sine), top / (cosine + top * sine), SECTIONS)
    largest = _find_largest_circles(view, elevation, heights)
    low, high = _find_ends(view, elevation, heights, largest, base_ends_flat=base_ends_flat, rimmed=rimmed)
    radii, corners = smooth_outline(heights[low : high + 1], largest[low : high + 1], view.step)
    radii = np.maximum(radii, max(MIN_RADIUS_SHARE * radii.max(), view.step / 2))
    heights = heights[low : high + 1].copy()
    # The end circles were chosen with a tolerance. Now they are moved to touch the ends of the silhouette.
    either = np.array([-1.0, 1.0])
    heights[0] = min(_touch(bottom, either * radii[0], cosine, sine).max(), heights[1] - view.step / 4)
    heights[-1] = max(_touch(top, either * radii[-1], cosine, sine).min(), heights[-2] + view.step / 4)
    return heights, radii, corners


def _find_largest_circles(view: TurnedView, elevation: float, heights: Float64) -> Float64:
    """Find by bisection the radius (N,) of the largest circle at each height (N,) that stays in the silhouette."""
    elevations = np.full(len(heights), elevation)
    angles = np.linspace(0, np.pi, CIRCLE_POINTS)
    least, most = np.zeros(len(heights)), np.full(len(heights), 1.2 * float(view.half_widths.max()))
    for _ in range(BISECTIONS):
        radius = (least + most) / 2
        x, y = _project_circles(heights, radius, elevations, angles)
        place = np.stack([y - view.heights[0], x - view.across[0]]) / view.step
        fits = ndimage.map_coordinates(view.shared, place, order=1, cval=OUTSIDE_CELLS) >= -OVERHANG_CELLS
        fits |= x < np.interp(y, view.heights, view.half_widths) - 2 * view.step  # over a hole in the mask
        fits = fits.all(1)
        least, most = np.where(fits, radius, least), np.where(fits, most, radius)
    return least


def _find_ends(
    view: TurnedView, elevation: float, heights: Float64, radii: Float64, *, base_ends_flat: bool, rimmed: bool
) -> tuple[int, int]:
    """Find the circles with which the body ends; return the indices of the lowest and of the highest.

    The body ends flat with the largest of the circles that touch the end of the silhouette. What lies beyond is hidden
    behind that circle (or below it), and smaller circles there would only make the body pointed. A body that widens
    from its foot hides the arc of its base. Its foot is taken to be the lowest circle at least FOOT_RADIUS_SHARE as
    wide as that one. A body without a rim, such as a ball, goes on to the last circle above.
    """
    bottom, top = _find_apex(view, view.lowest), _find_apex(view, view.highest)
    _, y = _project_circles(heights, radii, np.full(len(heights), elevation), np.array([0, np.pi]))
    lower, upper = y.min(1), y.max(1)  # circles higher than the camera are seen from below
    tolerance = view.step + TOUCHING_DEPTHS * (upper - lower)  # a lid is seen less steeply than a base
    touching = np.where(lower < bottom + view.step, radii, -1)
    low = int((touching >= (1 if base_ends_flat else FOOT_RADIUS_SHARE) * touching.max()).argmax())
    high = int(np.where(upper > top - tolerance, radii, -1).argmax()) if rimmed else len(heights) - 1
    if high - low < 2:
        return 0, len(heights) - 1
    return low, high


def _touch(apex: float, radius: Float64, cosine: Float64 | float, sine: Float64 | float) -> Float64:
    """Return the height of the circle whose nearest point is seen at `apex`; its farthest point for a negative radius.

    cosine, sine: of the elevation.
    """
    height: Float64 = (apex * (1 - radius * cosine) + radius * sine) / (cosine + apex * sine)
    return height
