"""Encode a texture as a file."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sam3d_bento.reconstruction import UInt8

# The filtered bytes of a baked texture hardly ever repeat: to look for nothing but runs takes a third of the time of
# looking for anything, and the files are up to 8 % smaller. Not so where the colours have no noise at all, which shows
# in a file as small as this; then both are tried.
PNG_BYTES_A_TEXEL = 0.5

JPEG_QUALITY = 92  # with full chroma: 42 dB on textures of strong colours

# Lossy WebP has half the chroma in each direction and stays below 45 dB whatever its quality. Colours in coarser steps,
# stored without loss, have 47 dB (steps of 4) to 42 (of 7), and an error without structure, which vanishes when texels
# are averaged: seen on the model, steps of 7 are 1 to 2 dB better than the best of lossy coding. So the finest steps
# are taken with which the whole file is small enough: 0.7 MB with 1024 x 1024 texels.
WEBP_STEPS = (3, 4, 5, 6, 7)
FIRST_STEP = 1  # of these; most textures fit with it or with the next
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
    step = FIRST_STEP
    file = _stepped(texture, WEBP_STEPS[step])
    if len(file) <= room:
        finer = _stepped(texture, WEBP_STEPS[step - 1])
        return finer if len(finer) <= room else file
    for coarser in WEBP_STEPS[step + 1 :]:
        file = _stepped(texture, coarser)
        if len(file) <= room:
            return file
    for quality in WEBP_QUALITIES:
        file = _saved(texture, "WEBP", quality=quality, method=4)
        if len(file) <= room:
            break
    return file


def _stepped(texture: UInt8, step: int) -> bytes:
    """Its colours rounded to multiples of the step, without further loss."""
    # Half way between two steps `rint` goes up as often as down: always up would lighten the whole.
    rounded = (np.rint(texture / np.float32(step)) * step).clip(0, 255).astype(np.uint8)
    # Of a lossless file the "quality" is the effort: more of it takes twice the time for one percent.
    return _saved(rounded, "WEBP", lossless=True, quality=40, method=2)


def _saved(texture: UInt8, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(texture).save(file, kind, **options)
    return file.getvalue()
