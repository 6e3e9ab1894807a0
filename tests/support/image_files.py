"""Well-formed pictures of every format and many kinds, small, and where the parts of such a file begin and end.

A part is (start, end, length field): the field is (offset, bytes, byte order) of the number that says how long the
part is, or None where it has none.
"""

import io
import struct
import zlib

import numpy as np
import pillow_heif
from PIL import ExifTags, Image, ImageCms

from tests.support.png_files import png_chunk, png_of
from tests.support.tiff_files import tiff_of

SIZE = (24, 18)
pillow_heif.register_heif_opener()


def scene(size=SIZE):
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    return Image.fromarray(np.rint(np.stack([255 * x, 255 * y, 90 + 90 * x * y], axis=-1)).astype(np.uint8))


def cut_out(mode="RGBA"):
    picture = Image.new("RGBA", SIZE, (200, 30, 40, 0))
    picture.paste((200, 30, 40, 255), (6, 4, 18, 14))
    if mode != "P":
        return picture.convert(mode)
    palette = Image.new("P", SIZE, 0)
    palette.putpalette([0, 0, 0, 200, 30, 40])
    palette.paste(1, (6, 4, 18, 14))
    palette.info["transparency"] = 0
    return palette


def encode(image, kind, **options):
    file = io.BytesIO()
    if "save_all" in options:
        options["append_images"] = [image.copy().rotate(90)]
    image.copy().save(file, kind, **options)  # a copy: Pillow keeps an encoder's settings with the picture
    return file.getvalue()


def png(width, height, depth=8, colour_type=2, rows=b"", before=b""):
    """A PNG by hand. before: chunks before the picture."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff(*tags, payload=b"", following=0):
    """A little-endian TIFF of one directory. tags: (tag, type, count, value); {at} as value: the payload's offset."""
    at = 8 + 2 + 12 * len(tags) + 4
    body = b"".join(struct.pack("<HHII", *(at if part == "at" else part for part in tag)) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + struct.pack("<I", following) + payload


def exif(orientation=6):
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    block[ExifTags.Base.Make] = "a camera"
    block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 2.8
    return block.tobytes()


def profile():
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def well_formed():
    """(name, kind, bytes) of pictures that are read without complaint."""
    small, grey16 = scene(), Image.fromarray(np.linspace(0, 65535, 432).reshape(18, 24).astype(np.uint16))
    frames = {"save_all": True}
    tagged = {"exif": exif(), "icc_profile": profile()}
    float32 = Image.fromarray((np.asarray(grey16) / 65535).astype(np.float32))
    pictures = [
        ("jpeg", "JPEG", small, {}),
        ("jpeg-tagged", "JPEG", small, tagged),
        ("jpeg-progressive", "JPEG", small, {"progressive": True}),
        ("jpeg-cmyk", "JPEG", small.convert("CMYK"), {}),
        ("jpeg-grey", "JPEG", small.convert("L"), {}),
        ("mpo", "MPO", small, frames),
        ("png", "PNG", small, {}),
        ("png-tagged", "PNG", small, tagged),
        ("png-cut-out", "PNG", cut_out(), {}),
        ("png-palette", "PNG", cut_out("P"), {}),
        ("png-16", "PNG", grey16, {}),
        ("png-1", "PNG", small.convert("1"), {}),
        ("apng", "PNG", small, frames),
        ("webp", "WEBP", small, {}),
        ("webp-tagged", "WEBP", small, tagged),
        ("webp-lossless", "WEBP", cut_out(), {"lossless": True}),
        ("webp-animated", "WEBP", small, frames),
        ("gif", "GIF", small, {}),
        ("gif-cut-out", "GIF", cut_out("P"), {}),
        ("gif-animated", "GIF", small, {**frames, "comment": b"a comment", "loop": 0}),
        ("tiff", "TIFF", small, {}),
        ("tiff-tagged", "TIFF", small, tagged),
        ("tiff-lzw", "TIFF", small, {"compression": "tiff_lzw"}),
        ("tiff-deflate", "TIFF", cut_out(), {"compression": "tiff_adobe_deflate"}),
        ("tiff-jpeg", "TIFF", small, {"compression": "jpeg"}),
        ("tiff-fax", "TIFF", small.convert("1"), {"compression": "group4"}),
        ("tiff-lab", "TIFF", small.convert("LAB"), {}),
        ("tiff-cmyk", "TIFF", small.convert("CMYK"), {}),
        ("tiff-16", "TIFF", grey16, {}),
        ("tiff-float", "TIFF", float32, {}),
        ("tiff-pages", "TIFF", small, frames),
        ("bigtiff", "TIFF", small, {"big_tiff": True}),
        ("bmp", "BMP", small, {}),
        ("bmp-palette", "BMP", small.convert("P"), {}),
        ("bmp-1", "BMP", small.convert("1"), {}),
        ("avif", "AVIF", small, {"speed": 10}),
        ("avif-tagged", "AVIF", cut_out(), {**tagged, "speed": 10}),
        ("heic", "HEIF", small, {}),
    ]
    rgb16 = np.asarray(small).astype(np.uint16) * 257
    floats = (rgb16 / 65535).astype(np.float32)
    by_hand = [
        ("png-rgb16", "PNG", png_of(rgb16.astype(int), 16, 2, before=png_chunk(b"cICP", b"\x09\x10\0\1"), seed=1)),
        ("png-rgb16-interlaced", "PNG", png_of(rgb16.astype(int), 16, 2, interlaced=True, seed=1)),
        ("tiff-rgb16", "TIFF", tiff_of(rgb16, packed=True, predictor=2, rows=5)),
        ("tiff-rgb-float", "TIFF", tiff_of(floats, packed=True, predictor=3, tile=(16, 16), order=">")),
        ("tiff-12", "TIFF", tiff_of(rgb16 >> 4, 12, planar=True)),
    ]
    encoded = [(name, "JPEG" if kind == "MPO" else kind, encode(image, kind, **o)) for name, kind, image, o in pictures]
    return encoded + by_hand


def parts(data, kind):
    """The parts of a well-formed file."""
    return _PARTS[kind](data)


def _jpeg(data):
    position = 0
    while position + 2 <= len(data):
        if data[position + 1] in (0xD8, 0xD9):
            yield position, position + 2, None
            position += 2
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4])
        if data[position + 1] == 0xDA:
            end = next(
                n for n in range(end, len(data)) if data[n] == 0xFF and data[n + 1] not in (0, *range(0xD0, 0xD8))
            )
        yield position, end, (position + 2, 2, "big")
        position = end


