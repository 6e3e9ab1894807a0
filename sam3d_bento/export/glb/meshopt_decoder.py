"""Decode EXT_meshopt_compression, to read a packed file back; see `meshopt_encoder`."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Float32, Int32, UInt8
from sam3d_bento.export.glb.meshopt_encoder import (
    ATTRIBUTES_HEADER,
    BLOCK_GROUPS,
    EXPLICIT,
    GROUP,
    NEW,
    TAIL,
    TRIANGLES_HEADER,
)

# By mode: for each byte that holds four codes (mode 1) or two (mode 2), how many of them are escapes, whose code
# follows in a separate byte.
FOLLOWING = {
    1: [sum(byte >> shift & 3 == 3 for shift in (0, 2, 4, 6)) for byte in range(256)],
    2: [sum(byte >> shift & 15 == 15 for shift in (0, 4)) for byte in range(256)],
}


def decode_attributes(stream: bytes, count: int, stride: int) -> UInt8:
    """Decode a stream of attributes; return its elements (count, stride) uint8.

    Raises ValueError or IndexError for a stream that does not hold this many elements.
    """
    if stream[0] != ATTRIBUTES_HEADER:
        raise ValueError("not a stream of attributes")
    groups = -(-count // GROUP)
    codes = np.zeros((groups * GROUP, stride), dtype=np.uint8)
    at = 1
    for first in range(0, groups, BLOCK_GROUPS):
        there = min(BLOCK_GROUPS, groups - first)
        for byte in range(stride):
            header, at = stream[at : at + -(-there // 4)], at + -(-there // 4)
            for group in range(there):
                mode = header[group // 4] >> 2 * (group % 4) & 3
                length = _group_length(stream, at, mode)
                begin = (first + group) * GROUP
                codes[begin : begin + GROUP, byte] = _group(np.frombuffer(stream, np.uint8, length, at), mode)
                at += length
    if at + TAIL != len(stream):
        raise ValueError("a stream of another length")
    deltas = (codes >> 1) ^ np.where(codes & 1, 255, 0).astype(np.uint8)
    deltas[0] += np.frombuffer(stream[-stride:], np.uint8)
    return np.cumsum(deltas, axis=0, dtype=np.uint8)[:count]


def _group_length(stream: bytes, at: int, mode: int) -> int:
    if mode in (0, 3):
        return GROUP if mode else 0
    short = 4 * mode
    following = FOLLOWING[mode]
    return short + sum(following[byte] for byte in stream[at : at + short])


def _group(data: UInt8, mode: int) -> UInt8 | int:
    """Return the 16 codes of a group; 0 if they are all zero."""
    if mode == 0:
        return 0
    if mode == 3:
        return data
    bits = 2 * mode
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    codes = (data[: 4 * mode, None] >> shifts & ((1 << bits) - 1)).astype(np.uint8).ravel()
    codes[codes == (1 << bits) - 1] = data[4 * mode :]
    return codes


def decode_triangles(stream: bytes, count: int) -> Int32:
    """Decode a stream of triangles; return their indices (count, 3) int32.

    Raises ValueError or IndexError for a stream that does not hold this many triangles.
    """
    if stream[0] != TRIANGLES_HEADER:
        raise ValueError("not a stream of triangles")
    table = stream[-16:]
    at = 1 + count
    following = last = 0
    edges: deque[tuple[int, int]] = deque(maxlen=16)
    vertices: deque[int] = deque(maxlen=16)
    triangles = []

    def spelled() -> int:
        nonlocal at, last
        number = shift = 0
        while True:
            byte = stream[at]
            at += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        last += ~(number >> 1) if number & 1 else number >> 1
        return last

    for code in stream[1 : 1 + count]:
        high, low = code >> 4, code & 15
        if high < 15:
            a, b = edges[high]
            if low == 0:
                c, following = following, following + 1
            elif low < 13:
                c = vertices[low]
            elif low < 15:
                c = last = last + (1 if low == 14 else -1)
            else:
                c = spelled()
            edges.extendleft(((c, b), (a, c)))
            if not 0 < low < 13:
                vertices.appendleft(c)
        else:
            if low < 14:
                pair = table[low]
            else:
                pair, at = stream[at], at + 1
                if pair == 0:
                    following = 0
            if low == 15:
                a = spelled()
            else:
                a, following = following, following + 1
            others = []
            for number in (pair >> 4, pair & 15):
                if number == NEW:
                    others.append(following)
                    following += 1
                else:
                    others.append(spelled() if number == EXPLICIT else vertices[number - 1])
            b, c = others
            edges.extendleft(((b, a), (c, b), (a, c)))
            vertices.appendleft(a)
            for vertex, number in ((b, pair >> 4), (c, pair & 15)):
                if number in (NEW, EXPLICIT):
                    vertices.appendleft(vertex)
        triangles.append((a, b, c))
    if at + 16 != len(stream):
        raise ValueError("a stream of another length")
    return np.array(triangles, dtype=np.int32)


def to_signed_bytes(vectors: Float32) -> UInt8:
    """Return unit vectors (N, 3) as normalized int8 VEC3 elements of four bytes, (N, 4); the fourth byte is 0."""
    packed = np.zeros((len(vectors), 4), np.int8)
    packed[:, :3] = np.rint(vectors * 127)
    return packed.view(np.uint8)


def from_octahedral(elements: UInt8) -> Float32:
    """Decode unit vectors (N, 3) float32 from their octahedral form, (N, 4) bytes."""
    packed = elements.view(np.int8).astype(np.float32)
    x, y = packed[:, 0] / packed[:, 2], packed[:, 1] / packed[:, 2]
    z = 1 - np.abs(x) - np.abs(y)
    below = np.minimum(z, 0)
    vectors = np.stack([x - np.copysign(below, x), y - np.copysign(below, y), z], axis=1)
    found: npt.NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found
