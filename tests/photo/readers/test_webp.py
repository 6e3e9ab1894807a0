import io
import random
import struct

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.images import decode
from sam3d_bento.warning_codes import WarningCode
from tests.support.image_files import cut_out, encode, exif, profile, scene

LIMIT = 1_000_000


def read(data):
    return decode(data, max_pixels=LIMIT)


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (37, 41, 3), np.uint8))
PICTURES = {
    "lossy": encode(scene((40, 32)), "WEBP"),
    "lossy noise": encode(NOISE, "WEBP"),
    "lossless": encode(NOISE, "WEBP", lossless=True),
    "tagged": encode(NOISE, "WEBP", lossless=True, icc_profile=profile(), exif=exif(1)),
    "lossy with alpha": encode(cut_out().resize((48, 36)), "WEBP"),
    "lossless with alpha": encode(cut_out().resize((48, 36)), "WEBP", lossless=True),
    "animated": encode(NOISE, "WEBP", save_all=True, lossless=True),
}


def same(one, other):
    both_opaque = one.alpha is None and other.alpha is None
    return np.array_equal(one.rgb, other.rgb) and (both_opaque or np.array_equal(one.alpha, other.alpha))


@pytest.mark.parametrize("name", PICTURES)
def test_the_size_in_the_head_does_not_matter(name):
    data = PICTURES[name]
    for size in (0, 1, len(data) - 9, len(data) + 5, 2**32 - 1):
        assert same(read(data[:4] + struct.pack("<I", size) + data[8:]), read(data))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"appended bytes",
        lambda data: data + b"JUNK\5\0\0\0abcde\0",
        lambda data: data[:12] + b"JUNK\4\0\0\0abcd" + data[12:],
        lambda data: data + b"EXIF\xff\xff\xff\xffExif",
        lambda data: data[:12] + b"ICCP\4\0\0\0abcd" + data[12:],
    ],
    ids=["appended", "chunk behind", "chunk before", "cut EXIF", "broken profile"],
)
def test_chunks_beside_the_picture_do_not_matter(name, change):
    assert same(read(change(PICTURES[name])), read(PICTURES[name]))


def test_flags_and_canvas_of_a_still_picture_do_not_matter():
    data = PICTURES["tagged"]
    assert data[12:16] == b"VP8X"
    for flags in (0, 0x10, 0xFF & ~2):
        assert np.array_equal(read(data[:20] + bytes([flags]) + data[21:]).rgb, np.asarray(NOISE))
    assert np.array_equal(read(data[:24] + b"\x09\0\0\x09\0\0" + data[30:]).rgb, np.asarray(NOISE))


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "animated"])
def test_cuts_anywhere_are_refused_or_give_the_whole_picture(name):
    data = PICTURES[name]
    whole = read(data)
    rng = random.Random(3)
    refused = 0
    for end in {*range(len(data) - 8, len(data)), *(rng.randrange(30, len(data)) for _ in range(40))}:
        try:
            photo = read(data[:end])
        except BadRequest:
            refused += 1
        else:
            assert np.array_equal(photo.rgb, whole.rgb)
    assert refused > 10


def animation(frames, canvas=(64, 48)):
    """Write frames (left, top, file of a still picture) onto a canvas; each side of an offset is even."""
    head = bytes([2, 0, 0, 0]) + b"".join((side - 1).to_bytes(3, "little") for side in canvas)
    body = b"VP8X" + struct.pack("<I", 10) + head + b"ANIM\6\0\0\0" + bytes(6)
    for left, top, data in frames:
        size = Image.open(io.BytesIO(data)).size
        numbers = (left // 2, top // 2, size[0] - 1, size[1] - 1, 100)
        part = b"".join(number.to_bytes(3, "little") for number in numbers) + b"\0" + data[12:]
        body += b"ANMF" + struct.pack("<I", len(part)) + part + bytes(len(part) % 2)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("frames", [1, 3])
def test_an_opaque_rectangle_on_a_canvas_is_a_cut_out(lossless, frames):
    part = encode(Image.new("RGB", (30, 20), (200, 60, 50)), "WEBP", lossless=lossless, quality=100)
    photo = read(animation([(8 + 2 * n, 6, part) for n in range(frames)]))
    expected = np.zeros((48, 64), bool)
    expected[6:26, 8:38] = True
    assert np.array_equal(photo.alpha == 255, expected)
    assert (photo.alpha[~expected] == 0).all()
    assert np.abs(photo.rgb[expected].astype(int) - (200, 60, 50)).max() <= 4
    assert photo.warnings == ((WarningCode.FIRST_FRAME_ONLY,) if frames > 1 else ())


def test_a_frame_that_fills_its_canvas_is_opaque():
    data = encode(NOISE, "WEBP", lossless=True)
    photo = read(animation([(0, 0, data), (2, 2, PICTURES["lossless"])], canvas=NOISE.size))
    assert photo.alpha is None
    assert np.array_equal(photo.rgb, np.asarray(NOISE))


def test_damage_behind_the_first_frame_does_not_matter():
    data = animation([(0, 0, PICTURES["lossless"]), (0, 0, PICTURES["lossless"])], canvas=NOISE.size)
    at = data.rindex(b"ANMF")
    for end in (data[at : at + 30], b"ANMF\xff\0\0\0garbage"):
        assert np.array_equal(read(data[:at] + end).rgb, np.asarray(NOISE))


def test_a_frame_outside_of_its_canvas_is_refused():
    with pytest.raises(BadRequest, match="canvas"):
        read(animation([(40, 6, PICTURES["lossless"])]))
    with pytest.raises(BadRequest, match="no picture"):
        read(animation([])[:30])
