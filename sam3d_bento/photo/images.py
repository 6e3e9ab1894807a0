"""Decode the bytes of an upload to a `Photo`: the formats that are read, the limits, and the steps."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from math import hypot

import numpy as np
from PIL import ExifTags, Image

from sam3d_bento.errors import BadRequest, RequestError, TooLarge, UnsupportedMedia
from sam3d_bento.photo.colour.srgb import is_hdr, to_srgb
from sam3d_bento.photo.image_parts import refuse_excess
from sam3d_bento.photo.readers.bmp import open_bmp
from sam3d_bento.photo.readers.gif import open_gif
from sam3d_bento.photo.readers.iso_media import open_iso_media
from sam3d_bento.photo.readers.jpeg import open_jpeg
from sam3d_bento.photo.readers.picture import Picture, declared_space
from sam3d_bento.photo.readers.png import open_png
from sam3d_bento.photo.readers.tiff import open_tiff
from sam3d_bento.photo.readers.webp import open_webp
from sam3d_bento.photo.reduction import reduce
from sam3d_bento.reconstruction import Photo
from sam3d_bento.settings import PILLOW_MAX_PIXELS
from sam3d_bento.warning_codes import WarningCode

try:
    from pillow_heif import register_heif_opener
except ImportError:
    HEIC_IS_READ = False
else:
    HEIC_IS_READ = True
    register_heif_opener()

# Long side in pixels. The largest texture has a side of 4096 and shows the object from all around, so more pixels would
# only cost time and memory. With fewer, the texture of an object that fills only part of the frame would be visibly
# coarser.
WORKING_SIZE = 2048

MIN_SIDE = 16  # pixels of the reduced picture; with fewer, an object cannot be separated from its background

# First bytes of the formats that are read. Others that Pillow knows are never tried: they start an interpreter (EPS),
# follow references, or are seldom tested against hostile files.
_SIGNATURES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "BMP": re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    # In ISO media files, the list of brands says which format the file has; `mif1` alone may be either.
    "AVIF": re.compile(rb"\0\0..ftyp(?:.{4}){0,16}?avi[fs]", re.DOTALL),
    "HEIF": re.compile(rb"\0\0..ftyp(?:.{4}){0,16}?(?:hei[cxms]|hev[cxms])", re.DOTALL),
}
# Names of the formats for users.
FORMATS = ("JPEG", "PNG", "WebP", "AVIF", *(("HEIC",) if HEIC_IS_READ else ()), "TIFF", "GIF", "BMP")

# EXIF 2.32, tag 0x0112: how the stored picture must be transposed to be upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)  # orientations that swap width and height

_FILM_DIAGONAL = 43.27  # millimetres, of 35 mm film
_FOCAL_LENGTHS = (8, 2000)  # millimetres, from fisheye lens to telescope; 0 means unknown


# Entered while a picture of so many pixels takes its full memory (`decode_lock`).
Turn = Callable[[int], AbstractContextManager[None]]


def no_turn(pixels: int) -> AbstractContextManager[None]:
    """Return a context that does nothing."""
    return nullcontext()


def decode(data: bytes, *, max_pixels: int, turn: Turn = no_turn) -> Photo:
    """Decode a picture: upright, in sRGB, its long side at most `WORKING_SIZE`.

    Hidden colours are kept out of visible pixels. The first of several frames is used, and
    `WarningCode.FIRST_FRAME_ONLY` is given. A picture in an HDR space is tone-mapped, with
    `WarningCode.HDR_TONE_MAPPED`. Samples of more than 8 bits are scaled, not clipped. What a file states about its
    colour space is used in the order of its format's rules; broken statements are ignored.

    Raises UnsupportedMedia for a format, or a kind of it, that is not read; TooLarge for more than `max_pixels`
    (checked in the header, before any pixel is decoded); BadRequest for no data, for a broken file with missing pixels,
    and for a picture too small to use.

    turn: entered with the number of pixels, before they are decoded.
    """
    if not data:
        raise BadRequest("The image is empty: the upload has no bytes.")
    max_pixels = min(max_pixels, PILLOW_MAX_PIXELS)
    kind = _format_of(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about much in a stranger's file, which must not fill the log
            return _decode(data, kind, max_pixels, turn)
    except RequestError:
        raise
    except Image.DecompressionBombError as exc:
        raise _too_large(max_pixels) from exc
    except Exception as exc:  # for hostile bytes, decoders raise anything: struct.error, KeyError, ...
        raise BadRequest(f"The {kind} image is damaged or cut short; it could not be read.") from exc


def _format_of(data: bytes) -> str:
    """Return Pillow's name of the format, by signature. Raises UnsupportedMedia for any other."""
    kind = next((kind for kind, signature in _SIGNATURES.items() if signature.match(data)), None)
    readable = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    if kind is None:
        raise UnsupportedMedia(f"This is not an image in a format that is read. Send {readable}.")
    if kind == "HEIF" and not HEIC_IS_READ:
        raise UnsupportedMedia(f"HEIC is not read here: the server lacks the package pillow-heif. Send {readable}.")
    return kind


