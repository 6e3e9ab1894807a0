import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.images import decode
from sam3d_bento.warning_codes import WarningCode
from tests.support.image_files import encode, scene
from tests.support.png_files import CHANNELS, KINDS, png_chunk, png_of, transparent_colour

LIMIT = 1_000_000
SIZE = (29, 37)  # height and width: rows of odd bytes at every depth, and Adam7 passes that end anywhere


def read(data):
    return decode(data, max_pixels=LIMIT)


def random_samples(colour_type, depth, seed=1):
    return np.random.default_rng(seed).integers(0, 2**depth, (*SIZE, CHANNELS[colour_type]))


def scaled(samples, depth):
    """Section 13.12: to 8 bits, rounded."""
    return np.rint(samples * 255 / (2**depth - 1)).astype(np.uint8)


# --- every colour type and depth


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "adam7"])
@pytest.mark.parametrize(("colour_type", "depth"), KINDS)
def test_every_colour_type_and_depth_gives_its_samples(colour_type, depth, interlaced):
    samples = random_samples(colour_type, depth)
    palette = np.random.default_rng(2).integers(0, 256, (2**depth if colour_type == 3 else 1, 3), np.uint8)
    before = png_chunk(b"PLTE", palette.tobytes()) if colour_type == 3 else b""
    photo = read(png_of(samples, depth, colour_type, interlaced=interlaced, before=before, seed=3))
    expected = palette[samples[..., 0]] if colour_type == 3 else scaled(samples, depth)
    colours = 3 if colour_type in (2, 3, 6) else 1
    assert np.array_equal(photo.rgb, np.broadcast_to(expected[..., :colours], (*SIZE, 3)))
    if colour_type in (4, 6):
        assert np.array_equal(photo.alpha, expected[..., -1])
    else:
        assert photo.alpha is None


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "adam7"])
@pytest.mark.parametrize(("colour_type", "depth"), [kind for kind in KINDS if kind[0] in (0, 2)])
def test_one_transparent_colour_is_matched_in_full_depth(colour_type, depth, interlaced):
    samples = random_samples(colour_type, depth)
    samples[::3, ::2] = samples[0, 0]
    samples[1::3, ::2] = samples[0, 0] ^ 1  # differs in the lowest bit
    chunk = transparent_colour(*samples[0, 0])
    photo = read(png_of(samples, depth, colour_type, interlaced=interlaced, before=chunk, seed=4))
    assert np.array_equal(photo.alpha == 0, (samples == samples[0, 0]).all(axis=-1))
    assert set(np.unique(photo.alpha)) == {0, 255}
    assert np.array_equal(photo.rgb, np.broadcast_to(scaled(samples, depth), (*SIZE, 3)))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_of_a_transparent_colour_only_the_bits_of_the_depth_count(depth):
    samples = random_samples(0, depth)
    high_bits = 0xFF00 | (0xFF & ~(2**depth - 1))
    photo = read(png_of(samples, depth, 0, before=transparent_colour(int(samples[0, 0, 0]) | high_bits)))
    assert np.array_equal(photo.alpha == 0, samples[..., 0] == samples[0, 0, 0])


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("entries", [1, 2, 3])
def test_a_palette_has_an_alpha_for_each_of_its_first_colours(depth, entries):
    samples = random_samples(3, depth)
    palette = np.random.default_rng(2).integers(0, 256, (2**depth, 3), np.uint8)
    alphas = [0, 100, 200][: min(entries, 2**depth)]
    before = png_chunk(b"PLTE", palette.tobytes()) + png_chunk(b"tRNS", bytes(alphas))
    photo = read(png_of(samples, depth, 3, before=before))
    table = np.array([*alphas, *[255] * (2**depth - len(alphas))], np.uint8)
    assert np.array_equal(photo.alpha, table[samples[..., 0]])


def test_a_large_picture_of_16_bits_is_read_across_its_bands():
    samples = np.random.default_rng(5).integers(0, 65536, (700, 900, 3))
    assert np.array_equal(read(png_of(samples, 16, 2, seed=6)).rgb, scaled(samples, 16))


