import numpy as np
import pytest

from sam3d_bento.engines.preview.height import _upper_envelope, compute_squared_height


def test_a_disc_becomes_a_ball() -> None:
    row, column = np.indices((121, 121)) - 60.0
    from_centre = np.hypot(row, column)
    square = compute_squared_height((50 - from_centre).astype(np.float32))
    inside = from_centre < 49
    np.testing.assert_allclose(np.sqrt(square[inside]), np.sqrt(50**2 - from_centre[inside] ** 2), atol=1)


def test_a_strip_becomes_a_rod() -> None:
    row = np.indices((61, 200))[0] - 30.0
    square = compute_squared_height((20 - np.abs(row)).astype(np.float32))
    np.testing.assert_allclose(np.sqrt(square[30, 60:140]), 20, atol=0.8)
    np.testing.assert_allclose(np.sqrt(square[45, 60:140]), np.sqrt(20**2 - 15**2), atol=0.8)


def test_a_thin_handle_is_as_deep_as_it_is_wide() -> None:
    row, column = np.indices((121, 240)) - 60.0
    body, handle = 50 - np.hypot(row, column), np.where(column > 0, 4 - np.abs(row), -9)
    square = compute_squared_height(np.maximum(body, handle).astype(np.float32))
    assert np.sqrt(square[60, 60]) == pytest.approx(50, rel=0.05)
    np.testing.assert_allclose(np.sqrt(square[60, 140:220]), 4, atol=0.5)


def test_the_zero_level_is_the_silhouette_to_a_fraction_of_a_cell() -> None:
    # The rim lies at 0.3 of a cell.
    row, column = np.indices((60, 60)).astype(float)
    distance = np.minimum.reduce([column - 10.3, 49.7 - column, row - 10.3, 49.7 - row]).astype(np.float32)
    left, right = compute_squared_height(distance)[30, 10:12]
    assert left < 0 < right
    assert -left / (right - left) == pytest.approx(0.3, abs=0.01)


def test_the_envelope_is_the_maximum_of_all_parabolas() -> None:
    values = np.random.default_rng(1).uniform(0, 30, (5, 40)).astype(np.float32)
    cell = np.arange(40)
    expected = (values[:, None, :] - (cell[:, None] - cell) ** 2).max(2)
    np.testing.assert_allclose(_upper_envelope(values, 6), expected, rtol=1e-6)
