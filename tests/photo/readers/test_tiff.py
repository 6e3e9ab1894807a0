import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.photo.images import decode
from sam3d_bento.warning_codes import WarningCode
from tests.support.image_files import encode
from tests.support.image_files import scene as small_scene
from tests.support.tiff_files import tiff_of

LIMIT = 1_000_000
SIZE = (37, 45)  # not a multiple of any strip or tile below
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
FULL = {"u1": 255, "u2": 65535, "u4": 2**32 - 1, "i1": 127, "i2": 32767, "i4": 2**31 - 1, "f2": 1, "f4": 1, "f8": 1}


def read(data):
    return decode(data, max_pixels=LIMIT)


def levels(channels, seed=1):
    """Levels 0..255 of a random picture; black and white are both in it."""
    picture = np.random.default_rng(seed).integers(0, 256, (*SIZE, channels))
    picture[0, 0], picture[-1, -1] = 0, 255
    return picture


def stored(picture, kind):
    """Scale levels to the full range of a dtype."""
    values = picture / 255 * FULL[kind]
    return values.astype(kind) if kind[0] == "f" else np.rint(values).astype(kind)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO, RGB])
@pytest.mark.parametrize("kind", FULL)
def test_every_depth_and_format_gives_its_levels(kind, photometric, order):
    picture = levels(3 if photometric == RGB else 1)
    expected = 255 - picture if photometric == WHITE_IS_ZERO else picture
    photo = read(tiff_of(stored(picture, kind), photometric=photometric, order=order, rows=7))
    # a signed byte has 128 levels for light
    tolerance = 1 if kind == "i1" or (kind == "i2" and photometric == WHITE_IS_ZERO) else 0
    assert np.abs(photo.rgb.astype(int) - expected).max() <= tolerance
    assert photo.alpha is None


LAYOUTS = {
    "one strip": {},
    "strips": {"rows": 8},
    "packed": {"packed": True},
    "packed strips": {"packed": True, "rows": 5},
    "tiles": {"tile": (16, 16)},
    "packed tiles": {"tile": (32, 16), "packed": True},
    "planes": {"planar": True},
    "planes in strips": {"planar": True, "rows": 9, "packed": True},
    "planes in tiles": {"planar": True, "tile": (16, 32)},
    "differences": {"predictor": 2, "packed": True},
    "differences in tiles": {"predictor": 2, "packed": True, "tile": (16, 16)},
    "differences in planes": {"predictor": 2, "packed": True, "planar": True, "rows": 4},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u2", "u4", "f4"])
def test_every_layout_gives_the_same_picture(kind, order, layout):
    picture = levels(3)
    assert np.array_equal(read(tiff_of(stored(picture, kind), order=order, **LAYOUTS[layout])).rgb, picture)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"planar": True}], ids=str)
def test_the_floating_point_predictor_is_undone(kind, options, order):
    picture = levels(3)
    data = tiff_of(stored(picture, kind), order=order, predictor=3, packed=True, **options)
    assert np.array_equal(read(data).rgb, picture)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 7, 9, 10, 12, 14, 15, 20])
@pytest.mark.parametrize("channels", [1, 3])
def test_packed_bits_of_any_number_are_scaled(bits, channels, order):
    values = np.random.default_rng(bits).integers(0, 2**bits, (*SIZE, channels)).astype(np.uint32)
    values[0, 0] = 2**bits - 1
    photo = read(tiff_of(values, bits, photometric=RGB if channels == 3 else BLACK_IS_ZERO, order=order, rows=10))
    assert np.abs(photo.rgb.astype(int) - values * 255 / (2**bits - 1)).max() <= (0.51 if bits < 20 else 1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_24_bits_are_three_bytes_in_the_order_of_the_file(order):
    picture = levels(3)
    bytes_ = (picture[..., None] * 0x010101 >> np.array([0, 8, 16])[:: 1 if order == "<" else -1] & 255).astype("u1")
    data = tiff_of(
        bytes_.reshape(*SIZE, 9), order=order, tags=[(258, 3, (24,) * 3), (277, 3, (3,)), (339, 3, (1,) * 3)]
    )
    assert np.array_equal(read(data).rgb, picture)


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_samples_of_an_undefined_format_are_integers(kind):
    picture = levels(3)
    assert np.array_equal(read(tiff_of(stored(picture, kind), tags=[(339, 3, (4, 4, 4))])).rgb, picture)


@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_bits_may_come_in_the_other_order(fill_order, packed):
    picture = levels(3)
    assert np.array_equal(read(tiff_of(stored(picture, "u2"), fill_order=fill_order, packed=packed)).rgb, picture)


@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO, RGB])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
@pytest.mark.parametrize("planar", [False, True])
def test_unassociated_alpha_is_kept_apart(kind, photometric, planar):
    colours = 3 if photometric == RGB else 1
    picture = levels(colours + 1)
    photo = read(tiff_of(stored(picture, kind), photometric=photometric, planar=planar, tags=[(338, 3, (2,))]))
    expected = 255 - picture[..., :colours] if photometric == WHITE_IS_ZERO else picture[..., :colours]
    assert np.array_equal(photo.alpha, picture[..., -1])
    assert np.array_equal(photo.rgb, np.broadcast_to(expected, (*SIZE, 3)))


