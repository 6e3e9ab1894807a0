"""Encode a texture as a WebP file of limited size, as close to the texture as can be.

Lossy WebP halves the chroma's resolution, rounds what is left, and stays below 46 dB at any quality. Colours rounded to
coarser steps and stored without loss have 50 dB (steps of 3) to 40 dB (of 9). Their error has no structure, so it
vanishes when texels are averaged: seen on the model, this is 1 to 2 dB better than lossy coding with as many bytes.
Only textures with very much detail are closer when they are coded lossily.

For as many bytes, these were worse (measured with libwebp 1.6): error diffusion, rounding towards the colour that the
coder predicts, finer steps where charts are less dense, and libwebp's "near lossless".
"""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image
from scipy.linalg import solve_banded

from sam3d_bento.arrays import Floats, UInt8

# Steps to which colours are rounded, in sRGB levels, finest first. They are odd, so that a colour is rounded to the
# middle of its step: the squared error of an even step is a quarter to a half larger than its size would make it.
STEPS = (1, 3, 5, 7, 9)
LOSSY_FROM = 7  # colours that need steps so coarse have so much detail that lossy coding may be closer

QUALITIES = tuple(range(100, 0, -3))  # of lossy WebP, out of 100, best first

# Sizes are estimated from every SAMPLE_BANDS-th band of rows, to save time.
BAND_ROWS = 64
SAMPLE_BANDS = 4

AIM = 0.99  # share of the room that is aimed at; a file that fills it is taken
MAX_TRIES = 3  # complete files of a pair of steps, each with a better guess of how many rows may have the finer one

# Luma of sRGB colours in WebP (ITU-R BT.601).
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def encode_webp(texture: UInt8, room: float) -> bytes:
    """Encode a texture (S, S, 3) uint8 sRGB in at most `room` bytes, where that is possible. S is even."""
    file, step = _encode_in_steps(texture, room)
    if file is not None and step < LOSSY_FROM:
        return file
    lossy = _encode_lossily(texture, room)
    return lossy if file is None or _error(lossy, texture) < _error(file, texture) else file


def _encode_in_steps(texture: UInt8, room: float) -> tuple[bytes | None, int]:
    """Encode without loss, with the finest steps that fit into the room; return the file and its coarser step.

    Where no steps fit, the file is None. The upper rows have finer steps than the lower ones, as many of them as there
    is room for.
    """
    sizes = _SizeEstimates(texture, lambda part, step: _encode_rounded(part, [(len(part), step)]))
    first = bisect_left(STEPS, True, key=lambda step: sizes.estimate(step) <= AIM * room)
    for coarse, fine in zip(STEPS[first:], (STEPS[max(first - 1, 0)], *STEPS[first:]), strict=False):
        saved = max(sizes.estimate(fine) - sizes.estimate(coarse), 1.0)  # bytes, if all rows are coarse
        share = (AIM * room - sizes.estimate(coarse)) / saved
        best: bytes | None = None
        tried: set[int] = set()
        while len(tried) < MAX_TRIES:
            rows = int(min(max(share, 0), 1) * len(texture))
            if rows in tried:
                break
            tried.add(rows)
            file = _encode_rounded(texture, [(rows, fine), (len(texture) - rows, coarse)])
            if len(file) <= room:
                best = file if best is None else max(best, file, key=len)
                if len(file) >= AIM * AIM * room:
                    break
            share = rows / len(texture) + (AIM * room - len(file)) / saved
        if best is not None:
            return best, coarse
    return None, STEPS[-1]


def _encode_lossily(texture: UInt8, room: float) -> bytes:
    """Encode a lossy WebP of the best quality that fits into the room, or of the worst one if none does."""
    sharp = _sharpen_chroma(texture)
    sizes = _SizeEstimates(sharp, lambda part, quality: _save(part, quality=quality, method=4))
    first = bisect_left(QUALITIES, True, key=lambda quality: sizes.estimate(quality) <= room)
    for quality in QUALITIES[min(first, len(QUALITIES) - 1) :]:
        file = _save(sharp, quality=quality, method=4)
        if len(file) <= room:
            break
    return file


class _SizeEstimates:
    """Sizes of files, estimated from a part of a picture."""

    def __init__(self, picture: UInt8, encode: Callable[[UInt8, int], bytes]) -> None:
        """encode: makes a file of rows of the picture, by the number that `estimate` is given."""
        rows = np.arange(len(picture))
        chosen = rows // BAND_ROWS % SAMPLE_BANDS == 0
        sample = picture[chosen]
        self.estimate = cache(lambda number: len(encode(sample, number)) * len(rows) / len(sample))


def _encode_rounded(texture: UInt8, parts: list[tuple[int, int]]) -> bytes:
    """Encode without further loss. parts: numbers of rows, from the top down, and the step their colours have."""
    rounded, first = [], 0
    for rows, step in parts:
        levels = (np.rint(np.arange(256) / step) * step).clip(0, 255).astype(np.uint8)
        rounded.append(levels.take(texture[first : first + rows]))
        first += rows
    # For a lossless file, the "quality" is the effort. More effort takes twice the time and saves one percent.
    return _save(np.concatenate(rounded), lossless=True, quality=40, method=2)


def _sharpen_chroma(texture: UInt8) -> UInt8:
    """Give squares of 2 x 2 texels one chroma: that with which a decoder comes closest to the mean of theirs.

    A decoder interpolates between the chroma of squares, (3, 1) / 4 along each axis. So the mean over a square becomes
    (1, 6, 1) / 8 of the squares along an axis, which is undone here.
    """
    colours = texture.astype(np.float32)
    luma = (colours @ LUMA_WEIGHTS)[..., None]
    chroma = _mean_of_squares(colours - luma)
    for axis in (0, 1):
        lines = np.moveaxis(chroma, axis, 0)
        bands = np.full((3, len(lines)), 1 / 8)
        bands[1] = 6 / 8
        bands[1, [0, -1]] += 1 / 8  # what lies outside the picture is like its border
        solved = solve_banded((1, 1), bands, lines.reshape(len(lines), -1)).reshape(lines.shape)
        chroma = np.moveaxis(solved, 0, axis).astype(np.float32)
    sharp = luma + chroma.repeat(2, axis=0).repeat(2, axis=1)
    rounded: UInt8 = np.rint(sharp.clip(0, 255)).astype(np.uint8)
    return rounded


def _error(file: bytes, texture: UInt8) -> float:
    """Return the squared error of a file's picture, averaged over squares of 4 x 4 texels: about what a viewer shows.

    Squares of one colour do not count: most of them lie between charts, where nobody sees them.
    """
    picture = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    off = _mean_of_squares(_mean_of_squares(np.subtract(picture, texture, dtype=np.float32)))
    blocks = texture.reshape(len(off), 4, off.shape[1], 4, 3)
    detailed = np.ptp(blocks, axis=(1, 3)).any(axis=2)
    squares = np.square(off).mean(axis=2)
    return float(squares[detailed].mean()) if detailed.any() else float(squares.mean())


def _mean_of_squares(values: Floats) -> Floats:
    """Return the means (H / 2, W / 2, K) of values (H, W, K) over squares of 2 x 2."""
    rows = values[0::2] + values[1::2]
    means: Floats = (rows[:, 0::2] + rows[:, 1::2]) / 4
    return means


def _save(picture: UInt8, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", **options)
    return file.getvalue()
