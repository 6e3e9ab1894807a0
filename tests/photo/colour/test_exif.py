import pytest
from PIL import ExifTags, Image

from sam3d_bento.photo.colour.exif import from_exif
from sam3d_bento.photo.colour.spaces import ADOBE_RGB, SRGB


def block(space=None, index=None):
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    if space is not None:
        details[ExifTags.Base.ColorSpace] = space
    if index is not None:
        details[ExifTags.IFD.Interop] = {ExifTags.Interop.InteropIndex: index}
    read = Image.Exif()
    read.load(exif.tobytes())
    return read


@pytest.mark.parametrize(
    ("space", "index", "expected"),
    [
        (None, None, None),
        (1, None, SRGB),
        (1, "R98", SRGB),
        (1, "R03", SRGB),
        (65535, None, None),
        (65535, "R98", SRGB),
        (65535, "R03", ADOBE_RGB),
        (65535, "THM", None),
        (None, "R03", ADOBE_RGB),
        (None, "R98", SRGB),
        (2, None, ADOBE_RGB),
        (2, "R03", ADOBE_RGB),
        (2, "R98", SRGB),
        (3, "R03", None),
        (77, None, None),
    ],
)
def test_dcf_names_two_spaces(space, index, expected):
    assert from_exif(lambda: block(space, index)) == expected


def test_a_broken_block_says_nothing():
    def broken():
        raise SyntaxError("not a TIFF file")

    assert from_exif(broken) is None
