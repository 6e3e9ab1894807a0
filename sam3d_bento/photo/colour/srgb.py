"""The one conversion to sRGB: of any space that a file may be in, at 8 or 16 bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from sam3d_bento.arrays import Float32, UInt8
from sam3d_bento.photo.colour import icc
from sam3d_bento.photo.colour.spaces import BT709, ColourSpace, matrix_to_srgb
from sam3d_bento.photo.colour.transfer import Curve, Transfer, hlg_display_light

Space = ColourSpace | ImageCms.ImageCmsProfile
Levels = npt.NDArray[Any]  # uint8 or uint16

BAND_PIXELS = 1 << 18  # converted at a time: floats of a 64 megapixel picture would take 768 MB

# HDR: up to this share of paper white, linear light stays as it is, so that diffuse colours keep their numbers. What
# is brighter is compressed; paper white itself comes out at 0.853, which is sRGB 237 of 255.
_KNEE = 0.6

_STEPS = 65535  # of linear light in the table that encodes sRGB: the first step is 0.05 of a level


def bands(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return (first row, end row) of the bands that a picture of `size` (width, height) is converted in."""
    rows = max(1, BAND_PIXELS // max(size[0], 1))
    return [(top, min(top + rows, size[1])) for top in range(0, size[1], rows)]


def to_srgb(image: Image.Image, space: Space | None) -> Image.Image:
    """Return `image` (mode L, RGB or CMYK, without alpha) as RGB in sRGB. space: of its numbers; None: sRGB."""
    if isinstance(space, ImageCms.ImageCmsProfile):
        return _by_profile(image, space)
    rgb = image.convert("RGB")
    if space is None or space.is_srgb or image.mode == "CMYK":
        return rgb
    levels: UInt8 = np.array(rgb)
    for top, end in bands(rgb.size):
        levels[top:end] = levels_to_srgb(levels[top:end], space)
    return Image.fromarray(levels)


def levels_to_srgb(levels: Levels, space: ColourSpace) -> UInt8:
    """Return `levels` (..., 3), uint8 or uint16, of `space` as uint8 sRGB of the same shape.

    A picture in an HDR space is tone-mapped: `_tone_mapped`.
    """
    table = _linear_table(space.transfer, levels.dtype.itemsize, space.full_range)
    linear: Float32 = table[levels]
    if space.transfer.curve is Curve.HLG:
        linear = hlg_display_light(linear)
    if space.primaries != BT709:
        linear = linear @ matrix_to_srgb(space.primaries).T.astype(np.float32)
    if space.transfer.is_hdr:
        linear = _tone_mapped(np.maximum(linear, 0, out=linear))
    np.clip(linear, 0, 1, out=linear)
    linear *= _STEPS
    encoded: UInt8 = _encoding_table()[np.rint(linear, out=linear).astype(np.uint16)]
    return encoded


def is_srgb(space: Space | None) -> bool:
    """Return whether numbers in `space` are sRGB's own. None: nothing is known, which means sRGB."""
    return space is None or (isinstance(space, ColourSpace) and space.is_srgb)


def is_hdr(space: Space | None) -> bool:
    """Return whether pictures of `space` are tone-mapped."""
    return isinstance(space, ColourSpace) and space.transfer.is_hdr


def converter(space: Space | None) -> Callable[[Levels], UInt8]:
    """Return a function from levels (h, w, C) uint8 or uint16 to (h, w, 3) uint8 sRGB; C: 1 grey, 3 RGB, 4 CMYK.

    For pictures of more than 8 bits, which are converted band by band before they are reduced.
    """
    if isinstance(space, ColourSpace) and not space.is_srgb:
        return lambda levels: levels_to_srgb(np.broadcast_to(levels, (*levels.shape[:2], 3)), space)
    profile = space if isinstance(space, ImageCms.ImageCmsProfile) else None

    def convert(levels: Levels) -> UInt8:
        picture = picture_of(to_8_bits(levels))
        return np.asarray(to_srgb(picture, profile))

    return convert


def to_8_bits(levels: Levels) -> UInt8:
    """Return `levels` scaled to uint8, rounded."""
    return _FROM_16_BITS[levels] if levels.dtype == np.uint16 else levels.astype(np.uint8, copy=False)


def picture_of(levels: UInt8) -> Image.Image:
    """Return `levels` (h, w, 1, 3 or 4) as a picture: L, RGB or CMYK."""
    channels = levels.shape[2]
    if channels == 1:
        return Image.fromarray(np.ascontiguousarray(levels[..., 0]))
    mode = {3: "RGB", 4: "CMYK"}[channels]
    return Image.frombytes(mode, levels.shape[1::-1], np.ascontiguousarray(levels).tobytes())


_FROM_16_BITS: UInt8 = np.rint(np.arange(65536) / 257).astype(np.uint8)


def _by_profile(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """Convert by LittleCMS. A profile that it cannot use after all is left aside: that beats refusing the photo."""
    if image.mode == "L" and icc.model_of(profile) == "RGB":
        image = image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, ValueError):
        return image.convert("RGB")
    assert converted is not None  # it is only when converting in place
    return converted


def _tone_mapped(linear: Float32) -> Float32:
    """Compress what is brighter than _KNEE of paper white so that all fits in 0..1; hues stay.

    Exponential shoulder on the largest channel, whose slope is that of the straight part where both meet.
    """
    brightest = linear.max(axis=-1, keepdims=True)
    excess = np.maximum(brightest - _KNEE, 0) / np.float32(1 - _KNEE)
    mapped = np.where(brightest > _KNEE, _KNEE + (1 - _KNEE) * -np.expm1(-excess), brightest)
    tone_mapped: Float32 = linear * (mapped / np.maximum(brightest, np.float32(1e-6)))
    return tone_mapped


@lru_cache(maxsize=8)
def _linear_table(transfer: Transfer, bytes_per_sample: int, full_range: bool) -> Float32:
    """Return the linear light of each of 256 or 65,536 levels. Video range: ITU-T H.273, section 8.3."""
    top = 256**bytes_per_sample
    values: npt.NDArray[Any] = np.arange(top) / (top - 1)
    if not full_range:
        values = (np.arange(top) / (top // 256) - 16) / 219
    table = transfer.to_linear(values)
    table.setflags(write=False)
    return table


@lru_cache(maxsize=1)
def _encoding_table() -> UInt8:
    linear = np.arange(_STEPS + 1) / _STEPS
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: UInt8 = np.rint(255 * encoded).astype(np.uint8)
    return levels
