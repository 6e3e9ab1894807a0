"""BMP's run-length encoding, unpacked in a few seconds whatever is in it. [MS-WMF] 3.1.6.

Pillow's decoder steps from pixel to pixel in Python: a file of line ends alone holds it for as long as its header says
that it has pixels.
"""

from __future__ import annotations

import numpy as np

_PAIRS = [bytes((byte >> 4, byte & 15)) for byte in range(256)]  # the two indices in a byte
_END_OF_LINE, _END, _MOVE = 0, 1, 2


def unpack(data: bytes, offset: int, size: tuple[int, int], *, four_bits: bool) -> bytes | None:
    """Return an index a pixel, in the order in which they are stored; None when pixels are missing.

    offset: of the runs in `data`, the whole file. size: (width, height). What is left out of a line, or of the picture
    by a move, has index 0; a run that does not fit its line is cut: all as Pillow has it.
    """
    width, height = size
    total = width * height
    if offset % 2 == 0 and _most_pixels(data[offset:], width) < total:
        return None
    out = bytearray()
    column, position = 0, offset
    while len(out) < total and position + 2 <= len(data):
        count, value = data[position], data[position + 1]
        position += 2
        if count:
            count = min(count, max(0, width - column))
            out += (_PAIRS[value] * 128)[:count] if four_bits else bytes((value,)) * count
            column += count
        elif value == _END_OF_LINE:
            out += bytes(-len(out) % width)
            column = 0
        elif value == _END:
            break
        elif value == _MOVE:
            if position + 2 > len(data):
                break
            out += bytes(min(total - len(out), data[position] + data[position + 1] * width))
            position += 2
            column = len(out) % width
        else:
            count = min(total - len(out), value)
            stored = (count + 1) // 2 if four_bits else count
            piece = data[position : position + stored]
            out += b"".join([_PAIRS[byte] for byte in piece])[:count] if four_bits else piece
            if len(piece) < stored:
                break
            position += stored
            column += value
            position += position % 2  # runs begin at even places
    return bytes(out) if len(out) >= total else None


def _most_pixels(runs: bytes, width: int) -> int:
    """Return a bound of the pixels in runs that begin at an even place, without a step for each: those that lie among
    stored pixels are counted as well.
    """
    pairs = np.frombuffer(runs[: len(runs) // 2 * 2], np.uint8).reshape(-1, 2)
    escapes = np.flatnonzero(pairs[:, 0] == 0)
    values = pairs[escapes, 1]
    moves = escapes[values == _MOVE] + 1
    across, down = pairs[moves[moves < len(pairs)]].sum(axis=0, dtype=np.int64)
    stored = values[values > _MOVE].sum(dtype=np.int64)
    lines = np.count_nonzero(values == _END_OF_LINE) * (width - 1)
    return int(pairs[:, 0].sum(dtype=np.int64) + stored + across + down * width + lines)
