import numpy as np
import pytest

from sam3d_bento.engines.preview.shapes.outline import smooth_outline

HEIGHTS = np.linspace(-1, 1, 400)
STEP = 2 / 360
SHOULDER = np.interp(HEIGHTS, [-1, 0.2, 0.5, 1], [0.6, 0.6, 0.2, 0.2])


@pytest.fixture
def ragged() -> np.ndarray:
    """Return what the pixels of a mask leave on an outline."""
    return np.random.default_rng(0).normal(0, 0.2 * STEP, 400)


def test_a_straight_outline_becomes_straight(ragged: np.ndarray) -> None:
    radii, corners = smooth_outline(HEIGHTS, 0.5 + 0.1 * HEIGHTS + ragged, STEP)
    assert corners == (0, 399)
    np.testing.assert_allclose(np.diff(radii, 2), 0, atol=1e-9)
    np.testing.assert_allclose(radii, 0.5 + 0.1 * HEIGHTS, atol=0.2 * STEP)


def test_corners_stay_and_the_pieces_between_them_are_straight(ragged: np.ndarray) -> None:
    radii, corners = smooth_outline(HEIGHTS, SHOULDER + ragged, STEP)
    np.testing.assert_allclose(HEIGHTS[list(corners)], [-1, 0.2, 0.5, 1], atol=0.02)
    np.testing.assert_allclose(radii, SHOULDER, atol=1.5 * STEP)
    assert np.abs(np.diff(radii[:230], 2)).max() < 1e-9


def test_a_bulge_keeps_its_shape_without_the_pixels(ragged: np.ndarray) -> None:
    bulge = 0.4 + 0.2 * np.cos(2 * HEIGHTS)
    radii, _ = smooth_outline(HEIGHTS, bulge + ragged, STEP)
    np.testing.assert_allclose(radii, bulge, atol=0.7 * STEP)
    assert np.abs(np.diff(radii, 2))[5:-5].max() < 0.1 * np.abs(np.diff(bulge + ragged, 2)).max()


def test_an_outline_of_few_points_is_left_alone() -> None:
    radii = np.array([0.2, 0.4, 0.3])
    smooth, corners = smooth_outline(np.arange(3.0), radii, 0.1)
    np.testing.assert_array_equal(smooth, radii)
    assert corners == (0, 2)
