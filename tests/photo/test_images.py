import io
import random
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from sam3d_bento.errors import BadRequest, RequestError, TooLarge, UnsupportedMedia
from sam3d_bento.photo import images
from sam3d_bento.photo.colour import icc
from sam3d_bento.photo.images import WORKING_SIZE, decode
from sam3d_bento.warning_codes import WarningCode
from tests.support.png_files import png_chunk, png_of, transparent_colour
from tests.support.profiles import grey_profile
from tests.support.tiff_files import tiff_of

LIMIT = 64_000_000
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}}
LOSSY = {"JPEG": {"quality": 95, "subsampling": 0}, "AVIF": {"quality": 95}, "HEIF": {"quality": 95}}
FORMATS = {**LOSSLESS, **LOSSY, "GIF": {}}
RED = (200, 30, 40)


def scene(width=64, height=48):
    """Smooth, but different in every corner, so that a turned or mirrored copy is another picture."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray(np.rint(np.stack([255 * x, 255 * y, 90 + 90 * x * y], axis=-1)).astype(np.uint8))


def encode(image, kind, **options):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width, height, depth, colour_type, rows=b"", transparent=b""):
    """A PNG written by hand, for what Pillow does not write; without `rows` its picture is missing."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + (chunk(b"tRNS", transparent) if transparent else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def difference(photo, image):
    return np.abs(photo.rgb.astype(int) - np.asarray(image.convert("RGB")).astype(int)).mean()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_picture(kind):
    photo = decode(encode(scene(), kind, **FORMATS[kind]), max_pixels=LIMIT)
    # GIF has 256 colours; AVIF and HEIC halve the resolution of colour
    assert difference(photo, scene()) <= (0 if kind in LOSSLESS else 6)
    assert photo.rgb.shape == (48, 64, 3)
    assert photo.rgb.dtype == np.uint8
    assert photo.rgb.flags.writeable
    assert photo.alpha is None
    assert photo.original_size == (64, 48)
    assert photo.warnings == ()


# --- what is refused


