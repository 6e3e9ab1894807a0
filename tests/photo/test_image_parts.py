import io

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo import image_parts
from sam3d_bento.photo.image_parts import refuse_excess


def encoded(kind, size=(64, 48), **options):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (*size[::-1], 3), np.uint8)).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"progressive": True, "icc_profile": bytes(3_000_000)}),
        ("PNG", {"icc_profile": bytes(3_000_000)}),
        ("TIFF", {"compression": "tiff_deflate"}),
        ("TIFF", {"big_tiff": True, "icc_profile": bytes(3_000_000)}),
    ],
)
def test_common_files_pass(kind, options):
    refuse_excess(encoded(kind, (1500, 1000), **options), kind)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_file_that_ends_anywhere_is_left_to_the_decoder(kind):
    data = encoded(kind, (16, 16))
    for end in range(len(data)):
        refuse_excess(data[:end], kind)


def test_bytes_in_a_tag_are_one_value_and_numbers_are_many():
    allowed = encoded("TIFF", tiffinfo={700: bytes(image_parts.MAX_TIFF_VALUES + 1)})
    refuse_excess(allowed, "TIFF")
    numbers = encoded("TIFF", tiffinfo={65000: tuple(range(image_parts.MAX_TIFF_VALUES // 100)) * 101})
    with pytest.raises(BadRequest, match="TIFF"):
        refuse_excess(numbers, "TIFF")


@pytest.mark.parametrize("number", [image_parts.MAX_PARTS - 20, image_parts.MAX_PARTS + 1])
def test_the_parts_of_a_jpeg_are_counted_up_to_its_picture(number):
    data = encoded("JPEG")
    parts = b"\xff\xfe\0\2" * number
    refuse_excess(data + parts, "JPEG")  # behind it, as phones append
    if number < image_parts.MAX_PARTS:
        refuse_excess(data[:2] + parts + data[2:], "JPEG")
    else:
        with pytest.raises(BadRequest, match="JPEG"):
            refuse_excess(data[:2] + parts + data[2:], "JPEG")


def test_chunks_of_the_picture_itself_do_not_count():
    data = encoded("PNG", (16, 16))
    at = data.index(b"IDAT") - 4
    empty = b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
    refuse_excess(data[:at] + 5000 * empty + data[at:], "PNG")