# --- colour space


def gamma(value):
    return png_chunk(b"gAMA", struct.pack(">I", value))


def chromaticities(*values):
    return png_chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in values)))


def cicp(*values):
    return png_chunk(b"cICP", bytes(values))


def profile(data):
    return png_chunk(b"iCCP", b"a\0\0" + zlib.compress(data))


SRGB_CORNERS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3_CORNERS = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SRGB_CHUNK = png_chunk(b"sRGB", b"\0")
SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
STORED = (180, 110, 90)
P3 = (191, 106, 85)  # of STORED in Display P3
LINEAR = (218, 175, 160)  # of STORED in linear light


def colour_of(*chunks, depth=8, stored=STORED):
    samples = np.full((16, 16, 3), [round(value * (2**depth - 1) / 255) for value in stored])
    return read(png_of(samples, depth, 2, before=b"".join(chunks))).rgb[8, 8].tolist()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    "chunks",
    [
        (),
        (SRGB_CHUNK, gamma(45455)),
        (gamma(45455),),
        (gamma(45000),),
        (gamma(45455), chromaticities(*SRGB_CORNERS)),
        (chromaticities(*SRGB_CORNERS),),
        (cicp(1, 13, 0, 1),),
        (cicp(1, 1, 0, 1),),
        (profile(SRGB_PROFILE),),
        (cicp(2, 2, 0, 1),),
        (gamma(0),),
        (chromaticities(*[0] * 8),),
        (chromaticities(0.9, 0.9, *SRGB_CORNERS[2:]),),
    ],
)
def test_a_picture_for_screens_keeps_its_numbers(chunks, depth):
    assert colour_of(*chunks, depth=depth) == list(STORED)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ((cicp(12, 13, 0, 1),), P3),
        ((chromaticities(*P3_CORNERS),), P3),
        ((chromaticities(*P3_CORNERS), gamma(45455)), P3),
        ((gamma(100_000),), LINEAR),
        ((gamma(100_000), chromaticities(*SRGB_CORNERS)), LINEAR),
        ((cicp(1, 8, 0, 1),), LINEAR),
        # third edition, table 14: cICP, then iCCP, then sRGB, then gAMA and cHRM
        ((cicp(12, 13, 0, 1), profile(SRGB_PROFILE), gamma(100_000)), P3),
        ((cicp(1, 8, 0, 1), SRGB_CHUNK), LINEAR),
        ((profile(SRGB_PROFILE), gamma(100_000), chromaticities(*P3_CORNERS)), STORED),
        ((SRGB_CHUNK, gamma(100_000), chromaticities(*P3_CORNERS)), STORED),
        # what cannot be used counts as not there
        ((cicp(12, 13, 5, 1), gamma(100_000)), LINEAR),
        ((cicp(99, 13, 0), gamma(100_000)), LINEAR),
        ((profile(b"no profile"), gamma(100_000)), LINEAR),
        ((png_chunk(b"iCCP", b"a\0\0not zlib"), gamma(100_000)), LINEAR),
    ],
)
def test_the_chunk_of_the_highest_priority_names_the_space(chunks, expected, depth):
    assert np.abs(np.subtract(colour_of(*chunks, depth=depth), expected)).max() <= 1


def test_grey_has_its_gamma_too():
    for depth, stored in ((8, 55), (16, 55 * 257)):
        samples = np.full((16, 16, 1), stored)
        assert read(png_of(samples, depth, 0, before=gamma(100_000))).rgb[8, 8].tolist() == [128] * 3


def test_dark_linear_light_of_16_bits_is_not_cut_to_8_before_it_is_encoded():
    samples = np.full((16, 16, 3), 131)  # 0.002: below one level of 255, but sRGB 6.6
    assert read(png_of(samples, 16, 2, before=gamma(100_000))).rgb[8, 8].tolist() == [7] * 3


