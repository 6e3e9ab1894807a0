from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.shapes.lathe import Lathe, fit_lathe
from sam3d_bento.engines.preview.shapes.symmetry import turn_to_axis
from sam3d_bento.reconstruction import Mask, Photo

Fit = Callable[[Bool], Lathe]
Circles = Callable[..., Bool]
BOTTLE = [(0.3, -0.9), (0.3, 0.2), (0.1, 0.5), (0.1, 0.9)]
BOWL = [(0.3, -0.3), (0.6, -0.05), (0.7, 0.3)]
CAN = [(0.4, -0.6), (0.4, 0.6)]


@pytest.fixture
def fit(photographed: Callable[..., tuple[Photo, Mask]], camera: Camera) -> Fit:
    return lambda pixels: fit_lathe(turn_to_axis(cut_out(*photographed(pixels)), camera))


@pytest.mark.slow
@pytest.mark.parametrize("profile", [BOTTLE, BOWL, CAN], ids=["bottle", "bowl", "can"])
@pytest.mark.parametrize("elevation", [12, 22, 35])
def test_elevation_and_profile_are_found(
    fit: Fit, seen_circles: Circles, profile: list[tuple[float, float]], elevation: float
) -> None:
    lathe = fit(seen_circles(profile, elevation))
    assert lathe.fits
    assert np.degrees(lathe.elevation) == pytest.approx(elevation, abs=3)
    radii, heights = np.array(profile).T
    size = np.ptp(lathe.heights) / np.ptp(heights)
    assert size == pytest.approx(
        1 / 4, rel=0.25 if profile is BOWL else 0.06
    )  # it stands 4 units away; a bowl hides its foot
    middle = np.linspace(0.1, 0.9, 30)
    found = np.interp(middle, np.linspace(0, 1, len(lathe.radii)), lathe.radii) / size
    expected = np.interp(heights[0] + middle * np.ptp(heights), heights, radii)
    assert np.abs(found / found.max() - expected / expected.max()).mean() < (0.12 if profile is BOWL else 0.06)


@pytest.mark.slow
def test_a_flat_lid_stays_flat(fit: Fit, seen_circles: Circles) -> None:
    lathe = fit(seen_circles(CAN, 25))
    assert lathe.radii[-1] > 0.93 * lathe.radii.max()
    assert lathe.radii[0] > 0.93 * lathe.radii.max()


def test_a_ball_fits_although_it_shows_no_elevation(fit: Fit, disc: Callable[..., Bool]) -> None:
    lathe = fit(disc(500, 120))
    assert lathe.fits
    assert np.ptp(lathe.heights) == pytest.approx(2 * lathe.radii.max(), rel=0.06)


def test_silhouettes_with_a_straight_base_or_without_an_axis_do_not_fit(fit: Fit) -> None:
    row, column = np.indices((500, 500)) - 250
    cross = ((np.abs(row) < 150) & (np.abs(column) < 40)) | ((np.abs(row + 40) < 30) & (np.abs(column) < 110))
    heart = (row**2 + 1.6 * column**2 - 200 * np.abs(column) * 0.9 < 120**2) & (row > -110)
    two_legs = (np.abs(row) < 150) & (np.abs(np.abs(column) - 60) < 25)
    cat = cross | (np.hypot(row - 100, column - 120) < 60)
    for pixels in (cross, heart, two_legs, cat):
        assert not fit(pixels).fits


def test_figures_are_json_numbers(fit: Fit, seen_circles: Circles) -> None:
    assert {name: type(value) for name, value in fit(seen_circles(CAN, 20)).figures.items()} == {
        "asymmetry": float,
        "rim_error": float,
        "elevation_degrees": float,
        "roll_degrees": float,
    }