def test_no_bytes_is_a_bad_request():
    with pytest.raises(BadRequest, match="empty"):
        decode(b"", max_pixels=LIMIT)


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is no picture",
        b"BMW is a car maker",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"%PDF-1.7\n",
        b"8BPS\0\1" + bytes(40),
        b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(40),
        b"\0",
        encode(scene(), "EPS"),
        encode(scene(), "ICO"),
        encode(scene(), "JPEG2000"),
        encode(scene(), "PPM"),
    ],
    ids=["text", "text-BM", "svg", "pdf", "psd", "mp4", "zero", "eps", "ico", "jpeg2000", "ppm"],
)
def test_other_formats_are_not_tried(data):
    with pytest.raises(UnsupportedMedia, match="JPEG, PNG"):
        decode(data, max_pixels=LIMIT)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_cut_short_is_a_bad_request_that_names_the_format(kind):
    data = encode(scene(), kind, **FORMATS[kind])
    with pytest.raises(BadRequest, match=kind):
        decode(data[: len(data) // 2], max_pixels=LIMIT)


@pytest.mark.parametrize("kind", FORMATS)
def test_garbage_behind_a_known_signature_is_a_bad_request(kind):
    data = encode(scene(), kind, **FORMATS[kind])
    with pytest.raises(BadRequest):
        decode(data[:24] + random.Random(1).randbytes(500), max_pixels=LIMIT)


def test_heic_without_its_package_is_refused_naming_the_package():
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from sam3d_bento import errors\n"
        "from sam3d_bento.photo import images\n"
        "try: images.decode(sys.stdin.buffer.read(), max_pixels=10_000)\n"
        "except errors.UnsupportedMedia as exc: print(exc.detail)\n"
    )
    heic = encode(scene(), "HEIF")
    run = subprocess.run([sys.executable, "-c", code], input=heic, capture_output=True, check=True)
    assert b"HEIC" in run.stdout
    assert b"pillow-heif" in run.stdout


def test_the_preview_inside_a_camera_raw_file_is_not_taken_for_the_photo():
    with pytest.raises(UnsupportedMedia, match="raw"):
        decode(encode(scene(), "TIFF", tiffinfo={254: 1}), max_pixels=LIMIT)


# --- limits


@pytest.mark.parametrize("kind", FORMATS)
def test_the_pixel_limit_is_exact(kind):
    data = encode(scene(), kind, **FORMATS[kind])
    decode(data, max_pixels=64 * 48)
    with pytest.raises(TooLarge, match="3,071 pixels"):
        decode(data, max_pixels=64 * 48 - 1)


def test_the_limit_is_checked_before_pixels_are_decoded():
    # there are no pixels in this file, so decoding them would end as a damaged file
    with pytest.raises(TooLarge):
        decode(png(9_000, 9_000, 8, 2), max_pixels=LIMIT)
    with pytest.raises(BadRequest):
        decode(png(9_000, 9_000, 8, 2), max_pixels=9_000 * 9_000)


def test_beyond_pillows_own_limit_it_is_the_same_refusal():
    with pytest.raises(TooLarge, match="178,956,970"):
        decode(png(30_000, 30_000, 8, 2), max_pixels=10**12)


@pytest.mark.parametrize("size", [(1, 1), (2, 3000), (15, 15), (3000, 16)])
def test_a_picture_too_small_or_narrow_is_refused_with_its_size(size):
    with pytest.raises(BadRequest, match=f"{size[0]} × {size[1]}"):
        decode(encode(Image.new("RGB", size), "PNG"), max_pixels=LIMIT)


def test_the_smallest_picture_is_read():
    assert decode(encode(scene(16, 16), "PNG"), max_pixels=LIMIT).rgb.shape == (16, 16, 3)


def test_a_jpeg_with_endless_passes_is_refused():
    data = encode(scene(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    last_pass = data[start:-2]
    assert decode(data[:-2] + 20 * last_pass + data[-2:], max_pixels=LIMIT)
    with pytest.raises(BadRequest, match="passes"):
        decode(data[:-2] + 200 * last_pass + data[-2:], max_pixels=LIMIT)


def test_bytes_that_a_phone_appends_to_a_jpeg_do_not_count_as_passes():
    data = encode(scene(), "JPEG")
    assert difference(decode(data + 1000 * b"\xff\xda\x00\x02", max_pixels=LIMIT), scene()) < 6


# --- working size


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_reduced_and_remembers_its_size(kind):
    photo = decode(encode(scene(3000, 2000), kind), max_pixels=LIMIT)
    assert photo.rgb.shape == (1365, WORKING_SIZE, 3)
    assert photo.original_size == (3000, 2000)
    assert difference(photo, scene(WORKING_SIZE, 1365)) < 1.5


def _cut_out_with_a_hidden_colour(kind):
    """A red square, and green under alpha 0 around it, larger than the working size."""
    picture = np.zeros((300, 2100, 4), np.uint8)
    picture[...] = (0, 255, 0, 0)
    picture[101:199, 701:1399] = (255, 0, 0, 255)
    match kind:
        case "png" | "webp" | "tiff":
            return encode(Image.fromarray(picture), kind.upper(), **({"lossless": True} if kind == "webp" else {}))
        case "png-16":
            return png_of(picture.astype(int) * 257, 16, 6)
        case "tiff-16":
            return tiff_of(picture.astype(np.uint16) * 257, tags=[(338, 3, (2,))])
        case "transparent colour":
            return png_of(picture[..., :3].astype(int), 8, 2, before=transparent_colour(0, 255, 0))
    raise AssertionError(kind)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "png-16", "tiff-16", "transparent colour"])
def test_hidden_colours_do_not_bleed_into_visible_ones(kind):
    photo = decode(_cut_out_with_a_hidden_colour(kind), max_pixels=LIMIT)
    assert photo.rgb.shape[:2] == photo.alpha.shape == (293, WORKING_SIZE)
    visible = photo.rgb[photo.alpha > 0]
    assert visible[:, 0].min() > 250
    assert visible[:, 1].max() == 0


def test_hidden_greys_do_not_bleed_into_visible_ones():
    picture = np.zeros((300, 2100, 2), np.uint8)
    picture[..., 0] = 255
    picture[101:199, 701:1399] = (10, 255)
    photo = decode(encode(Image.fromarray(picture, "LA"), "PNG"), max_pixels=LIMIT)
    assert photo.rgb[photo.alpha > 0].max() <= 20  # at low alpha a level of grey is several


# --- orientation

_STORED = {  # how an upright picture is laid down so that the EXIF value describes it
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", _STORED)
def test_every_exif_orientation_is_turned_upright(orientation, kind):
    transpose = _STORED[orientation]
    stored = scene() if transpose is None else scene().transpose(transpose)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = decode(encode(stored, kind, exif=exif.tobytes(), **FORMATS[kind]), max_pixels=LIMIT)
    assert photo.original_size == (64, 48)
    assert photo.rgb.shape == (48, 64, 3)
    assert difference(photo, scene()) < 5


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "JPEG", "AVIF", "HEIF"])
def test_the_orientation_is_taken_from_xmp_where_exif_has_none(kind):
    stored = scene().transpose(_STORED[6])
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options = {"tiffinfo": {700: xmp}} if kind == "TIFF" else {"xmp": xmp}
    if kind == "PNG":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode())
    photo = decode(encode(stored, kind, **options, **FORMATS[kind]), max_pixels=LIMIT)
    assert photo.original_size == (64, 48)
    assert difference(photo, scene()) < 5