@pytest.mark.parametrize("photometric", [BLACK_IS_ZERO, RGB])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "f4"])
def test_associated_alpha_is_divided_out(kind, photometric):
    colours = 3 if photometric == RGB else 1
    picture = levels(colours + 1)
    weighted = picture.astype(float)
    weighted[..., :colours] *= picture[..., -1:] / 255
    photo = read(tiff_of(stored(weighted, kind), photometric=photometric, tags=[(338, 3, (1,))]))
    seen = picture[..., -1] >= 64  # below that, a byte has too few levels left
    assert np.array_equal(photo.alpha, picture[..., -1])
    assert np.abs(photo.rgb[seen].astype(int) - picture[seen][:, :colours]).max() <= (3 if kind == "u1" else 1)


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_one_extra_sample_that_nothing_is_said_of_is_alpha(kind):
    picture = levels(4)
    assert np.array_equal(read(tiff_of(stored(picture, kind))).alpha, picture[..., 3])


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_unspecified_samples_are_passed_over(kind):
    picture = levels(5)
    photo = read(tiff_of(stored(picture, kind), tags=[(338, 3, (0, 0))]))
    assert photo.alpha is None
    assert np.array_equal(photo.rgb, picture[..., :3])


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("wide", [True, False], ids=["16 bits a colour", "8 bits a colour"])
def test_a_palette_is_looked_up(bits, wide):
    indices = np.random.default_rng(3).integers(0, 2**bits, (*SIZE, 1)).astype(np.uint16 if bits == 16 else np.uint8)
    colours = np.random.default_rng(4).integers(0, 256, (2**bits, 3))
    colours[-1] = 255
    table = tuple((colours.T * (257 if wide else 1)).ravel().tolist())
    photo = read(tiff_of(indices, bits, photometric=PALETTE, tags=[(320, 3, table)], drop=(339,)))
    assert np.array_equal(photo.rgb, colours[indices[..., 0]])


