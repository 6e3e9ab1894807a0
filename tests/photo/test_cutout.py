"""The rule that reads alpha: which pixels a cut-out means."""

import numpy as np
import pytest
from scipy import ndimage

from sam3d_bento.photo.cutout import cut_out
from tests.support.cutouts import random_cut_out

SIDE = 240
ROW, COLUMN = np.mgrid[:SIDE, :SIDE] + 0.5


def disc(radius, row=SIDE / 2, column=SIDE / 2):
    """How much of each pixel (H, W) a disc covers, 0..1: antialiased."""
    return np.clip(radius + 0.5 - np.hypot(ROW - row, COLUMN - column), 0, 1)


def box(top, bottom, left, right):
    """The pixels of a rectangle, as 0 and 1."""
    return ((top < ROW) & (bottom > ROW) & (left < COLUMN) & (right > COLUMN)).astype(float)


def over(*layers):
    """Alpha (H, W) uint8 of layers (covered share, level 0..255), each drawn over the one before it."""
    result = np.zeros((SIDE, SIDE))
    for coverage, level in layers:
        opacity = coverage * level / 255
        result = opacity + result * (1 - opacity)
    return np.rint(255 * result).astype(np.uint8)


def blurred(coverage, sigma):
    return ndimage.gaussian_filter(coverage, sigma)


def assert_equal_but_for_the_rim(pixels, expected):
    """What lies behind a rim's pixels shows through them: there, one pixel more or less is right."""
    rim = ndimage.binary_dilation(expected) & ~ndimage.binary_erosion(expected)
    assert not ((pixels != expected) & ~rim).any()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_cut_out_of_one_level_is_exactly_its_visible_pixels(seed):
    rng = np.random.default_rng(seed)
    for number in range(50):
        picture = random_cut_out(rng)
        assert np.array_equal(cut_out(picture.alpha).pixels, picture.visible), (seed, number)


@pytest.mark.slow
@pytest.mark.parametrize("level", range(1, 256))
def test_every_level_is_visible(level):
    alpha = (disc(60) > 0.5) * np.uint8(level)
    assert np.array_equal(cut_out(alpha).pixels, alpha > 0)


@pytest.mark.parametrize("level", [5, 60, 115, 255])
@pytest.mark.parametrize("sigma", [0.5, 1, 2, 4, 10])
def test_a_soft_rim_or_a_feathered_edge_ends_in_its_middle(sigma, level):
    """By about half a pixel: a blurred edge that is curved does not keep its middle exactly."""
    pixels = cut_out(np.rint(level * blurred(disc(60), sigma)).astype(np.uint8)).pixels
    radius = np.sqrt(pixels.sum() / np.pi)
    assert radius == pytest.approx(60, abs=0.6 + sigma**2 / 60)


@pytest.mark.parametrize("glass", [10, 40, 90, 120])
@pytest.mark.parametrize("rim", [0, 0.6])
def test_glass_around_an_opaque_label_belongs_to_the_object(glass, rim):
    bottle = blurred(np.maximum(box(60, 220, 80, 160), box(20, 60, 110, 130)), rim)
    label = blurred(box(120, 180, 80, 160), rim)
    pixels = cut_out(over((bottle, glass), (label, 255))).pixels
    assert_equal_but_for_the_rim(pixels, bottle >= 0.5)


def test_glass_that_fades_upwards_and_has_glints_belongs_to_the_object():
    glass = box(20, 220, 80, 160) * np.interp(ROW, [20, 220], [30, 110]) / 255
    rng = np.random.default_rng(0)
    glass = glass * rng.uniform(0.85, 1, glass.shape)
    glass[30:200, 90:93] *= 2
    pixels = cut_out(over((glass, 255), (box(150, 200, 80, 160), 255))).pixels
    missing = (box(20, 220, 80, 160) > 0) ^ pixels
    assert missing.sum() <= 12, "a few pixels of 16,000, beside a glint"