def test_the_orientation_is_taken_from_xmp_in_a_deep_tiff():
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    stored = np.asarray(scene().transpose(_STORED[6])).astype(np.uint16) * 257
    photo = decode(tiff_of(stored, tags=[(700, 7, xmp)]), max_pixels=LIMIT)
    assert photo.original_size == (64, 48)
    assert difference(photo, scene()) == 0


@pytest.mark.slow
def test_a_large_turned_jpeg_is_upright_too():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored = scene(2500, 2000).transpose(Image.Transpose.ROTATE_90)
    photo = decode(encode(stored, "JPEG", exif=exif), max_pixels=LIMIT)
    assert photo.original_size == (2500, 2000)
    assert difference(photo, scene(2048, 1638)) < 1.5


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0MM\0*" + b"\xff" * 40,
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",  # the orientation is a text
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",  # ... or 99
        b"Exif\0\0",
        b"nonsense",
    ],
)
def test_a_corrupt_exif_block_is_ignored(exif):
    assert difference(decode(encode(scene(), "JPEG", exif=exif), max_pixels=LIMIT), scene()) < 6


# --- kinds of colour


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("RGB", kind) for kind in LOSSLESS),
        *(("P", kind) for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP")),
        *(("CMYK", kind) for kind in ("JPEG", "TIFF")),
        ("YCbCr", "TIFF"),
        ("LAB", "TIFF"),
    ],
)
def test_colours_survive_every_way_to_store_them(mode, kind):
    stored = Image.new("RGB", (32, 32), RED).convert(mode, palette=Image.Palette.ADAPTIVE)
    photo = decode(encode(stored, kind), max_pixels=LIMIT)
    assert np.abs(photo.rgb.astype(int) - RED).max() <= 4
    assert photo.alpha is None


@pytest.mark.parametrize(("mode", "kind"), [("L", "PNG"), ("1", "PNG"), ("1", "TIFF"), ("L", "JPEG"), ("L", "WEBP")])
def test_grey_pictures_become_rgb(mode, kind):
    half = Image.new("L", (32, 32), 0)
    half.paste(255, (16, 0, 32, 32))
    photo = decode(encode(half.convert(mode), kind), max_pixels=LIMIT)
    assert photo.rgb[:, :12].max() < 8
    assert photo.rgb[:, 20:].min() > 247
    assert photo.alpha is None


