from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.canvas import MAX_OBJECT_CELLS, cut_out
from sam3d_bento.errors import NoObject
from sam3d_bento.reconstruction import Mask, Photo

Photographed = Callable[..., tuple[Photo, Mask]]


def test_cells_lie_where_the_origin_places_them(photographed: Photographed) -> None:
    pixels = np.zeros((300, 500), bool)
    pixels[80:200, 100:400] = True
    canvas = cut_out(*photographed(pixels))
    rows, columns = np.nonzero(canvas.distance > 0)
    x, y = columns * canvas.cell + canvas.origin[0], rows * canvas.cell + canvas.origin[1]
    # The outermost cells whose centres are inside lie less than one cell within the rectangle.
    within = np.array([x.min() - 100, 400 - x.max(), y.min() - 80, 200 - y.max()])
    assert (within >= 0).all()
    assert (within < 1.2 * canvas.cell).all()


def test_distance_is_exact_to_a_fraction_of_a_cell(photographed: Photographed, disc: Callable[..., Bool]) -> None:
    canvas = cut_out(*photographed(disc(400, 150.0)))
    row, column = np.indices(canvas.distance.shape)
    x, y = column * canvas.cell + canvas.origin[0], row * canvas.cell + canvas.origin[1]
    expected = (150 - np.hypot(x - 200, y - 200)) / canvas.cell
    near = np.abs(expected) < 5
    np.testing.assert_allclose(canvas.distance[near], expected[near], atol=1.0)
    assert np.abs(canvas.distance[near] - expected[near]).mean() < 0.35


def test_colours_stay_in_place(photographed: Photographed) -> None:
    pixels = np.zeros((200, 200), bool)
    pixels[50:150, 50:150] = True
    rgb = np.zeros((200, 200, 3), np.uint8)
    rgb[:, 100:] = 255
    canvas = cut_out(*photographed(pixels, rgb))
    middle = canvas.rgb[canvas.rgb.shape[0] // 2, :, 0]
    edge = np.flatnonzero(np.diff(middle > 127))[0] + 0.5
    assert edge * canvas.cell + canvas.origin[0] == pytest.approx(100, abs=canvas.cell)


def test_the_number_of_cells_does_not_grow_with_the_photo(
    photographed: Photographed, disc: Callable[..., Bool]
) -> None:
    small, large = (cut_out(*photographed(disc(edge, edge * 0.45))) for edge in (700, 2000))
    assert large.distance.shape == pytest.approx(small.distance.shape, abs=3)
    assert np.count_nonzero(large.distance > 0) == pytest.approx(MAX_OBJECT_CELLS, rel=0.05)


def test_speckles_get_a_coarser_grid(photographed: Photographed) -> None:
    pixels = np.random.default_rng(0).random((1024, 1024)) < 0.5
    assert np.prod(cut_out(*photographed(pixels)).distance.shape) < MAX_OBJECT_CELLS


@pytest.mark.parametrize("edge", [64, 3000])
def test_a_line_thinner_than_the_grid_survives_in_one_piece(photographed: Photographed, edge: int) -> None:
    pixels = np.zeros((edge, edge), bool)
    pixels[edge // 2, 3:-3] = True
    inside = cut_out(*photographed(pixels)).distance > 0
    along = np.flatnonzero(inside.any(0))
    assert len(along) == along[-1] - along[0] + 1
    assert len(along) > 0.95 * (inside.shape[1] - 8)


def test_an_object_that_fills_the_frame_is_closed_on_all_sides(photographed: Photographed) -> None:
    distance = cut_out(*photographed(np.ones((60, 90), bool))).distance
    assert max(distance[0].max(), distance[-1].max(), distance[:, 0].max(), distance[:, -1].max()) < 0


def test_an_empty_mask_raises_no_object(photographed: Photographed) -> None:
    with pytest.raises(NoObject, match="empty"):
        cut_out(*photographed(np.zeros((20, 30), bool)))
