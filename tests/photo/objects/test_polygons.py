import numpy as np
import pytest
from skimage.measure import points_in_poly

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.objects import polygons


def expected(rings, size):
    rows, columns = np.indices(size)
    centres = np.stack([columns, rows], -1).reshape(-1, 2) + 0.5
    inside = [points_in_poly(centres, np.reshape(ring, (-1, 2))) for ring in rings]
    return np.logical_xor.reduce(inside).reshape(size)


@pytest.mark.parametrize("seed", range(10))
def test_pixels_whose_centres_are_inside_of_a_ring_are_drawn(seed):
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, 12))
    ring = (
        (random.uniform(5, 25, 12)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1) + [20, 30]).ravel().tolist()
    )
    assert np.array_equal(polygons.draw([ring], (50, 40)), expected([ring], (50, 40)))


def test_a_ring_inside_of_a_ring_is_a_hole():
    mask = polygons.draw([[2, 2, 18, 2, 18, 18, 2, 18], [5, 5, 10, 5, 10, 10, 5, 10]], (20, 20))
    assert mask[3, 3]
    assert not mask[7, 7]
    assert mask.sum() == 16 * 16 - 5 * 5


def test_a_square_along_the_pixels_covers_exactly_these():
    mask = polygons.draw([[1, 2, 4, 2, 4, 6, 1, 6]], (8, 8))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max(), mask.sum()) == (2, 5, 1, 3, 12)


def test_what_is_outside_of_the_picture_is_cut():
    assert polygons.draw([[-1e6, -1e6, 1e6, -1e6, 1e6, 1e6, -1e6, 1e6]], (6, 5)).all()
    assert not polygons.draw([[10, 0, 20, 0, 20, 5]], (6, 5)).any()


@pytest.mark.parametrize("ring", [[], [1, 2, 3, 4], [1, 2, 3, 4, 5, 6, 7]])
def test_a_ring_of_fewer_than_three_points_is_refused(ring):
    with pytest.raises(BadRequest, match="three points"):
        polygons.draw([ring], (5, 5))


def test_an_outline_that_would_take_minutes_is_refused():
    zigzag = np.stack([np.arange(20_000), np.arange(20_000) % 2 * 8000], 1).ravel().tolist()
    with pytest.raises(BadRequest, match="too long"):
        polygons.draw([zigzag], (8000, 8000))