def _two_halves(mode):
    """Left half transparent, right half opaque red (or grey)."""
    picture = Image.new("RGBA", (32, 32), (*RED, 0))
    picture.paste((*RED, 255), (16, 0, 32, 32))
    if mode == "P":
        palette = Image.new("P", (32, 32), 0)
        palette.putpalette([0, 0, 0, *RED])
        palette.paste(1, (16, 0, 32, 32))
        palette.info["transparency"] = 0
        return palette
    return picture.convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("RGBA", kind) for kind in ("PNG", "TIFF", "WEBP", "AVIF", "HEIF")),
        *(("LA", kind) for kind in ("PNG", "TIFF")),
        *(("P", kind) for kind in ("PNG", "GIF")),
        ("PA", "TIFF"),
    ],
)
def test_transparency_becomes_alpha(mode, kind):
    photo = decode(encode(_two_halves(mode), kind), max_pixels=LIMIT)
    assert photo.alpha is not None
    assert photo.alpha.dtype == np.uint8
    assert photo.alpha[:, :12].max() < 5
    assert photo.alpha[:, 20:].min() > 250


@pytest.mark.parametrize(
    ("depth", "colour_type", "dark", "light"),
    [
        (8, 0, b"\x00", b"\xff"),
        (16, 0, b"\x01\x02", b"\xff\xff"),
        (8, 2, b"\x10\x20\x30", b"\xff\xff\xff"),
    ],
)
def test_a_single_transparent_colour_becomes_alpha(depth, colour_type, dark, light):
    widened = dark if depth == 16 else b"".join(b"\0" + bytes([value]) for value in dark)
    rows = 32 * (b"\0" + 16 * dark + 16 * light)
    photo = decode(png(32, 32, depth, colour_type, rows, transparent=widened), max_pixels=LIMIT)
    assert (photo.alpha[:, :16] == 0).all()
    assert (photo.alpha[:, 16:] == 255).all()


def test_16_bits_are_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    rows = b"".join(b"\0" + ramp.astype(">u2").tobytes() for _ in range(32))
    colour_rows = b"".join(b"\0" + np.repeat(ramp, 3).astype(">u2").tobytes() for _ in range(32))
    picture = np.broadcast_to(ramp, (32, 256)).copy()
    files = [
        png(256, 32, 16, 0, rows),
        png(256, 32, 16, 2, colour_rows),
        encode(Image.fromarray(picture), "TIFF"),
        encode(Image.fromarray(picture.astype(np.int32)), "TIFF"),
        encode(Image.fromarray((picture / 65535).astype(np.float32)), "TIFF"),
        encode(Image.fromarray(picture.astype(np.float32)), "TIFF"),
    ]
    for data in files:
        photo = decode(data, max_pixels=LIMIT)
        assert np.abs(photo.rgb.astype(int) - np.arange(256)[None, :, None]).max() <= 1


def test_floats_that_are_no_numbers_are_black_and_white():
    picture = np.full((32, 32), 0.5, np.float32)
    picture[0, :3] = (np.nan, np.inf, -np.inf)
    grey = decode(encode(Image.fromarray(picture), "TIFF"), max_pixels=LIMIT).rgb[..., 0]
    assert grey[0, :4].tolist() == [0, 255, 0, 128]


# --- colour profiles