@pytest.mark.parametrize("kind", ["u1", "u2", "u4"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_cmyk_without_a_profile_is_the_plain_mixture(kind, with_alpha):
    picture = levels(5 if with_alpha else 4)
    tags = [(338, 3, (2,))] if with_alpha else []
    photo = read(tiff_of(stored(picture, kind), photometric=CMYK, tags=tags))
    expected = (255 - picture[..., :3]) * (255 - picture[..., 3:4]) / 255
    assert np.abs(photo.rgb.astype(int) - expected).max() <= 1
    assert (photo.alpha is not None) == with_alpha


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_cielab_is_converted(kind):
    lab = np.zeros((*SIZE, 3), int)
    lab[..., 0], lab[..., 1], lab[..., 2] = 54.29, 80.81, 69.89  # red of sRGB, white D50: ICC.1:2022, annex F
    full = {"u1": 255, "u2": 65535}[kind]
    unit = {"u1": 1, "u2": 256}[kind]
    values = np.stack([54.29 / 100 * full * np.ones(SIZE), *(v * unit * np.ones(SIZE) for v in (80.81, 69.89))], -1)
    photo = read(tiff_of(np.rint(values).astype(kind), photometric=8))
    assert np.abs(photo.rgb.astype(int) - (255, 0, 0)).max() <= 8


# --- where white is, when the depth does not say it


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floats_of_the_usual_ranges_are_scaled_by_them(white):
    picture = levels(3)
    assert np.abs(read(tiff_of((picture / 255 * white).astype("f4"))).rgb.astype(int) - picture).max() <= 1


def test_a_few_floats_brighter_than_white_do_not_darken_the_rest():
    picture = levels(3)
    values = (picture / 255).astype("f4")
    values[5, 5] = 40.0
    photo = read(tiff_of(values))
    assert photo.rgb[5, 5].tolist() == [255] * 3
    assert np.abs(photo.rgb.astype(int) - picture)[6:].max() <= 1


def test_floats_that_are_no_numbers_are_black_and_white():
    values = np.full((*SIZE, 3), 0.5, "f4")
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    assert read(tiff_of(values)).rgb[0, :4, 0].tolist() == [0, 255, 0, 128]


@pytest.mark.parametrize("white", [255, 65535])
def test_integers_of_32_bits_may_hold_fewer(white):
    picture = levels(1)
    values = np.rint(picture / 255 * white).astype("u4")
    assert np.abs(read(tiff_of(values, photometric=BLACK_IS_ZERO)).rgb - picture).max() <= 1


# --- colours


def test_a_profile_is_applied_at_every_depth():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = srgb[128:240].replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    profile = srgb[:128] + exchanged + srgb[240:]
    picture = np.zeros((*SIZE, 3), int)
    picture[..., 0] = 255
    for kind in ("u1", "u2", "u4", "f4"):
        photo = read(tiff_of(stored(picture, kind), tags=[(34675, 7, profile)]))
        assert np.abs(photo.rgb.astype(int) - (0, 255, 0)).max() <= 2


P3_PRIMARIES = (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def rationals(values):
    return tuple(part for value in values for part in (round(value * 10**5), 10**5))


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_primaries_in_tags_are_honoured(kind):
    picture = np.broadcast_to([180, 110, 90], (*SIZE, 3))
    tags = [(318, 5, rationals((0.3127, 0.329))), (319, 5, rationals(P3_PRIMARIES))]
    assert np.abs(read(tiff_of(stored(picture, kind), tags=tags)).rgb.astype(int) - (191, 106, 85)).max() <= 1
    broken = [(318, 5, rationals((0, 0))), (319, 5, rationals((0,) * 6))]
    assert (read(tiff_of(stored(picture, kind), tags=broken)).rgb == (180, 110, 90)).all()


def test_a_transfer_function_in_tags_is_honoured():
    picture = np.broadcast_to([55], (*SIZE, 1))
    linear = tuple(257 * n for n in range(256))
    usual = tuple(round(65535 * (n / 255) ** 2.2) for n in range(256))
    assert (read(tiff_of(stored(picture, "u1"), photometric=1, tags=[(301, 3, linear)])).rgb == 128).all()
    assert (read(tiff_of(stored(picture, "u1"), photometric=1, tags=[(301, 3, usual)])).rgb == 55).all()
    assert (read(tiff_of(stored(picture, "u1"), photometric=1, tags=[(301, 3, linear[::-1])])).rgb == 55).all()


# --- other writers, other readers


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "rgb"},
        {"photometric": "rgb", "planarconfig": "separate"},
        {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"},
        {"photometric": "rgb", "byteorder": ">", "bigtiff": True, "rowsperstrip": 3},
    ],
    ids=str,
)
def test_files_of_tifffile_are_read(dtype, options):
    picture = levels(3)
    values = stored(picture, dtype)
    options = dict(options)
    if options.get("planarconfig") == "separate":
        values = np.moveaxis(values, -1, 0)
    opened = {key: options.pop(key) for key in ("byteorder", "bigtiff") if key in options}
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **opened) as writer:
        writer.write(values, **options)
    assert np.array_equal(read(file.getvalue()).rgb, picture)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_pictures_are_turned_upright_at_every_depth(kind, orientation):
    picture = levels(3)
    photo = read(tiff_of(stored(picture, kind), tags=[(274, 3, (orientation,))]))
    file = io.BytesIO(tiff_of(stored(picture, "u1"), tags=[(274, 3, (orientation,))]))
    image = Image.open(file)
    image.load()  # Pillow turns it
    assert np.array_equal(photo.rgb, np.asarray(image))
    assert photo.original_size == image.size


