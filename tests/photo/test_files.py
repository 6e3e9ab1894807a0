"""Files of other programs' encoders, at every depth and colour type that they write: one row each.

tests/photo/files/README.md names the program and the command of each file.
"""

from pathlib import Path

import numpy as np
import pytest

from sam3d_bento.errors import UnsupportedMedia
from sam3d_bento.photo.images import decode
from sam3d_bento.warning_codes import WarningCode

FILES = Path(__file__).parent / "files"
LIMIT = 1_000_000

RGB = ((200, 60, 50), (40, 150, 90), (60, 80, 190), (240, 230, 40))
GREY = tuple((value,) * 3 for value in (177, 128, 60, 230))
LUMA = tuple((value,) * 3 for value in (101, 110, 86, 211))  # of RGB, by ITU-R BT.601
BLACK_WHITE = ((255,) * 3, (0,) * 3, (255,) * 3, (0,) * 3)
LEVELS_5_6_5 = ((205, 60, 49), (41, 149, 90), (57, 80, 189), (246, 234, 41))  # 25, 5, 7, 30 of 31 and so on
LEVELS_4_4_4 = ((187, 51, 34), (34, 136, 85), (51, 68, 187), (238, 221, 34))  # the high 4 bits
SWSCALE_4_4_4 = ((221, 68, 51), (51, 153, 85), (68, 85, 187), (255, 238, 34))  # ffmpeg's dithering rounds up
NO_BLACK_REMOVED = ((157, 47, 39), (24, 88, 53), (45, 60, 142), (226, 216, 38))  # (255 - C) * (255 - K) / 255
LEVELS_4 = tuple((value,) * 3 for value in (187, 136, 51, 238))
ALPHA = (255, 128, 64, 255)
# RGB as Adobe RGB (exponent 563/256), as Display P3 and as 4 bits, each in sRGB by the formulas of the spaces.
FROM_ADOBE = ((230, 59, 46), (0, 150, 87), (45, 80, 194), (243, 231, 0))
FROM_P3 = ((217, 42, 39), (0, 154, 83), (53, 81, 194), (242, 231, 0))

ROWS = {
    # name: (colours, alpha, tolerance); the tolerance is of the format's losses, not of the reader
    "im-rgb8-planar.tif": (RGB, None, 0),
    "im-rgb16-none.tif": (RGB, None, 0),
    "im-rgb16-be.tif": (RGB, None, 0),
    "im-rgb16-planar.tif": (RGB, None, 0),
    "im-rgb16-tiles.tif": (RGB, None, 0),
    "im-rgb16-zstd.tif": (RGB, None, 0),
    "im-rgb16-lsb.tif": (RGB, None, 0),
    "im-rgb12.tif": (RGB, None, 0),
    "im-rgb32-lzw.tif": (RGB, None, 0),
    "gm-rgb32.tif": (RGB, None, 0),
    "im-rgbf16.tif": (RGB, None, 0),
    "im-rgbf32.tif": (RGB, None, 0),
    "im-rgbf64.tif": (RGB, None, 0),
    "vips-rgb16.tif": (RGB, None, 0),
    "vips-rgbf-predictor.tif": (RGB, None, 0),
    "vips-rgbf-pyr.tif": (RGB, None, 0),
    "vips-rgb-double-deflate.tif": (RGB, None, 0),
    "vips-rgb-int-none.tif": (RGB, None, 0),
    "tiffcp-lzw2.tif": (RGB, None, 0),
    "tiffcp-tile-be.tif": (RGB, None, 0),
    "tiffcp-f3.tif": (RGB, None, 0),
    "tiffcp-big-lzma.tif": (RGB, None, 0),
    "tiffcp-pb-lsb.tif": (RGB, None, 0),
    "im-grey32-zip.tif": (GREY, None, 0),
    "im-greyf16-zip.tif": (GREY, None, 0),
    "gm-greyf32.tif": (GREY, None, 0),
    "ff-gray16le.tiff": (LUMA, None, 1),
    "netpbm-mw.tif": (GREY, None, 0),
    "vips-miniswhite.tif": (GREY, None, 0),
    "vips-4.tif": (LEVELS_4, None, 0),
    "im-bw-g4.tif": (BLACK_WHITE, None, 0),
    "im-ga8-assoc.tif": (GREY, ALPHA, 2),
    "im-ga16-unassoc.tif": (GREY, ALPHA, 0),
    "ff-ya16le.tiff": (LUMA, ALPHA, 1),
    "gm-rgba8.tif": (RGB, None, 0),  # ExtraSamples 0: TIFF 6.0 does not call this alpha
    "im-rgba16-unassoc.tif": (RGB, ALPHA, 0),
    "im-rgba16-assoc.tif": (RGB, ALPHA, 1),
    "im-rgba32-assoc.tif": (RGB, ALPHA, 1),
    "ff-rgba64le.tiff": (RGB, ALPHA, 1),
    "im-pal.tif": (RGB, None, 0),
    "im-pala.tif": (RGB, (255, 85, 0, 255), 0),  # 2 bits a sample
    "im-cmyk16.tif": (RGB, None, 1),
    "gm-cmyk8.tif": (NO_BLACK_REMOVED, None, 1),
    "im-cmyka8.tif": (RGB, ALPHA, 1),
    "im-rgb-jpeg.tif": (RGB, None, 2),
    "ff-yuv420p.tiff": (RGB, None, 3),
    "im-rgb16-i.png": (RGB, None, 0),
    "im-ga16.png": (GREY, ALPHA, 0),
    "vips-rgb16-i.png": (RGB, None, 0),
    "vips-pal.png": (RGB, None, 0),
    "ff-rgb48be.png": (RGB, None, 1),
    "ff-ya16be.png": (LUMA, ALPHA, 1),
    "netpbm-trns.png": (RGB, (255, 0, 255, 255), 0),
    "im-bmp3.bmp": (RGB, None, 0),
    "im-rle-bmp3.bmp": (RGB, None, 0),
    "netpbm-os2.bmp": (RGB, None, 0),
    "netpbm-4.bmp": (RGB, None, 0),
    "ff-rgb565le.bmp": (LEVELS_5_6_5, None, 0),
    "ff-rgb444le.bmp": (SWSCALE_4_4_4, None, 0),
    "im-argb4444.bmp": (LEVELS_4_4_4, (255, 119, 51, 255), 0),
    "im-i.gif": (RGB, None, 0),
    "netpbm.gif": (RGB, None, 0),
    "cwebp.webp": (RGB, ALPHA, 0),
    "cwebp-q.webp": (RGB, ALPHA, 2),
    "gif2webp.webp": ((RGB[0], RGB[1], None, RGB[3]), (255, 255, 0, 255), 0),
    "cjpeg-arith.jpg": (RGB, None, 2),
    "cjpeg-rgb.jpg": (RGB, None, 2),
    "cjpeg-rst.jpg": (RGB, None, 2),
    "cjpeg-prog.jpg": (RGB, None, 2),
    "im-cmyk.jpg": (RGB, None, 2),
    "avifenc-10.avif": (RGB, None, 2),
    "avifenc-rgba-12.avif": (RGB, ALPHA, 2),
    "avifenc-400-10.avif": (GREY, None, 2),
    "ff-yuv420p10le.avif": (RGB, None, 2),
    "ff-yuv422p12le.avif": (RGB, None, 2),
    "heif-10.heic": (RGB, None, 2),
    "heif-rgba.heic": (RGB, ALPHA, 2),
    # colour spaces
    "vips-p3.jpg": (RGB, None, 2),
    "vips-p3.webp": (RGB, None, 1),
    "vips-p3-16.png": (RGB, None, 1),
    "vips-p3-16.tif": (RGB, None, 1),
    "exiftool-R03.jpg": (FROM_ADOBE, None, 3),
    "exiv2-R03.jpg": (FROM_ADOBE, None, 3),
    "exiftool-2.jpg": (FROM_ADOBE, None, 3),
    "exiftool-R98.jpg": (RGB, None, 2),
    "avifenc-p3.avif": (FROM_P3, None, 3),
    "ff-p3.avif": (FROM_P3, None, 4),
}


