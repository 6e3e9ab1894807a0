import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.photo.images import decode
from tests.support.image_files import encode

LIMIT = 1_000_000
SIZE = (27, 33)


def read(data):
    return decode(data, max_pixels=LIMIT)


def bmp(rows, bits, *, compression=0, masks=b"", palette=b"", header_size=40, behind=b"", top_down=False, size=SIZE):
    """Write `rows`, bytes of each from the bottom up. behind: the rest of a header of version 4 or 5."""
    height, width = size
    stride = (width * bits + 31) // 32 * 4
    body = b"".join(row.ljust(stride, b"\0") for row in (rows if top_down else rows[::-1]))
    colours = len(palette) // 4
    sides = (width, -height if top_down else height)
    head = struct.pack("<IiiHHIIiiII", header_size, *sides, 1, bits, compression, len(body), 0, 0, colours, 0)
    head = (head + masks + behind).ljust(max(header_size, len(head) + len(masks)), b"\0") + palette
    offset = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + head + body


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_of_any_depth_is_looked_up(bits, top_down):
    rng = np.random.default_rng(bits)
    indices = rng.integers(0, 2**bits, SIZE)
    colours = rng.integers(0, 256, (2**bits, 3), np.uint8)
    packed = np.packbits(
        (indices[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(SIZE[0], -1).astype("u1"), axis=1
    )
    palette = np.insert(colours[:, ::-1], 3, 0, axis=1).tobytes()
    photo = read(bmp([row.tobytes() for row in packed], bits, palette=palette, top_down=top_down))
    assert np.array_equal(photo.rgb, colours[indices])


MASKS = [
    (16, 0x7C00, 0x3E0, 0x1F, 0),
    (16, 0xF800, 0x7E0, 0x1F, 0),
    (16, 0xF00, 0xF0, 0xF, 0),
    (16, 0xF00, 0xF0, 0xF, 0xF000),
    (16, 0x7C00, 0x3E0, 0x1F, 0x8000),
    (16, 0x1F, 0x7E0, 0xF800, 0),
    (16, 0xE0, 0x1C, 0x3, 0),
    (32, 0xFF0000, 0xFF00, 0xFF, 0),
    (32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000),
    (32, 0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    (32, 0x3FF00000, 0xFFC00, 0x3FF, 0),
    (32, 0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000),
    (32, 0xF000, 0xF0, 0xF00000, 0),
]


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize(("bits", "red", "green", "blue", "alpha"), MASKS)
def test_bits_lie_where_the_masks_say(bits, red, green, blue, alpha, top_down):
    words = np.random.default_rng(7).integers(0, 2**bits, SIZE, np.uint64)
    rows = [row.astype(f"<u{bits // 8}").tobytes() for row in words]
    masks = struct.pack("<4I", red, green, blue, alpha)
    photo = read(bmp(rows, bits, compression=3, masks=masks, header_size=56, top_down=top_down))
    for found, mask in zip([*np.moveaxis(photo.rgb, -1, 0), photo.alpha], (red, green, blue, alpha), strict=True):
        if not mask:
            assert found is None
            continue
        low = mask & -mask
        expected = (words & np.uint64(mask)) / low * (255 / (mask // low))
        assert np.abs(found - expected).max() <= 1


def test_plain_16_and_32_bits_have_the_usual_layout():
    words = np.random.default_rng(7).integers(0, 2**15, SIZE)
    expected = np.stack([(words >> shift & 31) * 255 / 31 for shift in (10, 5, 0)], -1)
    assert np.abs(read(bmp([row.astype("<u2").tobytes() for row in words], 16)).rgb - expected).max() <= 1
    words = np.random.default_rng(7).integers(0, 2**32, SIZE, np.uint64)
    photo = read(bmp([row.astype("<u4").tobytes() for row in words], 32))
    assert np.array_equal(photo.rgb, np.stack([words >> np.uint64(shift) & np.uint64(255) for shift in (16, 8, 0)], -1))
    assert photo.alpha is None


PICTURE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*SIZE, 3), np.uint8))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"appended" * 9,
        lambda data: data[:2] + bytes(4) + data[6:],
        lambda data: data[:2] + b"\xff" * 4 + data[6:],
        lambda data: data[:34] + b"\xff" * 4 + data[38:],
        lambda data: data[:26] + bytes(2) + data[28:],
        lambda data: data[:-1],
        lambda data: data[:38] + b"\xff" * 8 + data[46:],
    ],
    ids=["appended", "no size", "huge size", "picture's size", "no planes", "no last padding", "resolution"],
)
def test_numbers_beside_the_pixels_do_not_matter(change):
    assert (SIZE[1] * 3) % 4 == 3  # a byte of padding
    assert np.array_equal(read(change(encode(PICTURE, "BMP"))).rgb, np.asarray(PICTURE))


