from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageCms

from sam3d_bento.photo.colour.spaces import ADOBE_RGB, SRGB, ColourSpace, from_cicp, matrix_to_srgb
from sam3d_bento.photo.colour.srgb import bands, converter, is_hdr, levels_to_srgb, picture_of, to_8_bits, to_srgb

RANDOM = np.random.default_rng(1).integers(0, 256, (600, 700, 3), np.uint8)
PQ, HLG = from_cicp(9, 16), from_cicp(9, 18)


def test_srgb_is_not_touched():
    image = Image.fromarray(RANDOM)
    for space in (None, SRGB, ColourSpace((0.3127, 0.329, 0.6401, 0.33, 0.3, 0.6, 0.15, 0.06))):
        assert np.array_equal(np.asarray(to_srgb(image, space)), RANDOM)


@pytest.mark.parametrize("space", [ADOBE_RGB, from_cicp(12, 13), from_cicp(1, 4), from_cicp(9, 8)], ids=str)
def test_the_conversion_is_the_formula(space):
    linear = space.transfer.to_linear(RANDOM / 255) @ matrix_to_srgb(space.primaries).T
    linear = np.clip(linear, 0, 1)
    expected = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
    assert np.abs(np.asarray(to_srgb(Image.fromarray(RANDOM), space)) - expected).max() < 0.6
    deep = levels_to_srgb(RANDOM.astype(np.uint16) * 257, space)
    assert np.abs(deep - expected).max() < 0.6


@pytest.mark.parametrize("space", [None, SRGB, ADOBE_RGB, PQ, ColourSpace(full_range=False)], ids=str)
def test_8_and_16_bits_of_the_same_levels_are_the_same(space):
    convert = converter(space)
    deep = convert(RANDOM.astype(np.uint16) * 257)
    assert np.abs(deep.astype(int) - convert(RANDOM)).max() <= (3 if space and not space.full_range else 0)


def test_grey_and_cmyk_are_converted_too():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(converter(None)(grey), np.broadcast_to(grey, (16, 16, 3)))
    found = converter(from_cicp(12, 8))(grey)
    assert (np.ptp(found, axis=-1) <= 1).all()
    assert converter(None)(np.zeros((4, 4, 4), np.uint8)).tolist() == [[[255] * 3] * 4] * 4


@pytest.mark.parametrize("space", [PQ, HLG], ids=["pq", "hlg"])
def test_hdr_greys_rise_and_end_white(space):
    grey = np.broadcast_to(np.arange(65536, dtype=np.uint16)[:, None, None], (65536, 1, 3))
    found = levels_to_srgb(grey, space)[:, 0].astype(int)
    assert (np.diff(found, axis=0) >= 0).all()
    assert (np.ptp(found, axis=-1) <= 1).all()
    assert (found[0].max(), found[-1].min()) == (0, 255)


@pytest.mark.parametrize(("space", "paper_white"), [(PQ, 0.5807), (HLG, 0.75)])
def test_paper_white_is_nearly_white_and_greys_below_keep_their_numbers(space, paper_white):
    levels = np.full((1, 1, 3), round(paper_white * 65535), np.uint16)
    assert 235 <= levels_to_srgb(levels, space).min() <= levels_to_srgb(levels, space).max() <= 240
    # an 18 % grey card, at 26 cd/m2 in HLG and 38 % of the signal in both: ITU-R BT.2408, table 1
    card = np.full((1, 1, 3), round(0.38 * 65535), np.uint16)
    assert 95 <= levels_to_srgb(card, space).min() <= 125


def test_bright_colours_of_hdr_keep_their_hue():
    levels = (np.array([[[0.65, 0.55, 0.5]]]) * 65535).astype(np.uint16)
    red, green, blue = levels_to_srgb(levels, PQ)[0, 0]
    assert red > green > blue


def test_hdr_transfer_functions_are_recognised():
    assert is_hdr(PQ)
    assert is_hdr(HLG)
    assert not is_hdr(ADOBE_RGB)
    assert not is_hdr(None)
    assert not is_hdr(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")))


def test_bands_cover_every_row_once():
    for size in ((1, 5), (700, 600), (100_000, 7), (3, 1_000_000)):
        found = bands(size)
        assert found[0][0] == 0
        assert found[-1][1] == size[1]
        assert all(one[1] == other[0] for one, other in pairwise(found))


def test_16_bits_are_rounded():
    levels = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_8_bits(levels), np.rint(levels / 257).astype(np.uint8))
    assert picture_of(np.zeros((2, 3, 4), np.uint8)).mode == "CMYK"
