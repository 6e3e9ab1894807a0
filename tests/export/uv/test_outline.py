import numpy as np
import pytest

from sam3d_bento.export.uv.outline import (
    FOOTPRINT_CELLS,
    Outline,
    Windows,
    count_layers,
    find_layered_cells,
    find_sampled_cells,
)
from tests.support.export_meshes import Floats

SIZE = 24
WINDOW = Windows(np.array([SIZE + 1]), np.array([SIZE]))
CENTRES = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1) + 0.5


def loop(points: Floats) -> Outline:
    return Outline(np.zeros(len(points), int), points, np.roll(points, -1, axis=0))


def triangle(seed: int) -> Floats:
    """Make a counter-clockwise triangle at least two cells inside the window."""
    points = np.random.default_rng(seed).uniform(2, SIZE - 2, (3, 2))
    (ax, ay), (bx, by) = points[1] - points[0], points[2] - points[0]
    return points if ax * by > ay * bx else points[::-1]


def inside(points: Floats) -> np.ndarray:
    edges = np.roll(points, -1, axis=0) - points
    offset = CENTRES[:, :, None] - points
    return (edges[:, 0] * offset[..., 1] - edges[:, 1] * offset[..., 0] > 0).all(axis=2)


@pytest.mark.parametrize("seed", range(10))
def test_layers_agree_with_testing_every_centre(seed: int) -> None:
    found = count_layers(loop(triangle(seed)), WINDOW).reshape(SIZE, SIZE + 1)
    np.testing.assert_array_equal(found[:, :SIZE], inside(triangle(seed)))
    assert not found[:, SIZE].any()


def test_a_cell_covered_twice_counts_twice() -> None:
    one, other = triangle(0), triangle(2)
    both = Outline(
        np.zeros(6, int), np.concatenate([one, other]), np.concatenate([np.roll(p, -1, axis=0) for p in (one, other)])
    )
    expected = inside(one).astype(int) + inside(other)
    found = count_layers(both, WINDOW).reshape(SIZE, SIZE + 1)
    np.testing.assert_array_equal(found[:, :SIZE], expected)
    assert (expected == 2).any()
    np.testing.assert_array_equal(find_layered_cells(both, WINDOW), np.flatnonzero(found > 1))


def test_no_cell_is_layered_without_an_overlap() -> None:
    assert len(find_layered_cells(loop(triangle(3)), WINDOW)) == 0


@pytest.mark.parametrize("seed", range(10))
def test_sampled_cells_are_those_close_to_some_point(seed: int) -> None:
    points = triangle(seed)
    weights = np.random.default_rng(0).dirichlet([0.5, 0.5, 0.5], 20_000)
    samples = np.concatenate([weights @ points, points])
    # A bilinear sample reads the four cells whose centres are around it.
    low = np.floor(samples - 0.5).astype(int)
    expected = np.zeros((SIZE, SIZE), dtype=bool)
    for right in (0, 1):
        for up in (0, 1):
            expected[low[:, 1] + up, low[:, 0] + right] = True
    found = find_sampled_cells(loop(points), WINDOW).reshape(SIZE, SIZE + 1)[:, :SIZE]
    assert (found | ~expected).all()
    assert found.sum() <= expected.sum() * 1.05 + 3
    near = np.abs(CENTRES[found][:, None] - samples).max(axis=2).min(axis=1)
    assert near.max() < FOOTPRINT_CELLS + 0.3


def test_each_chart_is_drawn_in_its_window() -> None:
    windows = Windows(np.array([8, 5]), np.array([6, 7]))
    square = np.array([[1.0, 1], [3, 1], [3, 3], [1, 3]])
    above = square + np.array([0, 2])
    ends = np.concatenate([np.roll(points, -1, axis=0) for points in (square, above)])
    outline = Outline(np.repeat([0, 1], 4), np.concatenate([square, above]), ends)
    chart, column, row = windows.locate(np.flatnonzero(count_layers(outline, windows)))
    assert set(zip(chart.tolist(), column.tolist(), row.tolist(), strict=True)) == {
        *((0, x, y) for x in (1, 2) for y in (1, 2)),
        *((1, x, y) for x in (1, 2) for y in (3, 4)),
    }
    moved = outline.transform(0.5, np.array([[2.5, 1], [1, 0]]))
    chart, column, row = windows.locate(np.flatnonzero(count_layers(moved, windows)))
    assert (chart[0], column[0], row[0]) == (0, 3, 1)
