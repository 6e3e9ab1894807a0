import numpy as np
import pytest
from PIL import Image, ImageCms

from sam3d_bento.photo.colour.spaces import ADOBE_RGB, SRGB
from sam3d_bento.photo.readers.picture import Picture, declared_space, equal, with_8_bits

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(*statements, models=("RGB",)):
    return Picture((1, 1), models, lambda space, size: Image.new("RGB", (1, 1)), statements)


def test_the_first_usable_statement_counts():
    assert declared_space(picture()) is None
    assert declared_space(picture(None, ADOBE_RGB, SRGB)) == ADOBE_RGB
    assert declared_space(picture(b"broken", PROFILE[:200], ADOBE_RGB)) == ADOBE_RGB
    assert isinstance(declared_space(picture(PROFILE, ADOBE_RGB)), ImageCms.ImageCmsProfile)


def test_a_profile_for_other_colours_is_not_usable():
    assert declared_space(picture(PROFILE, models=("CMYK",))) is None
    assert declared_space(picture(PROFILE, ADOBE_RGB, models=())) is None
    assert isinstance(declared_space(picture(PROFILE, models=("GRAY", "RGB"))), ImageCms.ImageCmsProfile)


@pytest.mark.parametrize(
    ("mode", "transparency", "expected"),
    [
        ("1", None, "L"), ("L", None, "L"), ("L", 7, "LA"), ("LA", None, "LA"), ("La", None, "LA"),
        ("P", None, "RGB"), ("P", 0, "RGBA"), ("PA", None, "RGBA"), ("RGB", None, "RGB"), ("RGB", (1, 2, 3), "RGBA"),
        ("RGBA", None, "RGBA"), ("RGBX", None, "RGB"), ("RGBa", None, "RGBA"), ("YCbCr", None, "RGB"),
        ("CMYK", None, "CMYK"), ("LAB", None, "RGB"),
    ],
)  # fmt: skip
def test_every_mode_becomes_one_of_five(mode, transparency, expected):
    image = Image.new(mode, (4, 4))
    if transparency is not None:
        image.info["transparency"] = transparency
    assert with_8_bits(image).mode == expected


def test_pictures_are_compared_to_the_last_pixel():
    one = Image.fromarray(np.zeros((700, 900, 3), np.uint8))
    other = one.copy()
    assert equal(one, other)
    other.putpixel((899, 699), (0, 0, 1))
    assert not equal(one, other)
    assert not equal(one, one.crop((0, 0, 900, 699)))
