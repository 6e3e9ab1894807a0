import io

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest, TooLarge, UnsupportedMedia
from sam3d_bento.photo.objects.labels import read_labels
from tests.support.scene_files import png

VALUES = np.zeros((6, 8), np.uint8)
VALUES[1:3, 1:4] = 2
VALUES[4:, 5:] = 200


def read(data, size=(8, 6), max_pixels=1000, max_objects=16):
    return read_labels(data, size, max_pixels=max_pixels, max_objects=max_objects)


def palette_png():
    file = io.BytesIO()
    picture = Image.fromarray(VALUES, "P")
    picture.putpalette([0, 0, 0] * 256)  # all colours alike: only the indices count
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "data", [png(VALUES), png(VALUES.astype(np.uint16)), palette_png()], ids=["8", "16", "palette"]
)
def test_each_value_above_0_is_an_object(data):
    found = read(data)
    assert list(found) == [2, 200]
    assert all(np.array_equal(pixels, value == VALUES) for value, pixels in found.items())


def test_values_of_16_bits_stay_apart():
    assert list(read(png(VALUES.astype(np.uint16) * 300))) == [600, 60000]


@pytest.mark.parametrize(
    ("data", "limits", "error", "message"),
    [
        (b"GIF89a", {}, UnsupportedMedia, "not a PNG"),
        (png(VALUES)[:60], {}, BadRequest, "damaged"),
        (png(VALUES), {"size": (6, 8)}, BadRequest, "8 × 6 pixels, the photo 6 × 8"),
        (png(np.zeros_like(VALUES)), {}, BadRequest, "no value above 0"),
        (png(np.stack([VALUES] * 3, -1)), {}, BadRequest, "has colours"),
        (png(VALUES), {"max_objects": 1}, BadRequest, "2 values above 0; a scene has at most 1"),
        (png(VALUES), {"max_pixels": 40}, TooLarge, "more than 40 pixels"),
    ],
)
def test_other_pictures_are_refused(data, limits, error, message):
    with pytest.raises(error, match=message):
        read(data, **limits)