@pytest.mark.parametrize("missing", [2, 5, 200])
def test_a_picture_that_lacks_pixels_is_refused(missing):
    with pytest.raises(BadRequest, match="BMP"):
        read(encode(PICTURE, "BMP")[:-missing])
    words = [bytes(2 * SIZE[1])] * SIZE[0]
    data = bmp(words, 16, compression=3, masks=struct.pack("<4I", 0xF00, 0xF0, 0xF, 0), header_size=56)
    with pytest.raises(BadRequest, match="BMP"):
        read(data[: -missing - 2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bmp([b""], 24, compression=4), "JPEG"),
        (bmp([b""], 32, compression=5), "PNG"),
        (bmp([b""], 24, compression=4, header_size=64), "run-length of 24 bits"),
        (bmp([b""], 1, compression=3, header_size=64), "Huffman"),
        (bmp([b""], 64), "64 bits"),
    ],
)
def test_a_kind_that_is_not_read_is_named(data, reason):
    with pytest.raises(UnsupportedMedia, match=reason):
        read(data)


def version_5(kind, *, corners=(0,) * 9, gammas=(0,) * 3, profile=b"", size=124):
    rows = [np.full((SIZE[1], 3), (90, 110, 180), np.uint8).tobytes()] * SIZE[0]
    rest = (
        bytes(16)
        + kind
        + struct.pack("<12I", *(round(v * 2**30) for v in corners), *(round(v * 65536) for v in gammas))
    )
    stride = (SIZE[1] * 24 + 31) // 32 * 4
    rest += struct.pack("<4I", 4, size + stride * SIZE[0], len(profile), 0) if size == 124 else b""
    return bmp(rows, 24, header_size=size, behind=rest) + profile


P3_XYZ = (0.48657, 0.22897, 0.0, 0.26567, 0.69174, 0.04511, 0.19822, 0.07929, 1.04394)
SRGB_XYZ = (0.41239, 0.21264, 0.01933, 0.35758, 0.71517, 0.11919, 0.18048, 0.07219, 0.95053)
P3_XYZ_UNSCALED = (0.68, 0.32, 0.0, 0.265, 0.69, 0.045, 0.15, 0.06, 0.79)  # x, y, z, as some programs write


@pytest.mark.parametrize("size", [108, 124])
@pytest.mark.parametrize(
    ("kind", "corners", "gammas", "expected"),
    [
        (b"BGRs", P3_XYZ, (1, 1, 1), (180, 110, 90)),  # "sRGB": the numbers behind it do not count
        (b" niW", (0,) * 9, (0,) * 3, (180, 110, 90)),
        (bytes(4), (0,) * 9, (0,) * 3, (180, 110, 90)),
        (bytes(4), SRGB_XYZ, (2.2,) * 3, (180, 110, 90)),
        (bytes(4), P3_XYZ, (2.2,) * 3, (191, 106, 85)),
        (bytes(4), P3_XYZ_UNSCALED, (2.2,) * 3, (191, 106, 85)),
        (bytes(4), (0,) * 9, (1.0,) * 3, (218, 175, 160)),
    ],
)
def test_the_header_names_the_space(kind, corners, gammas, expected, size):
    photo = read(version_5(kind, corners=corners, gammas=gammas, size=size))
    assert np.abs(photo.rgb.astype(int) - expected).max() <= 1


def test_an_embedded_profile_is_used():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    table = srgb[128:240].replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    data = version_5(b"DEBM", profile=srgb[:128] + table + srgb[240:])
    assert np.abs(read(data).rgb.astype(int) - (110, 180, 90)).max() <= 1
    assert (read(version_5(b"DEBM", profile=b"broken")).rgb == (180, 110, 90)).all()