def _quadrants(pixels):
    return pixels[[6, 6, 18, 18], [8, 24, 8, 24]].astype(int)


def _decoded(name):
    if name.endswith(".heic"):
        pytest.importorskip("pillow_heif")
    return decode((FILES / name).read_bytes(), max_pixels=LIMIT)


@pytest.mark.parametrize("name", ROWS)
def test_a_file_of_another_program_gives_the_colours_that_it_was_made_of(name):
    colours, alpha, tolerance = ROWS[name]
    photo = _decoded(name)
    for found, expected in zip(_quadrants(photo.rgb), colours, strict=True):
        assert expected is None or np.abs(found - expected).max() <= tolerance, (found, expected)
    if alpha is None:
        assert photo.alpha is None
    else:
        assert np.abs(_quadrants(photo.alpha) - alpha).max() <= (0 if tolerance == 0 else 1)


@pytest.mark.parametrize("name", ["ff-pq.avif", "avifenc-pq.avif", "ff-hlg.avif"])
def test_an_hdr_picture_of_another_program_is_tone_mapped_and_says_so(name):
    photo = _decoded(name)
    assert photo.warnings == (WarningCode.HDR_TONE_MAPPED,)
    # 240, 230, 40 of 255 are, in PQ and in HLG, far above paper white
    assert photo.rgb[18, 24, 0] >= 250


def test_area_outside_of_the_first_frame_is_transparent():
    photo = _decoded("webpmux-rect.webp")
    assert photo.rgb.shape == (20, 28, 3)
    assert (photo.alpha[6:18, 8:24] == 255).all()
    assert np.count_nonzero(photo.alpha) == 12 * 16
    assert photo.rgb[7, 9].tolist() == [200, 60, 50]
    assert photo.warnings == (WarningCode.FIRST_FRAME_ONLY,)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("vips-webp.tif", "RGB, 8 bits a sample, WebP compression"), ("ff-lossless.jpg", "JPEG of 9 bits")],
)
def test_a_kind_that_is_not_read_is_named(name, reason):
    with pytest.raises(UnsupportedMedia, match=reason):
        _decoded(name)


def test_every_file_is_in_this_table():
    others = {"README.md", "ff-pq.avif", "avifenc-pq.avif", "ff-hlg.avif", "webpmux-rect.webp", "vips-webp.tif"}
    others |= {"ff-lossless.jpg"}
    assert {path.name for path in FILES.iterdir()} == ROWS.keys() | others
