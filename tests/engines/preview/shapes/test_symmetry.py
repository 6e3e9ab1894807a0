from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.shapes.symmetry import TurnedView, turn_to_axis
from sam3d_bento.reconstruction import Mask, Photo

Photographed = Callable[..., tuple[Photo, Mask]]
VASE = [(0.3, -0.8), (0.55, -0.2), (0.25, 0.8)]
PLATE = [(0.5, -0.05), (0.9, 0.08)]


@pytest.fixture
def turned(photographed: Photographed, camera: Camera) -> Callable[[Bool], TurnedView]:
    return lambda pixels: turn_to_axis(cut_out(*photographed(pixels)), camera)


@pytest.mark.slow
@pytest.mark.parametrize("profile", [VASE, PLATE], ids=["tall", "wide"])
@pytest.mark.parametrize("roll", [-6, 0, 4])
def test_a_body_of_revolution_is_symmetric_for_any_place_and_roll(
    seen_circles: Callable[..., Bool],
    turned: Callable[[Bool], TurnedView],
    profile: list[tuple[float, float]],
    roll: float,
) -> None:
    view = turned(seen_circles(profile, 25, roll=roll, shift=(0.3, -0.2)))
    assert view.asymmetry < 0.015
    assert view.roll == pytest.approx(roll, abs=3)  # away from the middle, perspective adds some roll


@pytest.mark.slow
def test_a_handle_does_not_shift_the_axis(
    seen_circles: Callable[..., Bool], turned: Callable[[Bool], TurnedView]
) -> None:
    alone = seen_circles(VASE, 20)
    row, column = np.indices(alone.shape)
    ring = np.hypot(row - 250, column - 330)
    view = turned(alone | ((ring < 50) & (ring > 38)))
    np.testing.assert_allclose(view.half_widths.max(), turned(alone).half_widths.max(), rtol=0.02)
    assert 0.03 < view.asymmetry < 0.15
    assert not view.core[:, view.across > 1.1 * view.half_widths.max()].any()


def test_half_widths_and_ends_are_tangents(turned: Callable[[Bool], TurnedView]) -> None:
    pixels = np.zeros((500, 500), bool)
    pixels[150:350, 200:300] = True
    view = turned(pixels)
    assert np.median(view.half_widths[view.half_widths > 0]) == pytest.approx(50 / 700, rel=0.01)
    middle = np.abs(view.across) < 0.05
    assert np.median(view.highest[middle] - view.lowest[middle]) == pytest.approx(200 / 700, rel=0.01)


def test_a_slanting_shape_has_no_upright_axis(turned: Callable[[Bool], TurnedView]) -> None:
    row, column = np.indices((500, 500)) - 250
    assert turned((np.abs(row - column) < 60) & (np.abs(row) < 120)).asymmetry > 0.2
