import numpy as np
import pytest

from sam3d_bento.arrays import Floats, Indices
from sam3d_bento.export.uv.cuts import MAX_BOX_EDGE
from sam3d_bento.export.uv.density import LARGEST_FACTOR, SMALLEST_FACTOR, choose_factors

CHARTS, FACES = 6, 2000  # charts, and faces of each, all of area 1


def charts() -> tuple[Floats, Indices, Floats]:
    """Return the areas, the labels, and boxes that are as large as their charts."""
    labels = np.repeat(np.arange(CHARTS), FACES)
    return np.ones(len(labels)), labels, np.full((CHARTS, 2), np.sqrt(FACES))


def test_charts_with_more_detail_are_larger_and_all_together_are_as_large_as_before() -> None:
    areas, labels, boxes = charts()
    factors = choose_factors(4.0**labels, areas, labels, boxes)
    assert (np.diff(factors) > 0).all()
    assert (factors**2).mean() == pytest.approx(1)


def test_sixteen_times_the_squared_error_makes_edges_twice_as_long() -> None:
    areas, labels, boxes = charts()
    factors = choose_factors(np.where(labels < 3, 1.0, 16.0), areas, labels, boxes)
    assert factors[3] / factors[0] == pytest.approx(2, rel=0.1)  # less the part of the whole in each chart


def test_no_detail_and_even_detail_leave_all_charts_as_they_are() -> None:
    areas, labels, boxes = charts()
    for detail in (np.zeros(len(labels)), np.full(len(labels), 7.0), np.full(len(labels), np.nan)):
        np.testing.assert_allclose(choose_factors(detail, areas, labels, boxes), 1)


def test_faces_without_a_value_do_not_count() -> None:
    areas, labels, boxes = charts()
    detail = np.where(labels < 3, 1.0, 16.0)
    half = np.where(np.arange(len(labels)) % 2, detail, np.nan)
    expected = choose_factors(detail, areas, labels, boxes)
    np.testing.assert_allclose(choose_factors(half, areas, labels, boxes), expected, rtol=0.05)


def test_the_ratio_of_factors_is_bounded() -> None:
    areas, labels, boxes = charts()
    factors = choose_factors(np.where(labels == 0, 1e9, 1e-9), areas, labels, boxes)
    assert factors.max() / factors.min() <= LARGEST_FACTOR / SMALLEST_FACTOR * (1 + 1e-9)


def test_a_long_chart_does_not_grow_beyond_the_page() -> None:
    areas, labels, boxes = charts()
    longest = MAX_BOX_EDGE * np.sqrt(areas.sum())
    boxes[0, 0] = longest
    factors = choose_factors(np.where(labels == 0, 256.0, 1.0), areas, labels, boxes)
    assert factors[0] == pytest.approx(1)
    boxes[0, 0] = 1
    assert choose_factors(np.where(labels == 0, 256.0, 1.0), areas, labels, boxes)[0] > factors[0] * 1.2
