import numpy as np
import pytest

from sam3d_bento.photo import close_up


def at(rows, columns, shape=(900, 1200)):
    pixels = np.zeros(shape, bool)
    pixels[slice(*rows), slice(*columns)] = True
    return pixels


def test_a_small_find_is_shown_in_the_middle_with_a_margin():
    rows, columns = close_up.window(at((400, 450), (600, 620)))
    assert (rows.start, rows.stop) == (300, 550)
    assert (columns.start, columns.stop) == (485, 735)


@pytest.mark.parametrize(("rows", "columns"), [((0, 20), (0, 30)), ((880, 900), (1190, 1200)), ((400, 401), (0, 1))])
def test_at_the_edge_the_crop_ends_with_the_photo_and_holds_the_find(rows, columns):
    pixels = at(rows, columns)
    window = close_up.window(pixels)
    assert pixels[window].sum() == pixels.sum()
    assert min(pixels[window].shape) >= close_up.MIN_SIDE / 2
    assert max(pixels[window].shape) < 160


def test_a_larger_find_has_less_of_a_margin_and_a_large_one_is_near_enough():
    rows, columns = close_up.window(at((300, 500), (500, 520)))
    assert rows.stop - rows.start == columns.stop - columns.start == 720
    assert close_up.window(at((300, 600), (500, 520))) is None
    assert close_up.window(at((0, 5), (0, 5), (64, 64))) is None
    assert close_up.window(np.zeros((900, 900), bool)) is None


def test_the_less_two_finds_agree_the_surer_the_second_must_be():
    first, half, little = at((100, 200), (100, 200)), at((100, 200), (100, 160)), at((100, 200), (100, 125))
    assert close_up.is_confirmed(first, first, 0.2)
    assert close_up.is_confirmed(first, half, 0.6)
    assert not close_up.is_confirmed(first, half, 0.4)
    assert not close_up.is_confirmed(first, little, 1.0)
    assert not close_up.is_confirmed(np.zeros_like(first), np.zeros_like(first), 1.0)
