"""Encode a texture as a PNG, JPEG or WebP file."""

from __future__ import annotations

import io
from bisect import bisect_left
from functools import cache, partial

import numpy as np
from PIL import Image

from sam3d_bento.arrays import UInt8

# Bytes of a PNG for each texel. The filtered bytes of a baked texture hardly ever repeat: searching for nothing but
# runs takes a third of the time of a full search, and the files are up to 8 % smaller. The exception is a texture whose
# colours have no noise at all. Its file is smaller than this; then the full search is tried too.
PNG_BYTES_A_TEXEL = 0.5

JPEG_QUALITY = 92  # of 100, with full chroma: 42 dB on textures of strong colours

# Sizes of the colour steps that are tried for a WebP, in levels of 255, finest first. Lossy WebP halves the chroma's
# resolution in both directions, and stays below 45 dB at any quality. Colours rounded to coarser steps and stored
# without loss have 47 dB (steps of 4) to 39 dB (of 10). Their error has no structure, so it vanishes when texels are
# averaged: seen on the model, this is 1 to 2 dB better than lossy coding with as many bytes. So the finest steps are
# used whose file fits into the budget. Error diffusion, libwebp's "near lossless" and its sharper chroma are all worse
# for as many bytes (measured with libwebp 1.6).
WEBP_STEPS = (1, 3, 4, 5, 6, 7, 8, 9, 10)
# Budget of the whole file in bytes for each texel: 0.7 MB for 1024 x 1024 texels.
FILE_BYTES_A_TEXEL = 0.7e6 / 1024**2
LEAST_BYTES_A_TEXEL = 0.3  # minimum for the picture in bytes for each texel, where the geometry leaves less
WEBP_QUALITIES = (100, 95)  # of lossy WebP, for a texture so rich in detail that no steps fit


def encode(texture: UInt8, texture_format: str, beside: int = 0) -> tuple[bytes, str]:
    """Encode a texture (S, S, 3) uint8 sRGB as png, jpeg or webp; return the file and its media type.

    beside: number of bytes that the GLB holds besides the picture; they reduce the budget of a WebP. Equal inputs give
    equal bytes.
    """
    if texture_format == "jpeg":
        return _saved(texture, "JPEG", quality=JPEG_QUALITY, subsampling=0), "image/jpeg"
    if texture_format == "webp":
        texels = texture.shape[0] * texture.shape[1]
        room = max(FILE_BYTES_A_TEXEL * texels - beside, LEAST_BYTES_A_TEXEL * texels)
        return _webp(texture, room), "image/webp"
    return _png(texture), "image/png"


def _png(texture: UInt8) -> bytes:
    """Encode a PNG by searching for runs; if the file is small, also by a full search. Return the smaller file."""
    file = _saved(texture, "PNG", compress_type=Image.RLE)
    if len(file) > PNG_BYTES_A_TEXEL * texture.shape[0] * texture.shape[1]:
        return file
    return min(file, _saved(texture, "PNG"), key=len)


def _webp(texture: UInt8, room: float) -> bytes:
    """Encode a WebP without loss, with the finest colour steps that fit into `room` bytes, or lossily if none do."""
    stepped = cache(partial(_stepped, texture))
    finest = bisect_left(WEBP_STEPS, True, key=lambda step: len(stepped(step)) <= room)
    if finest < len(WEBP_STEPS):
        return stepped(WEBP_STEPS[finest])
    for quality in WEBP_QUALITIES:
        file = _saved(texture, "WEBP", quality=quality, method=4)
        if len(file) <= room:
            break
    return file


def _stepped(texture: UInt8, step: int) -> bytes:
    """Encode a WebP of the colours rounded to multiples of the step, without further loss."""
    # Half way between two steps, `rint` rounds up as often as down. Always rounding up would make the texture lighter.
    rounded = (np.rint(np.arange(256) / step) * step).clip(0, 255).astype(np.uint8)
    # For a lossless file, the "quality" is the effort. More effort takes twice the time and saves one percent.
    return _saved(rounded.take(texture), "WEBP", lossless=True, quality=40, method=2)


def _saved(texture: UInt8, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(texture).save(file, kind, **options)
    return file.getvalue()
