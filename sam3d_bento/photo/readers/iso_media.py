"""AVIF and HEIC: their pictures, and the colour box of the one that is shown. ISO/IEC 14496-12 and 23008-12."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from sam3d_bento.errors import UnsupportedMedia, shown
from sam3d_bento.photo.colour import srgb
from sam3d_bento.photo.colour.exif import from_exif
from sam3d_bento.photo.colour.spaces import ColourSpace, from_cicp
from sam3d_bento.photo.readers.picture import Picture, Size, models_of, pillow_picture, with_8_bits

# Types of items that are pictures of the codec itself, or made of such: grids, copies and overlays, gain maps.
_DERIVED = (b"grid", b"iden", b"iovl", b"tmap")
_READ_TYPES = {"AVIF": (b"av01", *_DERIVED), "HEIF": (b"hvc1", b"hev1", *_DERIVED)}
_MAX_BOXES = 10_000  # looked at of one level; a grid of tiles has some hundred


def open_iso_media(data: bytes, kind: str) -> Picture:
    """Open an AVIF or a HEIC. kind: Pillow's name of it."""
    with _refusing_unsupported(data, kind):
        image = pillow_picture(data, kind)

    def load(_: srgb.Space | None, size: Size) -> Image.Image:
        with _refusing_unsupported(data, kind):
            image.load()
        return with_8_bits(image)

    def statements() -> Iterator[ColourSpace | bytes | None]:
        yield image.info.get("icc_profile")
        yield nclx_space(data)
        yield from_exif(image.getexif)

    several = bool(getattr(image, "is_animated", False))
    return Picture(image.size, models_of(image.mode), load, statements(), image.getexif, several)


@contextmanager
def _refusing_unsupported(data: bytes, kind: str) -> Iterator[None]:
    """Raise UnsupportedMedia for a failure of the decoder when the picture has a codec that it does not know."""
    try:
        yield
    except Exception as exc:
        codec = _primary_type(data)
        if codec is None or codec in _READ_TYPES[kind]:
            raise
        name = "HEIC" if kind == "HEIF" else kind
        raise UnsupportedMedia(f"A {name} with the codec '{shown(codec.decode('latin-1'))}' is not read.") from exc


def _primary_type(data: bytes) -> bytes | None:
    """Return the type of the primary item; None when there is none. 14496-12, sections 8.11.4 and 8.11.6."""
    meta = _find(data, 0, len(data), b"meta")
    items = _find(data, meta[0] + 4, meta[1], b"iinf") if meta else None
    primary = _primary_item(data, meta[0] + 4, meta[1]) if meta else None
    if items is None or primary is None:
        return None
    first = items[0] + (6 if data[items[0]] == 0 else 8)  # after the version, flags and the number of entries
    for kind, start, stop in _boxes(data, first, items[1]):
        version = data[start] if start < stop else 0
        width = 4 if version == 3 else 2
        if kind == b"infe" and version >= 2 and int.from_bytes(data[start + 4 : start + 4 + width]) == primary:
            return data[start + 6 + width : start + 10 + width]
    return None


def _primary_item(data: bytes, start: int, end: int) -> int | None:
    """Return the number of the primary item of a `meta` box whose children lie in start..end."""
    found = _find(data, start, end, b"pitm")
    if found is None or found[0] >= found[1]:
        return None
    return int.from_bytes(data[found[0] + 4 : found[0] + (8 if data[found[0]] > 0 else 6)])


def nclx_space(data: bytes) -> ColourSpace | None:
    """Return the space in the `nclx` colour box of the primary item, or of the first track; None when none says.

    The decoder has already brought samples to full range.
    """
    meta = _find(data, 0, len(data), b"meta")
    bodies = list(_item_colours(data, *meta)) if meta else []
    if not bodies:
        bodies = list(_track_colours(data))
    for body in bodies:
        if body[:4] == b"nclx" and len(body) >= 10:
            return from_cicp(int.from_bytes(body[4:6]), int.from_bytes(body[6:8]))
    return None


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of the body, end) of each box; 14496-12, section 4.2."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, head = int.from_bytes(data[start : start + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[start + 8 : start + 16]), 16
        stop = min(start + size, end) if size else end
        if stop < start + head:
            return
        yield data[start + 4 : start + 8], start + head, stop
        start = stop


def _find(data: bytes, start: int, end: int, *path: bytes) -> tuple[int, int] | None:
    """Return (start, end) of the body of the first box under `path`."""
    for name in path:
        found = next(((at, stop) for kind, at, stop in _boxes(data, start, end) if kind == name), None)
        if found is None:
            return None
        start, end = found
    return start, end


def _item_colours(data: bytes, start: int, end: int) -> Iterator[bytes]:
    """Yield the colour boxes that belong to the primary item of a `meta` box; 23008-12, section 9.3."""
    start += 4  # version and flags, as of every full box
    item = _primary_item(data, start, end)
    properties = _find(data, start, end, b"iprp", b"ipco")
    associations = _find(data, start, end, b"iprp", b"ipma")
    if item is None or properties is None or associations is None:
        return
    listed = list(_boxes(data, *properties))
    for number in _associated(data[associations[0] : associations[1]], item):
        if 0 < number <= len(listed) and listed[number - 1][0] == b"colr":
            yield data[listed[number - 1][1] : listed[number - 1][2]]


def _associated(body: bytes, item: int) -> list[int]:
    """Return the numbers, from 1, of the properties of `item`. body: of an `ipma` box; 23008-12, section 9.3.1."""
    item_bytes = 2 if body[:1] == b"\0" else 4
    property_bytes = 2 if body[3:4] and body[3] & 1 else 1
    count = min(int.from_bytes(body[4:8]), _MAX_BOXES)
    position = 8
    for _ in range(count):
        found = int.from_bytes(body[position : position + item_bytes])
        position += item_bytes
        number = int.from_bytes(body[position : position + 1])
        position += 1
        end = position + number * property_bytes
        if found == item:
            mask = 0x7FFF if property_bytes == 2 else 0x7F  # the highest bit: essential
            steps = range(position, end, property_bytes)
            return [int.from_bytes(body[at : at + property_bytes]) & mask for at in steps]
        position = end
    return []


def _track_colours(data: bytes) -> Iterator[bytes]:
    """Yield the colour boxes of the first track's sample description, in an animation without items."""
    table = _find(data, 0, len(data), b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    if table is None:
        return
    entry = next(_boxes(data, table[0] + 8, table[1]), None)
    if entry is None:
        return
    for kind, start, end in _boxes(data, entry[1] + 78, entry[2]):  # 78: the fields of a visual sample entry
        if kind == b"colr":
            yield data[start:end]
