"""JPEG: its segments, which kinds are not read, and files that end without saying so. ITU-T T.81."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.photo.colour import srgb
from sam3d_bento.photo.colour.exif import from_exif
from sam3d_bento.photo.colour.spaces import ColourSpace
from sam3d_bento.photo.readers.picture import Picture, Size, exif_of, models_of, pillow_picture, whole_picture

_MARKER = re.compile(rb"\xff+([\x01-\xd7\xd9-\xfe])")
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # SOF0 to SOF15
_START_OF_SCAN = 0xDA
_END = b"\xff\xd9"
# Of APP0 and APP14 the decoder reads how colours are stored. All other APP segments and comments are no picture.
_METADATA = frozenset({*range(0xE1, 0xF0), 0xFE} - {0xEE})
_COLOUR_HINTS = {0xE0: 14, 0xEE: 12}  # APP0 and APP14, and how many bytes a sound one has
_EXIF = b"Exif\0\0"
_MAX_EXIF_BYTES = 1_000_000  # a segment has 64 kB; some cameras go on in a second one
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"

_MAX_SCANNED_PIXELS = 1_000_000_000  # in all scans of a file that is cut: 64 megapixels in 15 passes
_RESTARTS = tuple(bytes([0xFF, 0xD0 + n]) for n in range(8))


@dataclass
class Segments:
    """The segments before the first scan. plain: the file without metadata; frame: SOF's marker and body."""

    plain: bytes
    frame: tuple[int, bytes] | None = None
    exif: bytes = b""
    xmp: bytes = b""
    profile: dict[int, bytes] = field(default_factory=dict)  # by number, from 1
    profile_parts: int = 0


def open_jpeg(data: bytes) -> Picture:
    """Open a JPEG. Raises UnsupportedMedia for a kind that the decoder does not know, BadRequest for pixels missing."""
    segments = read_segments(data)
    plain, frame = segments.plain, segments.frame
    if frame is not None:
        _refuse_samples(frame[1])
    image = pillow_picture(plain, "JPEG")

    def load(_: srgb.Space | None, size: Size) -> Image.Image:
        if _END not in plain:
            return _load_without_end(plain, size)
        # A JPEG is decoded at a half, a quarter or an eighth, as far as that suffices.
        image.draft(None, size)
        try:
            image.load()
        except OSError:
            if frame is not None:
                _refuse_process(frame[0])
            raise
        return image

    def exif() -> Image.Exif:
        return exif_of(segments.exif, segments.xmp)

    def statements() -> Iterator[ColourSpace | bytes | None]:
        parts = segments.profile
        if parts and set(parts) == set(range(1, segments.profile_parts + 1)):
            yield b"".join(parts[n] for n in sorted(parts))
        yield from_exif(exif)

    return Picture(image.size, models_of(image.mode), load, statements(), exif)


def read_segments(data: bytes) -> Segments:
    """Read the segments up to the first scan, as tolerant of what lies between them as decoders are."""
    found = Segments(data)
    kept = [data[:2]]
    position = 2
    while match := _MARKER.search(data, position):
        marker = match[1][0]
        if marker == _START_OF_SCAN:
            found.plain = b"".join([*kept, data[match.end() - 2 :]])
            return found
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:  # these have no length
            position = match.end()
            continue
        end = match.end() + max(2, int.from_bytes(data[match.end() : match.end() + 2]))
        body = data[match.end() + 2 : end]
        if marker in _METADATA:
            _read_metadata(found, marker, body)
        elif marker not in _COLOUR_HINTS or len(body) >= _COLOUR_HINTS[marker]:
            kept.append(data[match.end() - 2 : end])
        if marker in _FRAMES:
            found.frame = marker, body
        position = end
    return found  # without a scan: the decoder says what is wrong


