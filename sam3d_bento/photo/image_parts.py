"""Refuse image files made of so many small parts that reading them takes minutes.

Pillow walks through the parts of a file in Python. Each part costs a microsecond, or a copy of all parts before it. In
a TIFF, Pillow makes an object of each value. So a file of 20 MB can occupy the engine for longer than its deadline,
which ends its process. Counting the parts takes milliseconds, because it stops at the limit.
"""

from __future__ import annotations

import re
import struct

from sam3d_bento.errors import BadRequest

# Progressive passes. An encoder writes some 10 of them. A hostile file holds 200,000 in 20 MB, and each takes 0.1 s at
# 64 million pixels: hours, inside a single call of the decoder.
MAX_JPEG_SCANS = 100
# Segments, chunks or tags beside the picture itself. A colour profile fills 255 segments at most, and extended XMP of
# 20 MB some 300. No other kind of part comes in hundreds.
MAX_PARTS = 1000
MAX_LOOSE_BYTES = 100_000  # bytes between the segments of a JPEG; a broken camera leaves only a few there
# Values of a TIFF's directory. A picture of 64 million pixels has 8,000 strips if each row is a strip, and 250,000
# tiles of 16 x 16 pixels.
MAX_TIFF_VALUES = 600_000

_JPEG_MARKER = re.compile(rb"\xff([^\0\x01\xd0-\xd8\xff])")  # markers with a length; ITU-T T.81, annex B
# Not counted: a large or animated picture has thousands, and they are read in C.
_PNG_PICTURE = (b"IDAT", b"fdAT", b"fcTL")
_TIFF_BYTES = (1, 2, 6, 7)  # types whose values become one object; TIFF 6.0, section 2
# Places and lengths of strips and tiles: one object for each value, whatever their type.
_TIFF_PIECES = (273, 279, 324, 325)


def refuse_excess(data: bytes, kind: str) -> None:
    """Raise BadRequest for a file of too many parts. A file that is broken in other ways passes.

    kind: Pillow's name of the format.
    """
    if kind == "JPEG":
        _judge_jpeg(data)
    elif kind == "PNG":
        _judge_png(data)
    elif kind == "TIFF":
        _judge_tiff(data)


def _judge_jpeg(data: bytes) -> None:
    """Count the parts up to the end of the image; what phones append to it is not decoded."""
    parts = scans = loose = 0
    position = 2
    while (marker := _JPEG_MARKER.search(data, position)) and marker[1] != b"\xd9":
        if not scans:  # from the first pass on, the decoder reads in C
            parts += 1
            loose += marker.start() - position
        scans += marker[1] == b"\xda"
        if scans > MAX_JPEG_SCANS:
            raise BadRequest(
                f"The JPEG image has more than {MAX_JPEG_SCANS} progressive passes; save it as a plain JPEG."
            )
        if parts > MAX_PARTS or loose > MAX_LOOSE_BYTES:
            raise _too_many("JPEG")
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    if not scans and len(data) - position > MAX_LOOSE_BYTES and marker is None:
        raise _too_many("JPEG")


def _judge_png(data: bytes) -> None:
    parts, position = 0, 8
    while position + 8 <= len(data):
        parts += data[position + 4 : position + 8] not in _PNG_PICTURE
        if parts > MAX_PARTS:
            raise _too_many("PNG")
        position += 12 + int.from_bytes(data[position : position + 4])


def _judge_tiff(data: bytes) -> None:
    """Count the values of the first directory. Of further pages, Pillow only reads that they exist."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")  # BigTIFF
    try:
        (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, start)
    except (struct.error, OverflowError):
        return
    if count > MAX_PARTS:
        raise _too_many("TIFF")
    entry = struct.Struct(order + ("HHQ8x" if big else "HHI4x"))
    start += 8 if big else 2
    directory = data[start : start + count * entry.size]
    entries = entry.iter_unpack(directory[: len(directory) // entry.size * entry.size])
    if (
        sum(values for tag, type_, values in entries if tag in _TIFF_PIECES or type_ not in _TIFF_BYTES)
        > MAX_TIFF_VALUES
    ):
        raise _too_many("TIFF")


def _too_many(kind: str) -> BadRequest:
    return BadRequest(f"The {kind} image is made of too many parts; save it anew and send that.")
