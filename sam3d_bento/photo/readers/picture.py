"""What every reader of a format returns: a file whose header has been read, and which can load its pixels."""

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

_MAX_WHOLE_PIXELS = 20_000_000  # a larger picture that is cut is refused: to decode it eight times takes a minute
# Added to a file that was cut. The least and the greatest bytes are as far apart as an arithmetic decoder can go; any
# single pattern may happen to be codes for "no more of this block", so the others are random, and the same each time.
_FILLERS = (bytes(64), b"\xff" * 64, *(sha512(bytes([n])).digest() for n in range(6)))
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')

Size = tuple[int, int]  # width, height in pixels
# What a file says about its colours, in the order in which its format wants it to be believed: ICC profiles as bytes.
Statements = Iterable[ColourSpace | bytes | None]


@dataclass(frozen=True)
class Picture:
    """A file that is open.

    size: as stored, before any turning. models: the kinds of colours that an ICC profile may be for.
    statements: what the file says of its colour space. exif: the EXIF block, empty when there is none.
    load(space, size): the pixels as L, LA, RGB, RGBA or CMYK; reduced to no less than `size`, where the format can
    do so while decoding. in_srgb: whether `load` converts from `space` to sRGB.
    """

    size: Size
    models: tuple[Model, ...]
    load: Callable[[Space | None, Size], Image.Image]
    statements: Statements = ()
    exif: Callable[[], Image.Exif] = Image.Exif
    several: bool = False
    in_srgb: bool = False


def declared_space(picture: Picture) -> Space | None:
    """Return which colour space the file is in: the first of its statements that can be used; None: none, so sRGB.

    A broken profile, one for another kind of colours, or impossible numbers count as not written.
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
    """Open `data` as `kind` (Pillow's name) and nothing else."""
    return Image.open(io.BytesIO(data), formats=[kind])


def models_of(mode: str) -> tuple[Model, ...]:
    """Return the kinds of ICC profiles that fit a Pillow mode. Grey pictures may have an RGB profile."""
    if mode == "CMYK":
        return ("CMYK",)
    return ("GRAY", "RGB") if mode in ("1", "L", "LA", "La") or mode.startswith("I;16") else ("RGB",)


def with_8_bits(image: Image.Image) -> Image.Image:
    """Return a loaded picture as L, LA, RGB, RGBA or CMYK: with A when it has transparency."""
    if image.mode == "La":  # Pillow 13: converts to LA only
        image = image.convert("LA")
    if image.mode in ("1", "L"):
        mode = "LA" if "transparency" in image.info else "L"
    elif image.mode in ("LA", "CMYK"):
        mode = image.mode
    else:
        mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)  # a copy of the largest picture takes 256 MB


def equal(one: Image.Image, other: Image.Image) -> bool:
    """Return whether two loaded pictures have the same pixels, band by band."""
    boxes = ((0, top, one.size[0], end) for top, end in bands(one.size))
    return one.size == other.size and all(one.crop(box).tobytes() == other.crop(box).tobytes() for box in boxes)


def whole_picture(load: Callable[[bytes], Image.Image]) -> Image.Image | None:
    """Return the picture of a file that ends too early when no pixel is missing, else None.

    load: opens the file with some bytes added. A decoder takes them for pixels as long as it lacks some; so the picture
    depends on them exactly when it is not whole.
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
    """Read an EXIF block; from XMP the orientation, where EXIF has none or is broken. Raises nothing."""
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
    """Return the orientation in an XMP packet, 1 to 8; None when there is none."""
    match = _XMP_ORIENTATION.search(xmp)
    return int(match[1]) if match else None