def _read_metadata(found: Segments, marker: int, body: bytes) -> None:
    if marker == 0xE1 and body.startswith(_EXIF) and len(found.exif) < _MAX_EXIF_BYTES:
        found.exif += body[len(_EXIF) :] if found.exif else body
    elif marker == 0xE1 and body.startswith(_XMP):
        found.xmp = body
    elif marker == 0xE2 and body.startswith(_ICC) and len(body) > len(_ICC) + 2:
        number, found.profile_parts = body[len(_ICC) : len(_ICC) + 2]
        found.profile.setdefault(number, body[len(_ICC) + 2 :])


def _refuse_samples(body: bytes) -> None:
    """Raise UnsupportedMedia for samples that the decoder does not know. body: of a frame header, T.81, B.2.2."""
    if len(body) < 6:
        return
    depth, components = body[0], body[5]
    if depth != 8:
        raise UnsupportedMedia(f"A JPEG of {depth} bits a sample is not read. Send a plain JPEG, or a PNG.")
    if components not in (1, 3, 4):
        raise UnsupportedMedia(f"A JPEG of {components} components is not read. Send a plain JPEG, or a PNG.")


def _refuse_process(marker: int) -> None:
    """Raise UnsupportedMedia for a coding process that decoders seldom know. marker: T.81, table B.1."""
    if marker in (0xC3, 0xCB):
        raise UnsupportedMedia("A lossless JPEG (ITU-T T.81, annex H) is not read. Send a plain JPEG, or a PNG.")
    if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
        raise UnsupportedMedia("A hierarchical JPEG (ITU-T T.81, annex J) is not read. Send a plain JPEG, or a PNG.")


# --- a file that ends without the marker for it


def _load_without_end(plain: bytes, size: Size) -> Image.Image:
    """Load a picture whose last scan is complete though nothing follows it. Raises BadRequest for pixels missing."""
    body = plain.rstrip(b"\xff")
    # Where a picture restarts, only the next marker of eight in turn lets the decoder go on: T.81, section E.2.4.
    last_scan = body.rfind(bytes([0xFF, _START_OF_SCAN]))
    places = [body.rfind(mark, last_scan) for mark in _RESTARTS]
    restart = _RESTARTS[(places.index(max(places)) + 1) % 8] if max(places) >= 0 else _RESTARTS[0]

    def with_more(filler: bytes) -> Image.Image:
        more = filler.replace(b"\xff", b"\xff\0")  # T.81, section F.1.2.3: a byte of ones in a scan
        image = pillow_picture(body + more + restart + more + _END, "JPEG")
        image.draft(None, size)
        return image

    width, height = pillow_picture(plain, "JPEG").size
    effort = plain.count(bytes([0xFF, _START_OF_SCAN])) * width * height
    picture = whole_picture(with_more) if effort <= _MAX_SCANNED_PIXELS and _all_scans(plain) else None
    if picture is None:
        raise BadRequest("The JPEG image is damaged or cut short; it could not be read.")
    return picture


def _all_scans(plain: bytes) -> bool:
    """Return whether the headers of the scans cover every coefficient of every component to its last bit.

    T.81, section G.1.1: a progressive picture comes in scans of some coefficients (Ss to Se), down to a bit (Al).
    """
    bits: dict[int, list[int]] = {}
    position = 2
    while match := _MARKER.search(plain, position):
        marker = match[1][0]
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:
            position = match.end()
            continue
        end = match.end() + max(2, int.from_bytes(plain[match.end() : match.end() + 2]))
        body = plain[match.end() + 2 : end]
        if marker in _FRAMES and len(body) >= 6:
            bits = {component: [99] * 64 for component in body[6::3][: body[5]]}
        elif marker == _START_OF_SCAN and len(body) >= 4:
            first, last, approximation = body[-3:]
            for component in body[1:-3:2]:
                for n in range(first, min(last, 63) + 1):
                    bits.get(component, [0] * 64)[n] = approximation & 15
        position = end
    return bool(bits) and all(left == 0 for levels in bits.values() for left in levels)