def test_video_range_is_widened():
    samples = np.broadcast_to(np.linspace(16, 235, 220).round().astype(int)[None, :, None], (16, 220, 3))
    grey = read(png_of(samples, 8, 2, before=cicp(1, 13, 0, 0))).rgb[0, :, 0]
    assert (grey[0], grey[-1]) == (0, 255)
    assert np.abs(grey - (np.arange(220) * 255 / 219)).max() <= 1


@pytest.mark.parametrize(("transfer", "paper_white"), [(16, 0.5806), (18, 0.75)])
@pytest.mark.parametrize("depth", [8, 16])
def test_paper_white_of_hdr_is_nearly_white(transfer, paper_white, depth):
    level = round(paper_white * (2**depth - 1))
    photo = read(png_of(np.full((16, 16, 3), level), depth, 2, before=cicp(9, transfer, 0, 1)))
    assert 230 <= photo.rgb.min() <= photo.rgb.max() <= 245
    assert photo.warnings == (WarningCode.HDR_TONE_MAPPED,)


# --- imperfect files


def sound():
    samples = random_samples(2, 8)
    return png_of(samples, 8, 2), samples.astype(np.uint8)


def _idat(data):
    at = data.index(b"IDAT") - 4
    return at, data[at + 8 : -16]


ANCILLARY = [b"tEXt", b"zTXt", b"iTXt", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"pHYs", b"tIME", b"eXIf", b"bKGD"]
ANCILLARY += [b"sBIT", b"tRNS", b"hIST", b"sPLT", b"acTL", b"fcTL", b"mDCV", b"cLLI", b"vpAg", b"zzZz"]


@pytest.mark.parametrize("name", ANCILLARY, ids=bytes.decode)
def test_no_ancillary_chunk_keeps_a_picture_from_being_read(name):
    data, expected = sound()
    at, _ = _idat(data)
    wrong = struct.pack(">I", 3) + name + b"abc" + b"\1\2\3\4"
    for chunk in (wrong, png_chunk(name, b""), png_chunk(name, b"\xfe" * 41)):
        assert np.array_equal(read(data[:at] + chunk + data[at:]).rgb, expected)
        assert np.array_equal(read(data[:-12] + chunk + data[-12:]).rgb, expected)


def test_a_wrong_checksum_of_transparency_leaves_it_out_as_viewers_do():
    data, expected = sound()
    at, _ = _idat(data)
    wrong = struct.pack(">I", 6) + b"tRNS" + bytes(6) + b"\1\2\3\4"
    photo = read(data[:at] + wrong + data[at:])
    assert photo.alpha is None
    assert np.array_equal(photo.rgb, expected)


