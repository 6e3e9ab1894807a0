import io
import random
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.photo.images import decode
from tests.support.image_files import scene

LIMIT = 1_000_000
SIZE = (61, 43)  # blocks of 8 and 16 that are not whole


def read(data):
    return decode(data, max_pixels=LIMIT)


def jpeg(mode="RGB", *, noise=False, **options):
    picture = scene(SIZE)
    if noise:
        picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*SIZE[::-1], 3), np.uint8))
    file = io.BytesIO()
    picture.convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker, body):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


PICTURES = {
    "plain": jpeg(quality=95),
    "4:2:0": jpeg(subsampling=2),
    "progressive": jpeg(progressive=True),
    "restarts": jpeg(restart_marker_rows=1),
    "many restarts": jpeg(noise=True, restart_marker_blocks=1),
    "grey": jpeg("L"),
    "cmyk": jpeg("CMYK"),
    "noise": jpeg(noise=True, quality=95),
    "progressive noise": jpeg(noise=True, progressive=True),
}


# --- segments


BODIES = [
    b"",
    b"Exif\0\0",
    b"MPF\0" + b"\xff" * 20,
    b"ICC_PROFILE\0\1",
    b"ICC_PROFILE\0\5\1abc",
    b"Adobe",
    b"JFIF",
    b"JFXX\0",
]
BODIES += [b"Photoshop 3.0\0" + b"8BIM\3\xed\0\0\xff\xff\xff\xff", b"http://ns.adobe.com/xap/1.0/\0<", bytes(65_000)]


@pytest.mark.parametrize("marker", [*range(0xE0, 0xF0), 0xFE], ids=hex)
def test_no_metadata_keeps_a_picture_from_being_read(marker):
    data = PICTURES["plain"]
    expected = read(data).rgb
    for body in BODIES:
        assert np.array_equal(read(data[:2] + segment(marker, body) + data[2:]).rgb, expected), body


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"appended" * 100,
        lambda data: data + data,
        lambda data: data[:2] + b"\xff" * 20 + data[2:],
        lambda data: data[:2] + segment(0xE1, b"x")[:-1] + b"\0\0\0" + data[2:],
    ],
    ids=["appended", "another picture", "fill bytes", "bytes between segments"],
)
def test_bytes_beside_the_picture_do_not_matter(change):
    data = PICTURES["plain"]
    assert np.array_equal(read(change(data)).rgb, read(data).rgb)


def test_exif_and_profile_come_through_among_broken_segments():
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = 6
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = jpeg(quality=95, exif=block.tobytes(), icc_profile=srgb)
    data = data[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/") + segment(0xED, b"8BIM") + data[2:]
    assert read(data).original_size == SIZE[::-1]


def test_a_profile_in_several_segments_is_joined_in_their_order():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    table = srgb[128:240].replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    profile = srgb[:128] + table + srgb[240:]
    half = len(profile) // 2
    parts = {1: profile[:half], 2: profile[half:]}
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (255, 0, 0)).save(file, "JPEG", quality=95)
    data = file.getvalue()

    def with_parts(numbers, count):
        segments = b"".join(segment(0xE2, b"ICC_PROFILE\0" + bytes([n, count]) + parts.get(n, b"x")) for n in numbers)
        return read(data[:2] + segments + data[2:]).rgb[16, 16]

    assert np.abs(with_parts((2, 1), 2).astype(int) - (0, 255, 0)).max() <= 3
    for numbers, count in (((1,), 2), ((1, 3), 2), ((1, 2), 3)):
        assert np.abs(with_parts(numbers, count).astype(int) - (254, 0, 0)).max() <= 3


# --- the end


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("end", [b"", b"\xff", b"\0" * 20, b"a text that a program appends"], ids=str)
def test_a_picture_that_ends_without_saying_so_is_read(name, end):
    data = PICTURES[name]
    assert np.array_equal(read(data[:-2] + end).rgb, read(data).rgb)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_that_lacks_pixels_is_refused(name):
    data = PICTURES[name]
    start = data.rindex(b"\xff\xda") + 14
    for missing in (6, 12, 40, 100, len(data) // 3, len(data) // 2):
        if len(data) - 2 - missing > start:
            with pytest.raises(BadRequest, match="JPEG"):
                read(data[: -2 - missing])


def test_scans_that_are_not_there_are_missing_pixels():
    data = PICTURES["progressive noise"]
    starts = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    tables = [data.rindex(b"\xff\xc4", 0, at) for at in starts[1:]]
    for at in tables:
        with pytest.raises(BadRequest, match="JPEG"):
            read(data[:at])


def test_cuts_anywhere_are_refused_or_give_the_whole_picture():
    rng = random.Random(2)
    for data in PICTURES.values():
        whole = read(data).rgb
        for _ in range(60):
            try:
                photo = read(data[: rng.randrange(len(data) // 2, len(data))])
            except BadRequest:
                continue
            assert np.array_equal(photo.rgb, whole)


# --- kinds


def _with_frame(data, marker=None, depth=None, components=None):
    at = next(n for n in range(len(data)) if data[n] == 0xFF and data[n + 1] in (0xC0, 0xC2))
    changed = bytearray(data)
    if marker is not None:
        changed[at + 1] = marker
    if depth is not None:
        changed[at + 4] = depth
    if components is not None:
        changed[at + 9] = components
    return bytes(changed)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"depth": 12}, "12 bits"),
        ({"depth": 16}, "16 bits"),
        ({"components": 2}, "2 components"),
        ({"components": 5}, "5 components"),
        ({"marker": 0xC5}, "hierarchical"),
        ({"marker": 0xCB}, "lossless"),
    ],
    ids=str,
)
def test_a_kind_that_is_not_read_is_named(changes, reason):
    with pytest.raises(UnsupportedMedia, match=reason):
        read(_with_frame(PICTURES["plain"], **changes))


@pytest.mark.parametrize("transform", [0, 1, None])
def test_adobes_marker_says_how_colours_are_stored(transform):
    """APP14 with transform 0 is RGB, with 1 YCbCr; without it, JFIF's YCbCr."""
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 60, 50)).save(file, "JPEG", quality=98, keep_rgb=transform == 0)
    assert np.abs(read(file.getvalue()).rgb.astype(int) - (200, 60, 50)).max() <= 2


def test_ycck_and_cmyk_of_adobe_are_inverted():
    """Adobe's CMYK is stored inverted; YCCK is its YCbCr. What Pillow writes is CMYK with transform 0."""
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    file = io.BytesIO()
    cyan.save(file, "JPEG", quality=98)
    data = file.getvalue()
    assert np.abs(read(data).rgb.astype(int) - (0, 255, 255)).max() <= 3
    at = data.index(b"Adobe")
    as_ycck = data[: at + 11] + b"\2" + data[at + 12 :]
    # The stored samples 0, 255, 255, 255 are now Y, Cb, Cr, K. By BT.601 these are R 178, G 0, B 225; T.871's YCCK has
    # C = 255 - R and so on; Adobe's inversion makes that C 178, M 0, Y 225, K 0.
    assert np.abs(read(as_ycck).rgb.astype(int) - (255 - 178, 255, 255 - 225)).max() <= 3
