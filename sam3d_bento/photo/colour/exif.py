"""What EXIF says of a colour space: JEITA CP-3451 (EXIF 2.32) and CP-3461 (DCF 2.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import ExifTags, Image

from sam3d_bento.photo.colour.spaces import ADOBE_RGB, SRGB, ColourSpace

_SRGB, _ADOBE_RGB, _UNCALIBRATED = 1, 2, 65535  # tag 0xA001; 2 is in no standard, but cameras write it


def from_exif(exif: Callable[[], Image.Exif]) -> ColourSpace | None:
    """Return the space that EXIF names, None when it names none. exif: reads the block, and may raise anything.

    DCF 2.0, section 4: an optional file has ColorSpace 65535 and InteroperabilityIndex R03, which mean Adobe RGB;
    R98 is a basic file, in sRGB.
    """
    try:
        block = exif()
        details: dict[int, Any] = block.get_ifd(ExifTags.IFD.Exif)
        space = details.get(ExifTags.Base.ColorSpace)
        index = _text(block.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex))
    except Exception:  # noqa: BLE001  # the EXIF block is foreign bytes too, but a photo is usable without it
        return None
    if index == "R98" or space == _SRGB:
        return SRGB
    if space == _ADOBE_RGB or (space in (_UNCALIBRATED, None) and index == "R03"):
        return ADOBE_RGB
    return None


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    return value.rstrip("\0 ").upper() if isinstance(value, str) else ""