def _decode(data: bytes, kind: str, max_pixels: int, turn: Turn) -> Photo:
    """Decode as `decode` does, but let Pillow's own errors pass."""
    refuse_excess(data, kind)
    picture = _READERS[kind](data)
    stored_size = picture.size
    if stored_size[0] * stored_size[1] > max_pixels:
        raise _too_large(max_pixels)
    working_size = _working_size(stored_size)
    with turn(stored_size[0] * stored_size[1]):
        return _decode_pixels(picture, working_size)


def _decode_pixels(picture: Picture, working_size: tuple[int, int]) -> Photo:
    """Do what takes memory by the picture's full size."""
    stored_size = picture.size
    space = declared_space(picture)
    image = picture.load(space, working_size)
    exif = _exif(picture)
    orientation = _orientation(exif)
    if image.size != working_size:
        image = reduce(image, working_size)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    has_alpha = image.mode in ("LA", "RGBA")
    colours = image.convert(image.mode[:-1]) if has_alpha else image
    reasons = (
        (picture.several, WarningCode.FIRST_FRAME_ONLY),
        (is_hdr(space), WarningCode.HDR_TONE_MAPPED),
    )
    return Photo(
        rgb=np.array(to_srgb(colours, None if picture.in_srgb else space)),
        alpha=np.array(image.getchannel("A")) if has_alpha else None,
        original_size=stored_size[::-1] if orientation in _TURNED else stored_size,
        warnings=tuple(code for applies, code in reasons if applies),
        focal_length=_focal_length(exif, working_size),
    )


def _too_large(max_pixels: int) -> TooLarge:
    return TooLarge(f"The image has more than {max_pixels:,} pixels (width × height); reduce it and send it again.")


def _working_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return `size` with its long side reduced to at most WORKING_SIZE. Raises BadRequest if a side gets too short."""
    scale = min(1.0, WORKING_SIZE / max(*size, 1))
    width, height = round(size[0] * scale), round(size[1] * scale)
    if min(width, height) < MIN_SIDE:
        raise BadRequest(
            f"The image is too small or narrow ({size[0]} × {size[1]} pixels): with its long side reduced to at most "
            f"{WORKING_SIZE} pixels, the short side needs {MIN_SIDE}."
        )
    return width, height


def _exif(picture: Picture) -> Image.Exif:
    """Return the EXIF block of a loaded picture; an empty one if it cannot be read."""
    try:
        return picture.exif()
    except Exception:  # noqa: BLE001  # the EXIF block is foreign bytes too, but a photo is usable without it
        return Image.Exif()


def _orientation(exif: Image.Exif) -> int | None:
    """Return the EXIF orientation that must still be applied; None if there is none, or none that can be read.

    Pillow itself rotates TIFF and HEIC pictures while loading, and then reports no orientation.
    """
    try:
        value = exif.get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  # as above
        return None
    return value if isinstance(value, int) else None


def _focal_length(exif: Image.Exif, size: tuple[int, int]) -> float | None:
    """Return the focal length in pixels of the picture reduced to `size`; None if EXIF has no usable one.

    EXIF 2.32, tag 0xA405: the focal length in millimetres of an equivalent 35 mm camera, so for a picture with the
    diagonal of 35 mm film. Unlike the plain focal length, it does not depend on the sensor. It is wrong for a picture
    that was cropped later.
    """
    try:
        value = float(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # noqa: BLE001  # as above
        return None
    shortest, longest = _FOCAL_LENGTHS
    return value / _FILM_DIAGONAL * hypot(*size) if shortest <= value <= longest else None


_READERS: dict[str, Callable[[bytes], Picture]] = {
    "JPEG": open_jpeg,
    "PNG": open_png,
    "WEBP": open_webp,
    "GIF": open_gif,
    "TIFF": open_tiff,
    "BMP": open_bmp,
    "AVIF": partial(open_iso_media, kind="AVIF"),
    "HEIF": partial(open_iso_media, kind="HEIF"),
}