def test_glass_on_glass_and_a_lens_in_a_frame_belong_to_the_object():
    stem, bowl, rim = box(120, 220, 110, 130), box(60, 120, 80, 160), box(30, 60, 90, 150)
    assert np.array_equal(cut_out(over((stem, 255), (bowl, 100), (rim, 40))).pixels, stem + bowl + rim > 0)
    frame = disc(60) - disc(50)
    assert np.array_equal(cut_out(over((disc(55), 30), (frame, 255))).pixels, disc(60) >= 0.5)


@pytest.mark.parametrize("strength", [40, 80, 120])
@pytest.mark.parametrize(("sigma", "away"), [(3, 4), (6, 10), (6, 30), (12, 20), (25, 25), (12, 0)])
def test_a_soft_drop_shadow_or_glow_is_not_the_object(sigma, away, strength):
    shadow = blurred(disc(50, SIDE / 2 + away, SIDE / 2 + away), sigma)
    pixels = cut_out(over((shadow, strength), (disc(50), 255))).pixels
    assert_equal_but_for_the_rim(pixels, disc(50) >= 0.5)


@pytest.mark.parametrize("at", [(30, 30), (30, 210), (210, 30), (120, 21), (66, 66)])
def test_separate_translucent_part_does_not_lower_the_threshold(at):
    pixels = cut_out(over((disc(20, *at), 90), (disc(40, 140, 140), 255))).pixels
    assert np.array_equal(pixels, disc(40, 140, 140) >= 0.5)


def test_a_few_specks_of_full_opacity_do_not_make_a_translucent_thing_vanish():
    alpha = over((disc(60), 115))
    alpha[100:104, 100:104] = 255
    assert np.array_equal(cut_out(alpha).pixels, alpha >= 58)


def test_dust_of_levels_that_nobody_sees_is_not_the_object():
    dust = np.random.default_rng(0).integers(0, 3, (SIDE, SIDE))
    alpha = np.maximum(over((disc(20), 255)), dust).astype(np.uint8)
    assert np.array_equal(cut_out(alpha).pixels, disc(20) >= 0.5)


@pytest.mark.parametrize(
    ("clear", "visible", "is_cut_out"),
    [(0, 90_000, False), (89, 89_911, False), (90, 89_910, True), (89_936, 64, True)],
)
def test_a_cut_out_leaves_something_away_and_something_over(clear, visible, is_cut_out):
    alpha = np.repeat(np.uint8([0, 200]), [clear, visible]).reshape(300, 300)
    assert (cut_out(alpha) is not None) == is_cut_out


def test_alpha_of_one_value_or_without_64_visible_pixels_is_no_cut_out():
    for level in (0, 1, 2, 3, 115, 200, 254, 255):
        assert cut_out(np.full((100, 100), level, np.uint8)) is None
    nearly_nothing = np.zeros((300, 300), np.uint8)
    nearly_nothing[10:17, 10:19] = 255
    assert cut_out(nearly_nothing) is None
    assert cut_out(None) is None


def test_a_solid_thing_on_a_veil_is_told_from_it():
    """Without a clear pixel this is no cut-out by the rule, but nothing else than the thing can be meant."""
    alpha = np.where(disc(60) >= 0.5, 255, 20).astype(np.uint8)
    assert np.array_equal(cut_out(alpha).pixels, disc(60) >= 0.5)


def test_a_canvas_that_was_trimmed_is_known_by_its_four_sides():
    alpha = over((disc(60), 255))
    assert not cut_out(alpha).trimmed
    assert cut_out(alpha[60:180, 60:180]).trimmed
    assert not cut_out(alpha[60:180, 60:190]).trimmed
    assert not cut_out(alpha[:120]).trimmed, "cut in half by the photo's edge"


@pytest.mark.parametrize("turn", range(1, 4))
def test_turning_the_canvas_turns_the_mask(turn):
    alpha = over((blurred(disc(50, 140, 150), 8), 90), (box(40, 200, 60, 100), 80), (disc(40, 110, 90), 255))
    assert np.array_equal(cut_out(np.rot90(alpha, turn).copy()).pixels, np.rot90(cut_out(alpha).pixels, turn))
