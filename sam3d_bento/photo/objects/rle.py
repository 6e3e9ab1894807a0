"""Decode a mask in COCO's run-length encoding, plain or compressed.

Runs go down the columns, and alternate between background and object, background first.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool
from sam3d_bento.errors import BadRequest

# A character of compressed counts holds 5 bits of a number and, above them, whether more follow.
ZERO, BITS, MORE, SIGN = 48, 5, 0x20, 0x10
# Characters of the longest number: 7 * 5 bits hold every count of a picture, and more would only cost time.
MAX_CHARACTERS = 7


def decode(counts: str | list[int], size: tuple[int, int]) -> Bool:
    """Return the mask (H, W). size: height and width. Raises BadRequest for counts that do not fill the picture."""
    runs = decompress(counts) if isinstance(counts, str) else counts
    height, width = size
    pixels = height * width
    if any(not 0 <= run <= pixels for run in runs) or sum(runs) != pixels:
        raise BadRequest(f"its 'counts' do not add up to {height} × {width} pixels")
    values = np.arange(len(runs)) % 2 == 1
    mask: Bool = np.repeat(values, runs).reshape(width, height).T
    return mask


def decompress(text: str) -> list[int]:
    """Return the counts of a compressed text. From the third on, each is relative to the one two before.

    Raises BadRequest for characters that no such text has.
    """
    counts: list[int] = []
    place = 0
    while place < len(text):
        number, begin, bits = 0, place, MORE
        while bits & MORE:
            bits = ord(text[place]) - ZERO if place < len(text) else -1
            if not 0 <= bits < 2 * MORE or place - begin >= MAX_CHARACTERS:
                raise BadRequest("its 'counts' are no compressed RLE of COCO")
            number |= (bits & (MORE - 1)) << BITS * (place - begin)
            place += 1
        if bits & SIGN:
            number -= 1 << BITS * (place - begin)
        counts.append(number + counts[-2] if len(counts) > 2 else number)
    return counts
