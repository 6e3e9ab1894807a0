import struct

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.photo.colour.spaces import SRGB, from_cicp
from sam3d_bento.photo.images import decode
from sam3d_bento.photo.readers.iso_media import nclx_space
from sam3d_bento.warning_codes import WarningCode
from tests.support.image_files import encode, exif, profile

LIMIT = 1_000_000


def read(data):
    return decode(data, max_pixels=LIMIT)


def box(kind, *bodies):
    body = b"".join(bodies)
    return struct.pack(">I", len(body) + 8) + kind + body


def full(kind, *bodies, version=0, flags=0):
    return box(kind, struct.pack(">I", version << 24 | flags), *bodies)


def nclx(primaries, transfer, matrix=6):
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, transfer, matrix, 0x80))


OTHER = box(b"ispe", bytes(12))


def heif(primary, properties, associations, *, wide=False, before=b""):
    """Write the boxes that say of colours. associations: item -> numbers of properties, from 1."""
    item = ">I" if wide else ">H"
    entries = b"".join(
        struct.pack(item, number)
        + bytes([len(found)])
        + b"".join(struct.pack(">H" if wide else ">B", n) for n in found)
        for number, found in associations.items()
    )
    ipma = full(b"ipma", struct.pack(">I", len(associations)), entries, version=int(wide), flags=int(wide))
    pitm = full(b"pitm", struct.pack(item, primary), version=int(wide))
    meta = full(b"meta", full(b"hdlr", bytes(20)), pitm, box(b"iprp", box(b"ipco", *properties), ipma))
    return box(b"ftyp", b"avif", bytes(4), b"avif") + before + meta


@pytest.mark.parametrize("wide", [False, True])
def test_the_colour_box_of_the_primary_item_counts(wide):
    properties = [OTHER, nclx(1, 8), OTHER, nclx(12, 13)]
    data = heif(7, properties, {3: [1, 2], 7: [3, 4], 9: [1, 2]}, wide=wide)
    assert nclx_space(data) == from_cicp(12, 13)
    assert nclx_space(heif(3, properties, {3: [1, 2], 7: [3, 4]}, wide=wide)) == from_cicp(1, 8)
    assert nclx_space(heif(5, properties, {3: [1, 2], 7: [3, 4]}, wide=wide)) is None


def test_a_profile_and_an_nclx_box_stand_side_by_side():
    properties = [box(b"colr", b"prof", bytes(200)), nclx(12, 13)]
    assert nclx_space(heif(1, properties, {1: [1, 2]})) == from_cicp(12, 13)
    assert nclx_space(heif(1, properties, {1: [1]})) is None


def test_boxes_of_64_bits_and_unknown_ones_are_passed_over():
    large = struct.pack(">I", 1) + b"free" + struct.pack(">Q", 16 + 5) + b"abcde"
    assert nclx_space(heif(1, [nclx(9, 16)], {1: [1]}, before=large + box(b"uuid", bytes(40)))) == from_cicp(9, 16)


def test_an_animation_without_items_has_the_colours_of_its_track():
    entry = box(b"av01", bytes(78), OTHER, nclx(12, 13))
    table = box(b"stbl", full(b"stsd", struct.pack(">I", 1), entry))
    data = box(b"ftyp", b"avis", bytes(4)) + box(b"moov", box(b"trak", box(b"mdia", box(b"minf", table))))
    assert nclx_space(data) == from_cicp(12, 13)


def test_boxes_that_end_anywhere_say_nothing_or_the_same():
    data = heif(7, [OTHER, nclx(12, 13)], {7: [1, 2]})
    for end in range(len(data)):
        assert nclx_space(data[:end]) in (None, from_cicp(12, 13))
    for at in range(len(data)):
        for value in (0, 1, 255):
            nclx_space(data[:at] + bytes([value]) + data[at + 1 :])


# --- real files, whose colour box is changed


def of_colour(kind, primaries, transfer, **options):
    """Encode a plain (180, 110, 90); what the file says of it is replaced."""
    if kind == "HEIF":
        pytest.importorskip("pillow_heif")
    picture = Image.new("RGB", (64, 64), (180, 110, 90))
    if kind == "HEIF":
        options["nclx_profile"] = {
            "color_primaries": 1,
            "transfer_characteristics": 13,
            "matrix_coefficients": 6,
            "full_range_flag": 1,
        }
    data = encode(picture, kind, quality=95, **options)
    at = data.index(b"nclx")
    return data[: at + 4] + struct.pack(">HH", primaries, transfer) + data[at + 8 :]


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize(
    ("primaries", "transfer", "expected"),
    [
        (1, 13, (180, 110, 90)),
        (2, 2, (180, 110, 90)),
        (1, 1, (180, 110, 90)),
        (6, 6, None),
        (12, 13, (191, 106, 85)),
        (12, 2, (191, 106, 85)),
        (1, 8, (218, 175, 160)),
    ],
)
def test_the_nclx_box_names_the_space(kind, primaries, transfer, expected):
    photo = read(of_colour(kind, primaries, transfer))
    assert photo.warnings == ()
    if expected:
        assert np.abs(photo.rgb.astype(int) - expected).max() <= 4


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_tone_mapped_and_said(kind, transfer):
    photo = read(of_colour(kind, 9, transfer))
    assert photo.warnings == (WarningCode.HDR_TONE_MAPPED,)


def test_a_profile_goes_before_the_nclx_box():
    picture = Image.new("RGB", (64, 64), (180, 110, 90))
    data = encode(picture, "AVIF", quality=95, icc_profile=profile())
    assert np.abs(read(data).rgb.astype(int) - (180, 110, 90)).max() <= 3


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize(
    "behind", [b"\0\0\0\x10freeabcdefgh", b"garbage" * 20, bytes(500)], ids=["box", "garbage", "zeros"]
)
def test_bytes_behind_the_picture_do_not_matter(kind, behind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif")
    data = encode(Image.new("RGB", (64, 48), (180, 110, 90)), kind, exif=exif(6))
    photo, whole = read(data + behind), read(data)
    assert np.array_equal(photo.rgb, whole.rgb)
    assert photo.original_size == (48, 64)


def test_a_codec_that_is_not_there_is_named():
    pytest.importorskip("pillow_heif")
    data = encode(Image.new("RGB", (64, 48)), "HEIF")
    for codec in (b"vvc1", b"jpeg", b"unci", b"abcd"):
        with pytest.raises(UnsupportedMedia, match=f"HEIC with the codec '{codec.decode()}'"):
            read(data.replace(b"hvc1", codec))
    data = encode(Image.new("RGB", (64, 48)), "AVIF")
    with pytest.raises(UnsupportedMedia, match="AVIF with the codec 'av02'"):
        read(data.replace(b"av01", b"av02"))
    with pytest.raises(BadRequest):
        read(data[:-20])


def test_srgb_by_nclx_is_srgb():
    assert from_cicp(1, 13) == SRGB