def _png(data):
    yield 0, 8, None
    position = 8
    while position < len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4])
        yield position, end, (position, 4, "big")
        position = end


def _webp(data):
    yield 0, 12, (4, 4, "little")
    position = 12
    while position < len(data):
        end = position + 8 + (int.from_bytes(data[position + 4 : position + 8], "little") + 1) // 2 * 2
        yield position, end, (position + 4, 4, "little")
        position = end


def _gif(data):
    position = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    yield 0, 6, None
    yield 6, position, None
    while data[position] != 0x3B:
        start = position
        if data[position] == 0x21:
            position += 2
        else:
            position += 11 + (3 << (data[position + 9] & 7) + 1 if data[position + 9] & 128 else 0)
        yield start, position, None
        while data[position]:
            yield position, position + 1 + data[position], (position, 1, "little")
            position += 1 + data[position]
        position += 1
    yield position, position + 1, None


def _tiff(data):
    order = "little" if data[:2] == b"II" else "big"
    wide = data[2:4] in (b"+\0", b"\0+")
    number, head, entry = (8, 16, 20) if wide else (4, 8, 12)
    yield 0, head, (head - number, number, order)
    start = int.from_bytes(data[head - number : head], order)
    lead = 8 if wide else 2
    for n in range(int.from_bytes(data[start : start + lead], order)):
        at = start + lead + n * entry
        yield at, at + entry, (at + 4, number, order)
        yield at + 4 + number, at + entry, (at + 4 + number, number, order)


def _bmp(data):
    yield 0, 14, (2, 4, "little")
    for at in (10, 14, 18, 22, 28, 30, 34, 46):  # TIFF and BMP have no chain of lengths: every number of the head
        yield at, at + 4, (at, 2 if at == 28 else 4, "little")


_NESTED = {b"meta": 12, b"iprp": 8, b"ipco": 8, b"moov": 8, b"trak": 8, b"mdia": 8, b"minf": 8, b"stbl": 8, b"iinf": 14}


def _boxes(data, position=0, end=None):
    end = len(data) if end is None else end
    while position + 8 <= end:
        size = int.from_bytes(data[position : position + 4]) or end - position
        yield position, position + size, (position, 4, "big")
        if head := _NESTED.get(data[position + 4 : position + 8]):
            yield from _boxes(data, position + head, position + size)
        position += size


_PARTS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "TIFF": _tiff,
    "BMP": _bmp,
    "AVIF": _boxes,
    "HEIF": _boxes,
}
