"""PNG files of any kind, written by hand: every depth and colour type, all row filters, Adam7, any chunks."""

import struct
import zlib

import numpy as np

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16)]
KINDS += [(6, 8), (6, 16)]  # W3C PNG, third edition, table 8: all (colour type, depth)
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png_chunk(name, body):
    """Write a chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(samples, depth, colour_type, *, interlaced=False, before=b"", after=b"", seed=None):
    """Write samples (h, w, channels) of unsigned integers. before: chunks before the picture; after: behind it.

    seed: draws a filter for each row; None: none is filtered.
    """
    height, width = samples.shape[:2]
    rng = None if seed is None else np.random.default_rng(seed)
    if interlaced:
        parts = [samples[top::down, left::across] for left, top, across, down in _PASSES]
        rows = b"".join(_rows(part, depth, rng) for part in parts if part.size)
    else:
        rows = _rows(samples, depth, rng)
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, int(interlaced))
    chunks = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunks + after + png_chunk(b"IEND", b"")


def transparent_colour(*values):
    """Write the tRNS chunk of one transparent grey or colour."""
    return png_chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


def _rows(samples, depth, rng):
    height, _, channels = samples.shape
    if depth == 16:
        packed = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    elif depth == 8:
        packed = samples.astype(np.uint8).reshape(height, -1)
    else:
        bits = (samples.reshape(height, -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    step = max(1, depth * channels // 8)
    above = np.zeros(packed.shape[1], int)
    out = []
    for row in packed.astype(int):
        kind = 0 if rng is None else int(rng.integers(5))
        out.append(bytes([kind]) + ((row - _predicted(kind, row, above, step)) % 256).astype(np.uint8).tobytes())
        above = row
    return b"".join(out)


def _predicted(kind, row, above, step):
    """Section 9.2: what each filter type takes a byte to be, from those to its left (a), above (b), and both (c)."""
    left = np.concatenate([np.zeros(step, int), row[:-step]])[: len(row)]
    corner = np.concatenate([np.zeros(step, int), above[:-step]])[: len(row)]
    if kind == 4:
        estimate = left + above - corner
        distance = np.abs(np.stack([left, above, corner]) - estimate)
        return np.stack([left, above, corner])[distance.argmin(axis=0), np.arange(len(row))]
    return {0: 0, 1: left, 2: above, 3: (left + above) // 2}[kind]
