import numpy as np
import pytest

from sam3d_bento.photo.hidden_colours import without_hidden_colours
from sam3d_bento.photo.images import decode
from sam3d_bento.reconstruction import Photo
from tests.support.cutouts import Picture, random_cut_out


def photo_of(rgb, alpha):
    return Photo(rgb=rgb, alpha=alpha, original_size=rgb.shape[1::-1])


@pytest.mark.parametrize("seed", range(20))
def test_only_visible_colours_decide(seed):
    """Whatever lies under alpha 0, the picture comes out the same, and what is visible stays."""
    rng = np.random.default_rng(seed)
    picture = random_cut_out(rng)
    shown = without_hidden_colours(photo_of(picture.rgb, picture.alpha))
    hidden = picture.alpha == 0
    assert np.array_equal(shown.rgb[~hidden], picture.rgb[~hidden])
    other = picture.with_other_hidden_colours(rng)
    assert np.array_equal(without_hidden_colours(photo_of(other.rgb, other.alpha)).rgb, shown.rgb)
    lowest, highest = picture.rgb[~hidden].min(0), picture.rgb[~hidden].max(0)
    assert (shown.rgb >= lowest).all(), "means of what is visible"
    assert (shown.rgb <= highest).all()
    assert shown.alpha is picture.alpha


def test_a_hidden_pixel_takes_the_colours_next_to_it():
    rgb = np.full((64, 64, 3), (0, 255, 0), np.uint8)
    alpha = np.zeros((64, 64), np.uint8)
    rgb[:, :20], alpha[:, :20] = (200, 0, 0), 255
    rgb[:, 44:], alpha[:, 44:] = (0, 0, 200), 255
    shown = without_hidden_colours(photo_of(rgb, alpha)).rgb.astype(int)
    assert not shown[..., 1].any(), "nothing of the green"
    assert (shown[:, 21, 0] > 150).all()
    assert (shown[:, 42, 2] > 150).all()


def test_a_faint_picture_counts_like_a_solid_one():
    rgb = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    alpha = np.zeros((50, 70), np.uint8)
    alpha[10:30, 20:40] = 1
    faint = without_hidden_colours(photo_of(rgb, alpha))
    assert np.array_equal(faint.rgb, without_hidden_colours(photo_of(rgb, alpha * np.uint8(255))).rgb)


def test_alpha_that_hides_nothing_or_everything_is_unchanged():
    rgb = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    for alpha in (None, np.full((50, 70), 1, np.uint8), np.zeros((50, 70), np.uint8)):
        photo = photo_of(rgb, alpha)
        assert without_hidden_colours(photo) is photo


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (17, 2), (33, 65)])
def test_a_single_visible_pixel_colours_all(shape):
    rgb = np.zeros((*shape, 3), np.uint8)
    alpha = np.zeros(shape, np.uint8)
    rgb[-1, -1], alpha[-1, -1] = (10, 200, 90), 7
    assert (without_hidden_colours(photo_of(rgb, alpha)).rgb == (10, 200, 90)).all()


def test_the_reduction_of_a_large_photo_mixes_no_hidden_colour_into_a_visible_one():
    rng = np.random.default_rng(0)
    alpha = np.zeros((90, 3000), np.uint8)
    alpha[20:70, 100:2900] = rng.choice([0, 60, 255], (50, 2800))
    picture = Picture(np.full((90, 3000, 3), (90, 120, 30), np.uint8), alpha, alpha > 0)
    both = [
        without_hidden_colours(decode(one.png(), max_pixels=10**6))
        for one in (picture, picture.with_other_hidden_colours(rng))
    ]
    assert both[0].rgb.shape == (61, 2048, 3)
    assert np.array_equal(both[0].rgb, both[1].rgb)