def swapped_profile():
    """sRGB, but with the primaries of red and green exchanged: easier to see than Display P3."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    table = profile[:128], profile[128:240], profile[240:]
    exchanged = table[1].replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    assert exchanged != table[1]
    return table[0] + exchanged + table[2]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_an_embedded_profile_is_applied(kind):
    picture = Image.new("RGB", (32, 32), (255, 0, 0))
    data = encode(picture, kind, icc_profile=swapped_profile(), **FORMATS[kind])
    assert np.abs(decode(data, max_pixels=LIMIT).rgb.astype(int) - (0, 255, 0)).max() <= 2


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert difference(decode(encode(scene(), "PNG", icc_profile=profile), max_pixels=LIMIT), scene()) == 0


def test_a_profile_leaves_alpha_alone():
    data = encode(_two_halves("RGBA"), "PNG", icc_profile=swapped_profile())
    assert np.array_equal(decode(data, max_pixels=LIMIT).alpha, np.asarray(_two_halves("RGBA"))[..., 3])


@pytest.mark.parametrize(
    "profile",
    [
        b"no profile at all",
        swapped_profile()[:200],
        swapped_profile()[:16] + b"CMYK" + swapped_profile()[20:],
        swapped_profile()[:16] + b"RGB\xff" + swapped_profile()[20:],
        swapped_profile() + bytes(icc.MAX_PROFILE_BYTES),
    ],
    ids=["garbage", "cut", "for-cmyk", "not-ascii", "huge"],
)
def test_a_profile_that_cannot_be_used_is_ignored(profile):
    data = encode(scene(), "WEBP", lossless=True, icc_profile=profile)
    assert difference(decode(data, max_pixels=LIMIT), scene()) == 0


@pytest.mark.parametrize(("gamma", "expected"), [(1.0, 188), (1.8, 146), (2.2, 128)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PNG LA", "PNG 1-bit tRNS", "PNG 16", "TIFF", "TIFF 16", "TIFF float"])
def test_a_grey_profile_is_applied(kind, gamma, expected):
    profile = grey_profile(gamma)
    grey = Image.new("L", (32, 32), 128)
    chunk = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(profile))
    match kind:
        case "JPEG" | "PNG" | "TIFF":
            data = encode(grey, kind, icc_profile=profile)
        case "PNG LA":
            data = encode(grey.convert("LA"), "PNG", icc_profile=profile)
        case "PNG 1-bit tRNS":
            before = chunk + transparent_colour(0)
            data = png_of(np.full((32, 32, 1), 128), 8, 0, before=before)
        case "PNG 16":
            data = png_of(np.full((32, 32, 1), 128 * 257), 16, 0, before=chunk)
        case "TIFF 16":
            data = tiff_of(np.full((32, 32, 1), 128 * 257, "u2"), photometric=1, tags=[(34675, 7, profile)])
        case _:
            data = tiff_of(np.full((32, 32, 1), 128 / 255, "f4"), photometric=1, tags=[(34675, 7, profile)])
    assert np.abs(decode(data, max_pixels=LIMIT).rgb.astype(int) - expected).max() <= 2


def test_a_grey_profile_is_not_for_colours():
    data = encode(scene(), "PNG", icc_profile=grey_profile(1.0))
    assert difference(decode(data, max_pixels=LIMIT), scene()) == 0


# --- several frames


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_of_several_frames_the_first_is_used_and_said(kind):
    further = [Image.new("RGB", (64, 48), (0, 0, shade)) for shade in (100, 200)]
    data = encode(Image.new("RGB", (64, 48), RED), kind, save_all=True, append_images=further)
    photo = decode(data, max_pixels=LIMIT)
    assert photo.warnings == (WarningCode.FIRST_FRAME_ONLY,)
    assert np.abs(photo.rgb.astype(int) - RED).max() <= 10


def test_a_phones_multi_picture_jpeg_is_an_ordinary_photo():
    data = encode(scene(), "MPO", save_all=True, append_images=[Image.new("RGB", (32, 24))])
    photo = decode(data, max_pixels=LIMIT)
    assert difference(photo, scene()) < 6
    assert photo.warnings == ()


def test_later_frames_are_not_visited():
    frames = [Image.new("RGB", (64, 48), (shade, 0, 0)) for shade in (50, 100, 150)]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=40)
    third = [at for at in range(len(data)) if data.startswith(b"\x21\xf9\x04", at)][2]
    assert decode(data[:third] + b"\xee" * 100, max_pixels=LIMIT).warnings == (WarningCode.FIRST_FRAME_ONLY,)


# --- anything else


def _corpus():
    grey16 = Image.fromarray(np.linspace(0, 65535, 40 * 32).reshape(32, 40).astype(np.uint16))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    small = scene(40, 32)
    frames = {"save_all": True, "append_images": [small.rotate(90)]}
    corpus = [encode(small, kind, **options) for kind, options in FORMATS.items()]
    corpus += [
        encode(small, "JPEG", exif=exif, icc_profile=swapped_profile()),
        encode(small, "JPEG", progressive=True),
        encode(small.convert("CMYK"), "JPEG"),
        encode(small, "MPO", **frames),
        encode(small, "PNG", exif=exif, icc_profile=swapped_profile(), **frames),
        encode(_two_halves("P"), "PNG"),
        encode(grey16, "PNG"),
        encode(small, "WEBP", exif=exif, icc_profile=swapped_profile(), **frames),
        encode(small, "GIF", **frames),
        encode(small, "TIFF", compression="tiff_lzw", exif=exif),
        encode(small, "TIFF", compression="jpeg"),
        encode(small.convert("1"), "TIFF", compression="group4"),
        encode(grey16, "TIFF", **{**frames, "append_images": [grey16]}),
        encode(small.convert("LAB"), "TIFF"),
    ]
    return corpus


def _mutated(data, rng):
    changed = bytearray(data)
    kind = rng.randrange(4)
    if kind == 0:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 1:
        start = rng.randrange(len(changed))
        del changed[start : start + rng.randrange(1, 20)]
    else:  # most often near the front, where the headers are
        reach = len(changed) if kind == 2 else min(200, len(changed))
        for _ in range(rng.randrange(1, 8)):
            changed[rng.randrange(reach)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that is odd in these files
def test_damaged_files_are_read_or_refused_and_nothing_else_happens():
    pytest.importorskip("pillow_heif")
    rng = random.Random(20)
    corpus = _corpus()
    read = refused = 0
    for turn in range(1500):
        data = _mutated(corpus[turn % len(corpus)], rng)
        try:
            photo = decode(data, max_pixels=200_000)
        except RequestError:
            refused += 1
        else:
            assert photo.rgb.dtype == np.uint8
            assert photo.rgb.ndim == 3
            assert photo.alpha is None or photo.alpha.shape == photo.rgb.shape[:2]
            read += 1
    assert read > 200
    assert refused > 200


@pytest.mark.parametrize(("millimetres", "pixels"), [(26, 26 / 43.27 * 500), (0, None), (60_000, None)])
def test_the_focal_length_is_read_in_pixels_of_the_picture(millimetres: int, pixels: float | None) -> None:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = millimetres
    data = io.BytesIO()
    Image.new("RGB", (400, 300)).save(data, "JPEG", exif=exif)
    found = images.decode(data.getvalue(), max_pixels=10**6).focal_length
    assert found == (None if pixels is None else pytest.approx(pixels))


def test_the_focal_length_shrinks_with_the_picture_and_survives_turning() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 43
    data = io.BytesIO()
    Image.new("RGB", (4096, 3072)).save(data, "JPEG", exif=exif)
    photo = images.decode(data.getvalue(), max_pixels=10**8)
    assert photo.rgb.shape == (2048, 1536, 3)
    assert photo.focal_length == pytest.approx(43 / 43.27 * 2560)


def test_a_picture_without_exif_tells_no_focal_length() -> None:
    data = io.BytesIO()
    Image.new("RGB", (40, 30)).save(data, "PNG")
    assert images.decode(data.getvalue(), max_pixels=10**6).focal_length is None
