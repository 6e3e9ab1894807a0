"""Bytes from a stranger to a `Photo`: which formats are read, the limits, and what becomes of unusual pictures."""

from __future__ import annotations

import io
import re
import warnings
from math import hypot

import numpy as np
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from sam3d_bento.errors import BadRequest, RequestError, TooLarge, UnsupportedMedia
from sam3d_bento.photo.image_parts import refuse_excess
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

# The long side, in pixels. The largest texture has 4096 a side and shows the object from all around, so more would
# only cost time and memory; less would show in the texture of an object that fills part of the frame.
WORKING_SIZE = 2048

MIN_SIDE = 16  # pixels of the reduced picture; an object cannot be told from its background in fewer

MAX_PROFILE_BYTES = 4_000_000  # the largest common profiles, for printing presses, have 3 MB

# Only these formats are ever tried. Others that Pillow knows start an interpreter (EPS), follow references,
# or are seldom tested against hostile files.
_SIGNATURES = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "BMP": re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL),
    # In the family of ISO media files the list of brands tells what is inside; `mif1` alone may be either.
    "AVIF": re.compile(rb"\0\0..ftyp(?:.{4}){0,16}?avi[fs]", re.DOTALL),
    "HEIF": re.compile(rb"\0\0..ftyp(?:.{4}){0,16}?(?:hei[cxms]|hev[cxms])", re.DOTALL),
}
# The same for people.
FORMATS = ("JPEG", "PNG", "WebP", "AVIF", *(("HEIC",) if HEIC_IS_READ else ()), "TIFF", "GIF", "BMP")

# EXIF 2.32, tag 0x0112: how the stored picture must be turned to stand upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TURNED = (5, 6, 7, 8)  # these swap width and height

_FILM_DIAGONAL = 43.27  # of 35 mm film, in the unit of these lengths: millimetres
_FOCAL_LENGTHS = (8, 2000)  # from fisheye to telescope; 0 means unknown

_NEW_SUBFILE_TYPE = 254  # TIFF 6.0; bit 0: a smaller copy of another picture in the file

_FROM_16_BITS = np.rint(np.arange(65536) / 257).astype(np.uint8)


