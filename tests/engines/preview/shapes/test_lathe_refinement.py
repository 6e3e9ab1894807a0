"""The outline of a silhouette shows how a lathe stands, and how far away, to a fraction of a degree."""

from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.shapes.lathe import Lathe, fit_lathe
from sam3d_bento.engines.preview.shapes.lathe_refinement import refine_lathe
from sam3d_bento.engines.preview.shapes.symmetry import turn_to_axis
from sam3d_bento.reconstruction import Mask, Photo

Refine = Callable[..., tuple[Lathe, Camera]]
Circles = Callable[..., Bool]
GOBLET = [(0.35, -0.8), (0.1, -0.7), (0.08, -0.2), (0.4, 0.2), (0.45, 0.7)]
CAN = [(0.4, -0.6), (0.4, 0.6)]


@pytest.fixture
def refine(photographed: Callable[..., tuple[Photo, Mask]]) -> Refine:
    def refine(pixels: Bool, camera: Camera, *, calibrated: bool) -> tuple[Lathe, Camera]:
        canvas = cut_out(*photographed(pixels))
        lathe = fit_lathe(turn_to_axis(canvas, camera))
        return refine_lathe(lathe, canvas, canvas, camera, calibrated=calibrated)

    return refine


@pytest.mark.parametrize("profile", [GOBLET, CAN], ids=["goblet", "can"])
@pytest.mark.parametrize("elevation", [15, 30])
def test_elevation_and_profile_follow_from_all_rims_together(
    refine: Refine, seen_circles: Circles, camera: Camera, profile: list[tuple[float, float]], elevation: float
) -> None:
    lathe, _ = refine(seen_circles(profile, elevation), camera, calibrated=True)
    assert np.degrees(lathe.elevation) == pytest.approx(elevation, abs=1)
    radii, heights = np.array(profile).T
    share = np.linspace(0.02, 0.98, 40)
    found = np.interp(share, np.linspace(0, 1, len(lathe.radii)), lathe.radii) * 4  # it stands 4 units away
    expected = np.interp(heights[0] + share * np.ptp(heights), heights, radii)
    assert np.median(np.abs(found - expected)) < 0.01


@pytest.mark.parametrize("elevation", [15, 30])
def test_an_unknown_focal_length_is_found_with_the_lathe(
    refine: Refine, seen_circles: Circles, camera: Camera, elevation: float
) -> None:
    wrong = Camera(camera.focal_length * 0.85, camera.width, camera.height)
    _, found = refine(seen_circles(CAN, elevation), wrong, calibrated=False)
    assert found.focal_length == pytest.approx(camera.focal_length, rel=0.07)


def test_a_known_focal_length_stays(refine: Refine, seen_circles: Circles, camera: Camera) -> None:
    assert refine(seen_circles(CAN, 20), camera, calibrated=True)[1] == camera


def test_a_ball_stays_a_ball(refine: Refine, disc: Callable[..., Bool], camera: Camera) -> None:
    ball, _ = refine(disc(500, 120), camera, calibrated=False)
    assert np.ptp(ball.heights) == pytest.approx(2 * ball.radii.max(), rel=0.06)


def test_a_chip_does_not_bend_the_rest(refine: Refine, seen_circles: Circles, camera: Camera) -> None:
    whole = seen_circles(CAN, 25)
    chipped = whole.copy()
    chipped[240:256, 285:] = False
    expected, _ = refine(whole, camera, calibrated=True)
    lathe, _ = refine(chipped, camera, calibrated=True)
    assert np.degrees(lathe.elevation) == pytest.approx(np.degrees(expected.elevation), abs=0.5)
    assert lathe.radii.max() == pytest.approx(expected.radii.max(), rel=0.01)
