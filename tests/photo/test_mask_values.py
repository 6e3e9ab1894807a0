"""Masks as people send them: labels, palettes, colours; reduced, antialiased, as JPEG."""

import io

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.photo.images import decode
from sam3d_bento.photo.mask_values import higher_of_two, read_mask, values_of

SIDE = 200
WISH = np.hypot(*(np.mgrid[:SIDE, :SIDE] - 90)) < 60


def read(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return decode(file.getvalue(), max_pixels=10**8)


def labels(mode="P", palette=None):
    image = Image.fromarray(WISH.astype(np.uint8))
    if palette:
        image = image.convert("P")
        image.putpalette(palette)
    return image


def coloured(object_colour, rest=(0, 0, 0)):
    return Image.fromarray(np.where(WISH[..., None], object_colour, rest).astype(np.uint8))


PICTURES = {
    "labels 0 and 1": labels(),
    "Pascal VOC's first class": labels(palette=[0, 0, 0, 128, 0, 0]),
    "a palette of greys": labels(palette=[0, 0, 0, 1, 1, 1]),
    "red": coloured((255, 0, 0)),
    "blue": coloured((0, 0, 255)),
    "dark green on darker": coloured((0, 90, 0), (10, 10, 10)),
    "white on light grey": coloured((255, 255, 255), (200, 200, 200)),
    "equally bright": coloured((255, 0, 0), (76, 76, 76)),
    "faint alpha": Image.fromarray(np.dstack([np.zeros((SIDE, SIDE, 3), np.uint8), WISH * np.uint8(90)])),
}


@pytest.mark.parametrize("name", PICTURES)
def test_two_values_mean_the_higher(name):
    assert np.array_equal(higher_of_two(read(PICTURES[name])), WISH)


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.3, 2, 4.5])
@pytest.mark.parametrize("name", ["labels 0 and 1", "Pascal VOC's first class", "red", "white on light grey"])
def test_a_mask_that_is_reduced_keeps_its_two_values(name, factor):
    """The long side of a photo is brought to 2048 pixels, and its mask with it."""
    side = round(2048 * factor)
    image = PICTURES[name].resize((side, side // 8), Image.Resampling.NEAREST)
    expected = np.asarray(Image.fromarray(WISH).resize((2048, side // 8 * 2048 // side), Image.Resampling.BOX)) > 0.5
    pixels = higher_of_two(read(image))
    assert pixels is not None
    assert (pixels[: len(expected)] != expected[: len(pixels)]).mean() < 0.01


@pytest.mark.parametrize("name", ["red", "blue", "Pascal VOC's first class"])
def test_antialiasing_and_a_good_jpeg_leave_two_values(name):
    smooth = PICTURES[name].convert("RGB").resize((SIDE // 2, SIDE // 2), Image.Resampling.LANCZOS)
    for picture in (read(smooth), read(smooth, "JPEG", quality=95, subsampling=0)):
        pixels = higher_of_two(picture)
        assert pixels is not None
        assert (pixels != WISH[1::2, 1::2]).mean() < 0.01


@pytest.mark.parametrize(
    "values",
    [
        np.repeat([0, 1, 2], [100, 50, 50]),
        np.repeat([0, 50, 100], [100, 50, 50]),
        np.repeat([0, 60, 61, 100], [100, 30, 30, 40]),
        np.linspace(0, 120, 200),
        np.full(200, 90),
    ],
)
def test_another_number_of_values_is_not_guessed_at(values):
    grey = np.tile(values.astype(np.uint8), (50, 1))
    assert higher_of_two(read(Image.fromarray(grey))) is None


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_photos_are_no_masks(seed):
    rng = np.random.default_rng(seed)
    assert higher_of_two(read(Image.fromarray(rng.integers(0, 100, (64, 64)).astype(np.uint8)))) is None


def test_alpha_is_read_only_where_it_separates():
    opaque = coloured((255, 255, 255)).convert("RGBA")
    assert np.array_equal(values_of(read(opaque)) == 255, WISH)
    cut = Image.fromarray(np.dstack([np.full((SIDE, SIDE, 3), 9, np.uint8), WISH * np.uint8(255)]))
    assert np.array_equal(values_of(read(cut)) == 255, WISH)


@pytest.mark.parametrize("values", [(0, 1), (0, 7), (0, 255), (3, 4)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_16_bit_mask_of_class_numbers_is_read_by_its_values(kind, values):
    labels = np.full((64, 64), values[0], np.uint16)
    labels[16:48, 16:48] = values[1]
    file = io.BytesIO()
    Image.fromarray(labels).save(file, kind)
    picture = read_mask(file.getvalue(), max_pixels=10_000)
    assert set(np.unique(picture.rgb)) == set(values)


def test_a_16_bit_mask_of_white_and_black_stays_as_it_is():
    mask = np.zeros((64, 64), np.uint16)
    mask[16:48, 16:48] = 65535
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    assert set(np.unique(read_mask(file.getvalue(), max_pixels=10_000).rgb)) == {0, 255}


def test_a_black_mask_stays_black():
    for mode in ("L", "RGB", "I;16"):
        file = io.BytesIO()
        Image.new(mode, (64, 64)).save(file, "PNG")
        assert not read_mask(file.getvalue(), max_pixels=10_000).rgb.any()
