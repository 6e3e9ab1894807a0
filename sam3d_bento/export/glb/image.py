"""Encode a texture as a file."""

from __future__ import annotations

import io
from bisect import bisect_left
from functools import cache, partial

import numpy as np
from PIL import Image

from sam3d_bento.arrays import UInt8

# The filtered bytes of a baked texture hardly ever repeat: to look for nothing but runs takes a third of the time of
# looking for anything, and the files are up to 8 % smaller. Not so where the colours have no noise at all, which shows
# in a file as small as this; then both are tried.
PNG_BYTES_A_TEXEL = 0.5

JPEG_QUALITY = 92  # with full chroma: 42 dB on textures of strong colours

# Lossy WebP has half the chroma in each direction and stays below 45 dB whatever its quality. Colours in coarser steps,
# stored without loss, have 47 dB (steps of 4) to 39 (of 10), and an error without structure, which vanishes when texels
# are averaged: seen on the model, that is 1 to 2 dB better than what lossy coding makes of as many bytes. So the finest
# steps are taken with which the whole file is small enough: 0.7 MB with 1024 x 1024 texels. Error diffusion,
# libwebp's "near lossless" and its sharper chroma all get less out of as many bytes (measured with libwebp 1.6).
WEBP_STEPS = (1, 3, 4, 5, 6, 7, 8, 9, 10)
FILE_BYTES_A_TEXEL = 0.7e6 / 1024**2
LEAST_BYTES_A_TEXEL = 0.3  # of the picture, where the geometry leaves less
WEBP_QUALITIES = (100, 95)  # for a texture so rich in detail that no steps will do


def encode(texture: UInt8, texture_format: str, beside: int = 0) -> tuple[bytes, str]:
    """A texture (S, S, 3) uint8 sRGB as png, jpeg or webp, and its media type. Equal inputs give equal bytes.

    beside: bytes that the file will hold besides; the more, the smaller WebP is made.
    """
    if texture_format == "jpeg":
        return _saved(texture, "JPEG", quality=JPEG_QUALITY, subsampling=0), "image/jpeg"
    if texture_format == "webp":
        texels = texture.shape[0] * texture.shape[1]
        room = max(FILE_BYTES_A_TEXEL * texels - beside, LEAST_BYTES_A_TEXEL * texels)
        return _webp(texture, room), "image/webp"
    return _png(texture), "image/png"


def _png(texture: UInt8) -> bytes:
    """The smaller of the file with runs and, where it may pay, the one with repetitions of any kind."""
    file = _saved(texture, "PNG", compress_type=Image.RLE)
    if len(file) > PNG_BYTES_A_TEXEL * texture.shape[0] * texture.shape[1]:
        return file
    return min(file, _saved(texture, "PNG"), key=len)


def _webp(texture: UInt8, room: float) -> bytes:
    """With the finest steps that fit into so many bytes; else lossy."""
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
    """Its colours rounded to multiples of the step, without further loss."""
    # Half way between two steps `rint` goes up as often as down: always up would lighten the whole.
    rounded = (np.rint(np.arange(256) / step) * step).clip(0, 255).astype(np.uint8)
    # Of a lossless file the "quality" is the effort: more of it takes twice the time for one percent.
    return _saved(rounded.take(texture), "WEBP", lossless=True, quality=40, method=2)


def _saved(texture: UInt8, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(texture).save(file, kind, **options)
    return file.getvalue()
