"""Define what every reader of a format returns: a file whose header has been read, and which can load its pixels."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha512

from PIL import ExifTags, Image

from sam3d_bento.photo.colour.icc import Model, hdr_space, usable
from sam3d_bento.photo.colour.spaces import ColourSpace
from sam3d_bento.photo.colour.srgb import Space, bands

_MAX_WHOLE_PIXELS = 20_000_000  # a larger picture that is cut is refused: decoding it eight times takes a minute
# Bytes that are appended to a file that was cut. The least and the greatest bytes are as far apart as an arithmetic
# decoder can go. Any single pattern may happen to be a code for "no more of this block". So the others are random, and
# the same each time.
_FILLERS = (bytes(64), b"\xff" * 64, *(sha512(bytes([n])).digest() for n in range(6)))
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')

Size = tuple[int, int]  # width, height in pixels
# What a file states about its colours, in the order of priority of its format; ICC profiles as bytes.
Statements = Iterable[ColourSpace | bytes | None]


@dataclass(frozen=True)
class Picture:
    """Open file of a picture.

    size: as stored, before it is rotated upright. models: the kinds of colours that an ICC profile may be for.
    load(space, size): returns the pixels as L, LA, RGB, RGBA or CMYK; they are reduced, but not below `size`, if the
    format can do so while decoding. statements: what the file states about its colour space. exif: returns the EXIF
    block, an empty one if there is none. several: whether there are further frames or pages. in_srgb: whether `load`
    converts from `space` to sRGB.
    """

    size: Size
    models: tuple[Model, ...]
    load: Callable[[Space | None, Size], Image.Image]
    statements: Statements = ()
    exif: Callable[[], Image.Exif] = Image.Exif
    several: bool = False
    in_srgb: bool = False


def declared_space(picture: Picture) -> Space | None:
    """Return the colour space of the file: the first of its statements that can be used; None for none, so sRGB.

    A broken profile, one for another kind of colours, and impossible numbers are ignored.
    """
    for statement in picture.statements:
        if isinstance(statement, bytes):
            space: Space | None = hdr_space(statement) or usable(statement, picture.models)
        else:
            space = statement if "RGB" in picture.models else None
        if space is not None:
            return space
    return None


def pillow_picture(data: bytes, kind: str) -> Image.Image:
    """Open `data` as the format `kind` (Pillow's name) and as nothing else."""
    return Image.open(io.BytesIO(data), formats=[kind])


def models_of(mode: str) -> tuple[Model, ...]:
    """Return the kinds of ICC profiles that fit a Pillow mode. Grey pictures may have an RGB profile."""
    if mode == "CMYK":
        return ("CMYK",)
    return ("GRAY", "RGB") if mode in ("1", "L", "LA", "La") or mode.startswith("I;16") else ("RGB",)


def with_8_bits(image: Image.Image) -> Image.Image:
    """Return a loaded picture as L, LA, RGB, RGBA or CMYK: with A if it has transparency."""
    if image.mode == "La":  # Pillow 13 converts it to LA only
        image = image.convert("LA")
    if image.mode in ("1", "L"):
        mode = "LA" if "transparency" in image.info else "L"
    elif image.mode in ("LA", "CMYK"):
        mode = image.mode
    else:
        mode = "RGBA" if image.has_transparency_data else "RGB"
    # No conversion without need: a copy of the largest picture takes 256 MB.
    return image if image.mode == mode else image.convert(mode)


def equal(one: Image.Image, other: Image.Image) -> bool:
    """Return whether two loaded pictures have the same pixels, band by band."""
    boxes = ((0, top, one.size[0], end) for top, end in bands(one.size))
    return one.size == other.size and all(one.crop(box).tobytes() == other.crop(box).tobytes() for box in boxes)


def whole_picture(load: Callable[[bytes], Image.Image]) -> Image.Image | None:
    """Return the picture of a file that ends too early, if no pixel is missing; else None.

    load: opens the file with some bytes appended. As long as the decoder lacks pixels, it decodes these bytes as
    pixels. So the picture depends on them exactly when it is not whole.
    """
    first = None
    for filler in _FILLERS:
        image = load(filler)
        if image.width * image.height > _MAX_WHOLE_PIXELS:
            return None
        image.load()
        if first is None:
            first = image
        elif not equal(first, image):
            return None
    return first


def exif_of(block: bytes, xmp: bytes = b"") -> Image.Exif:
    """Read an EXIF block, and the orientation from XMP if EXIF has none or is broken. Raises nothing."""
    exif = Image.Exif()
    try:
        if block:
            exif.load(block)
        known = ExifTags.Base.Orientation in exif
    except Exception:  # noqa: BLE001  # the EXIF block is foreign bytes too, but a photo is usable without it
        exif, known = Image.Exif(), False
    if not known and (orientation := xmp_orientation(xmp)):
        exif[ExifTags.Base.Orientation] = orientation
    return exif


def xmp_orientation(xmp: bytes) -> int | None:
    """Return the orientation in an XMP packet, 1 to 8; None if there is none."""
    match = _XMP_ORIENTATION.search(xmp)
    return int(match[1]) if match else None
