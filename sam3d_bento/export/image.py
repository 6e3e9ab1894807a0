"""Encode a texture as a file."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sam3d_bento.reconstruction import UInt8

PNG_LEVEL = 4  # about as small as the default of 6, in half the time

JPEG_QUALITY = 92  # with full chroma: 42 dB on textures of strong colours

# Lossy WebP has half the chroma in each direction and stays below 43 dB whatever its quality. Colours in steps of four
# or five, stored without loss, have 46 or 45 dB, and an error without structure, which vanishes when texels are
# averaged. So the first that is small enough is taken. A texture that needs more bytes is so rich in detail that the
# error of lossy coding shows least.
WEBP_STEPS = (4, 5)
WEBP_BYTES_A_TEXEL = 0.43
WEBP_QUALITY = 95


def encode(texture: UInt8, texture_format: str) -> tuple[bytes, str]:
    """A texture (S, S, 3) uint8 sRGB as png, jpeg or webp, and its media type. Equal inputs give equal bytes."""
    if texture_format == "jpeg":
        return _saved(texture, "JPEG", quality=JPEG_QUALITY, subsampling=0), "image/jpeg"
    if texture_format == "webp":
        return _webp(texture), "image/webp"
    return _saved(texture, "PNG", compress_level=PNG_LEVEL), "image/png"


def _webp(texture: UInt8) -> bytes:
    for step in WEBP_STEPS:
        # Half way between two steps `rint` goes up as often as down: always up would lighten the whole.
        rounded = (np.rint(texture / np.float32(step)) * step).clip(0, 255).astype(np.uint8)
        # Of a lossless file the "quality" is the effort: more of it takes twice the time for one percent.
        file = _saved(rounded, "WEBP", lossless=True, quality=40, method=2)
        if len(file) <= WEBP_BYTES_A_TEXEL * texture.shape[0] * texture.shape[1]:
            return file
    return _saved(texture, "WEBP", quality=WEBP_QUALITY, method=4)


def _saved(texture: UInt8, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(texture).save(file, kind, **options)
    return file.getvalue()