def test_any_amount_of_text_is_passed_over():
    data, expected = sound()
    at, _ = _idat(data)
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80_000_000), 9))
    assert np.array_equal(read(data[:at] + text + data[at:]).rgb, expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda data, at, idat: data + b"appended" * 50,
        lambda data, at, idat: data[:-12],
        lambda data, at, idat: data[:-16],
        lambda data, at, idat: data[:-18],
        lambda data, at, idat: data[:-16] + b"\1\2\3\4" + data[-12:],
        lambda data, at, idat: data[:at] + png_chunk(b"IDAT", idat[:-4]) + data[-12:],
        lambda data, at, idat: data[:at] + png_chunk(b"IDAT", idat[:-4] + b"abcd") + data[-12:],
        lambda data, at, idat: data[:at] + png_chunk(b"IDAT", idat + b"more") + data[-12:],
        lambda data, at, idat: data[:at] + struct.pack(">I", 10**6) + data[at + 4 :],
        lambda data, at, idat: data[:-12] + b"\0\0\0\5\xff\0\1\2hello",
        lambda data, at, idat: data[:at] + b"".join(png_chunk(b"IDAT", bytes([b])) for b in idat) + data[-12:],
        lambda data, at, idat: data[:at] + png_chunk(b"ABCD", b"critical") + data[at:],
        lambda data, at, idat: data[:33] + data[8:33] + data[33:],
    ],
    ids=["appended", "no IEND", "no checksum", "half an Adler", "wrong CRC", "no Adler", "wrong Adler", "more IDAT",
         "long IDAT", "garbage behind", "tiny IDATs", "unknown critical", "IHDR twice"],
)  # fmt: skip
@pytest.mark.parametrize("depth", [8, 16])
def test_a_picture_whose_rows_are_all_there_is_read(change, depth):
    samples = random_samples(2, depth)
    data = png_of(samples, depth, 2)
    assert np.array_equal(read(change(data, *_idat(data))).rgb, scaled(samples, depth))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_picture_that_lacks_a_single_byte_is_refused(depth):
    data = png_of(random_samples(2, depth), depth, 2, seed=1)
    at, idat = _idat(data)
    rows = zlib.decompress(idat)
    for short in (rows[:-1], rows[: len(rows) // 2], b""):
        with pytest.raises(BadRequest, match="PNG"):
            read(data[:at] + png_chunk(b"IDAT", zlib.compress(short)) + data[-12:])
    with pytest.raises(BadRequest, match="PNG"):
        read(data[: at + 8 + len(idat) - 8])


def test_a_damaged_header_or_palette_is_refused():
    data, _ = sound()
    with pytest.raises(BadRequest, match="header or palette"):
        read(data[:20] + b"\xff" + data[21:])
    with pytest.raises(BadRequest, match="header"):
        read(data[:8] + data[33:])


def test_a_still_picture_beside_one_frame_is_one_of_several():
    control = png_chunk(b"acTL", struct.pack(">II", 1, 0))
    frame = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, SIZE[1], SIZE[0], 0, 0, 1, 10, 0, 0))
    samples = random_samples(2, 8)
    assert read(png_of(samples, 8, 2, before=control + frame)).warnings == ()
    apart = frame + png_chunk(b"fdAT", bytes(4) + zlib.compress(bytes(29 * 112)))
    assert read(png_of(samples, 8, 2, before=control, after=apart)).warnings == (WarningCode.FIRST_FRAME_ONLY,)


def test_exif_before_and_behind_the_picture_turns_it():
    block = Image.Exif()
    block[0x0112] = 6
    body = png_chunk(b"eXIf", block.tobytes()[6:])
    samples = random_samples(2, 8)
    for options in ({"before": body}, {"after": body}):
        photo = read(png_of(samples, 8, 2, **options))
        assert np.array_equal(photo.rgb, np.rot90(samples, -1))


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def raw_exif():
    block = Image.Exif()
    block[0x0112] = 6
    digits = block.tobytes().hex()
    return (
        b"\nexif\n%8d\n" % (len(digits) // 2)
        + "\n".join(digits[n : n + 72] for n in range(0, len(digits), 72)).encode()
    )


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        png_chunk(b"tEXt", b"Raw profile type exif\0" + raw_exif()),
        png_chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(raw_exif())),
    ],
    ids=["xmp", "packed xmp", "raw profile", "packed raw profile"],
)
def test_the_orientation_in_texts_counts(chunk):
    samples = random_samples(2, 8)
    for text in (chunk, png_chunk(b"tEXt", b"Author\0me") + chunk):
        assert np.array_equal(read(png_of(samples, 8, 2, before=text)).rgb, np.rot90(samples, -1))


def test_a_suggested_palette_does_not_matter():
    samples = random_samples(2, 8)
    wrong = struct.pack(">I", 3) + b"PLTEabc" + b"\1\2\3\4"
    assert np.array_equal(read(png_of(samples, 8, 2, before=wrong)).rgb, samples)
    with pytest.raises(BadRequest, match="palette"):
        read(png_of(random_samples(3, 8), 8, 3, before=wrong))


def test_pillows_own_files_are_the_same_through_this_reader():
    data = encode(scene((40, 32)), "PNG")
    assert np.array_equal(read(data).rgb, np.asarray(scene((40, 32))))