def decode(data: bytes, *, max_pixels: int) -> Photo:
    """Read a picture: upright, sRGB, its long side at most `WORKING_SIZE`, hidden colours kept out of visible pixels.

    Of several frames the first is used and `WarningCode.FIRST_FRAME_ONLY` given. Greys of more than 8 bits are scaled,
    not clipped. Only an embedded RGB or CMYK colour profile is honoured; a broken one is ignored.

    Raises UnsupportedMedia for a format that is not read, TooLarge for more than `max_pixels` (checked on the
    header, before any pixel is decoded), BadRequest for no data, a broken file, or a picture too small to use.
    """
    if not data:
        raise BadRequest("The image is empty: the upload has no bytes.")
    max_pixels = min(max_pixels, PILLOW_MAX_PIXELS)
    kind = _format_of(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow remarks on much in a stranger's file; the log is not for strangers
            return _decode(data, kind, max_pixels)
    except RequestError:
        raise
    except Image.DecompressionBombError as exc:
        raise _too_large(max_pixels) from exc
    except Exception as exc:  # given hostile bytes, decoders raise anything: struct.error, KeyError, ...
        raise BadRequest(f"The {kind} image is damaged or cut short; it could not be read.") from exc


def _format_of(data: bytes) -> str:
    """Pillow's name of the format, by signature. Raises UnsupportedMedia."""
    kind = next((kind for kind, signature in _SIGNATURES.items() if signature.match(data)), None)
    readable = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    if kind is None:
        raise UnsupportedMedia(f"This is not an image in a format that is read. Send {readable}.")
    if kind == "HEIF" and not HEIC_IS_READ:
        raise UnsupportedMedia(f"HEIC is not read here: it needs the optional extra 'heic'. Send {readable}.")
    return kind


def _decode(data: bytes, kind: str, max_pixels: int) -> Photo:
    """`decode` without its safety net: Pillow's own errors come through."""
    refuse_excess(data, kind)
    image: Image.Image = Image.open(io.BytesIO(data), formats=[kind])
    stored_size = image.size
    if stored_size[0] * stored_size[1] > max_pixels:
        raise _too_large(max_pixels)
    working_size = _working_size(stored_size)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & 1:
        raise UnsupportedMedia("This is a camera raw file, of which only the preview could be read. Send a JPEG.")
    # Asked before loading, because a GIF looks ahead to answer. The further pictures of a phone's multi-picture
    # JPEG (MPO) are previews, gain maps and the like: nothing is lost with them.
    several = image.format != "MPO" and getattr(image, "is_animated", False)

    image.draft(None, working_size)  # a JPEG is decoded at a half, a quarter or an eighth, as far as that suffices
    image.load()
    orientation = _orientation(image)
    focal_length = _focal_length(image, working_size)
    profile = image.info.get("icc_profile")
    image = _with_8_bits(image)
    if image.size != working_size:
        # Pillow weights colours by alpha here, so what is transparent does not bleed into what is not.
        image = image.resize(working_size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return Photo(
        rgb=np.array(_to_srgb(image, profile)),
        alpha=np.array(image.getchannel("A")) if image.mode == "RGBA" else None,
        original_size=stored_size[::-1] if orientation in _TURNED else stored_size,
        warnings=(WarningCode.FIRST_FRAME_ONLY,) if several else (),
        focal_length=focal_length,
    )


def _too_large(max_pixels: int) -> TooLarge:
    return TooLarge(f"The image has more than {max_pixels:,} pixels (width × height); reduce it and send it again.")


def _working_size(size: tuple[int, int]) -> tuple[int, int]:
    """`size` reduced so that the long side is at most WORKING_SIZE. Raises BadRequest when a side gets too short."""
    scale = min(1.0, WORKING_SIZE / max(*size, 1))
    width, height = round(size[0] * scale), round(size[1] * scale)
    if min(width, height) < MIN_SIDE:
        raise BadRequest(
            f"The image is too small or narrow ({size[0]} × {size[1]} pixels): with its long side reduced to at most "
            f"{WORKING_SIZE} pixels, the short side needs {MIN_SIDE}."
        )
    return width, height


def _orientation(image: Image.Image) -> int | None:
    """The EXIF orientation that `image` still needs; None when there is none, or none that can be read.

    Pillow turns TIFF and HEIC pictures itself while loading and then reports none.
    """
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  # the EXIF block is foreign bytes too, but a photo is usable without it
        return None
    return value if isinstance(value, int) else None


def _focal_length(image: Image.Image, size: tuple[int, int]) -> float | None:
    """The focal length in pixels of the picture reduced to `size`; None when EXIF does not tell, or nothing usable.

    EXIF 2.32, tag 0xA405: in millimetres for a picture of the diagonal of 35 mm film. Unlike the focal length itself it
    needs no knowledge of the sensor. It does not hold for a picture that was cropped later.
    """
    try:
        value = float(image.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # noqa: BLE001  # as for the orientation
        return None
    shortest, longest = _FOCAL_LENGTHS
    return value / _FILM_DIAGONAL * hypot(*size) if shortest <= value <= longest else None


def _with_8_bits(image: Image.Image) -> Image.Image:
    """The picture with 8 bits a channel: RGBA when the file has transparency, else CMYK or RGB."""
    if image.mode[0] in "IF":
        image = _scaled_grey(image)
    if image.mode == "La":  # Pillow 13: converts to LA only
        image = image.convert("LA")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    """A grey picture of 16 or 32 bits, or of floats, brought to 8 bits: L, or LA when one grey means transparent.

    Pillow's own conversion clips at 255. White is full scale for 16 bits. The other modes do not say where white
    is: it is taken as the smallest usual full scale (1, 255, 65535) that holds the brightest pixel.
    """
    samples = np.asarray(image)
    if image.mode.startswith("I;16"):
        grey = Image.fromarray(_FROM_16_BITS[samples])
    else:
        brightest = float(np.max(samples, where=np.isfinite(samples), initial=0))
        scales = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        white = next((scale for scale in scales if brightest <= scale), brightest)
        levels = samples.astype(np.float32)
        levels *= 255 / white  # in place, here and below: each copy of the largest picture takes 256 MB
        np.clip(levels, 0, 255, out=levels)
        np.nan_to_num(levels, copy=False)
        grey = Image.fromarray(np.rint(levels, out=levels).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(samples == transparent, 0, 255).astype(np.uint8)))
    return grey


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in sRGB. The embedded profile is used when it describes this kind of colour, else left aside.

    Phones write Display P3 and cameras Adobe RGB: taken for sRGB, their colours look dull. A stranger's profile is a
    small risk: its size is bounded, it is read by a library that has been fuzzed for years, in a process that may die.
    """
    colours = image if image.mode == "CMYK" else image.convert("RGB")
    if isinstance(profile, bytes) and len(profile) <= MAX_PROFILE_BYTES:
        try:
            source = ImageCms.getOpenProfile(io.BytesIO(profile))
            if source.profile.xcolor_space.strip() == colours.mode:
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(colours, source, srgb, outputMode="RGB")
                assert converted is not None  # it is only when converting in place
                return converted
        except (ImageCms.PyCMSError, ValueError):  # ValueError: Pillow decodes its names as ASCII
            pass  # the colours are then a little off, which beats refusing the photo
    return colours.convert("RGB")