# --- imperfect files


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize(
    ("tags", "drop"),
    [
        ([(279, 4, (0,))], ()),
        ([(279, 4, (2**31,))], ()),
        ([(279, 4, (5,))], ()),
        ([(278, 4, (1,))], ()),
        ([(284, 3, (2,))], ()),
        ([], (278,)),
        ([], (279,)),
        ([], (284, 266, 317)),
        ([(40_000, 99, (1,))], ()),
        ([(282, 5, (1, 0)), (283, 2, b"no number"), (296, 3, (77,))], ()),
        ([(34665, 4, (99_999_999,)), (34853, 4, (8,)), (330, 4, (7, 9))], ()),
        ([(34675, 7, b"no profile"), (700, 7, b"<xmp"), (33723, 7, bytes(9)), (305, 2, b"\xff\xfe\0")], ()),
    ],
    ids=["no count", "huge count", "short count", "one row", "planes", "no rows", "no counts", "defaults", "type 99",
         "resolution", "directories", "blocks"],
)  # fmt: skip
def test_odd_tags_do_not_keep_a_picture_from_being_read(tags, drop, kind):
    picture = levels(3)
    if tags and tags[0][1] == 99:
        data = tiff_of(stored(picture, kind), tags=[(40_000, 3, (1,))])
        data = data.replace(struct.pack("<HH", 40_000, 3), struct.pack("<HH", 40_000, 99))
    else:
        data = tiff_of(stored(picture, kind), tags=tags, drop=drop)
    assert np.array_equal(read(data).rgb, picture)


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_a_directory_that_goes_on_into_nothing_is_the_only_page(kind):
    picture = levels(3)
    data = tiff_of(stored(picture, kind))
    start = int.from_bytes(data[4:8], "little")
    link = start + 2 + 12 * int.from_bytes(data[start : start + 2], "little")
    photo = read(data[:link] + b"\xff\xff\xff\x7f" + data[link + 4 :])
    assert np.array_equal(photo.rgb, picture)
    assert photo.warnings in ((), (WarningCode.FIRST_FRAME_ONLY,))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_a_picture_that_lacks_pixels_is_refused(kind, packed):
    data = tiff_of(stored(levels(3), kind), rows=10, packed=packed)
    start = int.from_bytes(data[4:8], "little")
    moved = data[:8] + data[start:]  # the directory where the pixels were
    short = len(data) - start
    with pytest.raises(BadRequest, match="TIFF"):
        read(moved[:4] + struct.pack("<I", 8) + moved[8:])
    with pytest.raises(BadRequest, match="TIFF"):
        read(data[: len(data) - short])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff_of(np.zeros((20, 20, 1), "u2"), photometric=32845), "LogLuv, 16 bits"),
        (tiff_of(np.zeros((20, 20, 3), "u2"), photometric=6), "YCbCr, 16 bits"),
        (tiff_of(np.zeros((20, 20, 1), "u2"), photometric=32803), "raw"),
        (tiff_of(np.zeros((20, 20, 1), "u2"), photometric=34892), "raw"),
        (tiff_of(np.zeros((20, 20, 3), "u2"), tags=[(339, 3, (6, 6, 6))]), "RGB, 16 complex bits"),
        (tiff_of(np.zeros((20, 20, 3), "u1"), tags=[(258, 3, (8, 8, 16))]), "RGB, 16 bits"),
        (tiff_of(np.zeros((20, 20, 3), "u2"), tags=[(259, 3, (7,))]), "RGB, 16 bits a sample, JPEG"),
        (tiff_of(np.zeros((20, 20, 3), "u1"), tags=[(259, 3, (34712,))]), "JPEG 2000"),
        (tiff_of(np.zeros((20, 20, 3), "f4"), tags=[(259, 3, (34887,))]), "floating-point bits a sample, LERC"),
        (tiff_of(np.zeros((20, 20, 4), "u4"), photometric=5, tags=[(332, 3, (2,))]), "CMYK, 32 bits"),
    ],
)
def test_a_kind_that_is_not_read_is_named(data, reason):
    with pytest.raises(UnsupportedMedia, match=reason):
        read(data)


def test_pages_after_the_first_are_said():
    pages = [small_scene((40, 32)), small_scene((40, 32)).rotate(90)]
    assert read(encode(pages[0], "TIFF", save_all=True)).warnings == (WarningCode.FIRST_FRAME_ONLY,)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for seed in (1, 2):
            writer.write(stored(levels(3, seed), "u2"), photometric="rgb")
    photo = read(file.getvalue())
    assert photo.warnings == (WarningCode.FIRST_FRAME_ONLY,)
    assert np.array_equal(photo.rgb, levels(3, 1))
