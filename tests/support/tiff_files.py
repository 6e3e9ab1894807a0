"""TIFF files of any layout, written by hand: every depth, format, order of bytes, plane, strip, tile and predictor."""

import struct
import zlib

import numpy as np

_CODES = {3: "H", 4: "I", 5: "I", 12: "d", 7: "B", 1: "B"}


def tiff_of(samples, bits=None, *, photometric=2, order="<", planar=False, rows=None, tile=None, packed=False,
            predictor=1, fill_order=1, tags=(), drop=()):  # fmt: skip
    """Write samples (h, w, channels), whose dtype is the file's. bits: of integers that are packed tighter.

    rows: of a strip, default all. tile: (width, height). packed: by deflate. tags: more of (tag, type, values), which
    replace; drop: tags that are left out.
    """
    height, width, channels = samples.shape
    bits = bits or samples.dtype.itemsize * 8
    planes = [samples[..., n : n + 1] for n in range(channels)] if planar else [samples]
    blocks = [block for plane in planes for block in _blocks(plane, rows or height, tile)]
    stored = [_packed(block, bits, order, predictor, fill_order, packed) for block in blocks]
    format_ = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    described = {
        256: (4, (width,)), 257: (4, (height,)), 258: (3, (bits,) * channels), 259: (3, (8 if packed else 1,)),
        262: (3, (photometric,)), 266: (3, (fill_order,)), 277: (3, (channels,)), 284: (3, (2 if planar else 1,)),
        317: (3, (predictor,)), 339: (3, (format_,) * channels),
    }  # fmt: skip
    if tile:
        described |= {322: (4, (tile[0],)), 323: (4, (tile[1],)), 324: (4, ()), 325: (4, tuple(map(len, stored)))}
    else:
        described |= {278: (4, (rows or height,)), 273: (4, ()), 279: (4, tuple(map(len, stored)))}
    described |= {tag: (type_, values) for tag, type_, values in tags}
    body = b"".join(stored)
    offsets = (8 + np.cumsum([0, *map(len, stored)])[:-1]).tolist()
    described[324 if tile else 273] = (4, tuple(offsets))
    return _file(body, {tag: value for tag, value in described.items() if tag not in drop}, order)


def _blocks(plane, rows, tile):
    if not tile:
        return [plane[top : top + rows] for top in range(0, len(plane), rows)]
    width, height = tile
    padded = np.pad(plane, ((0, -len(plane) % height), (0, -plane.shape[1] % width), (0, 0)))
    return [
        padded[top : top + height, left : left + width]
        for top in range(0, len(padded), height)
        for left in range(0, padded.shape[1], width)
    ]


def _packed(block, bits, order, predictor, fill_order, packed):
    height, width, channels = block.shape
    if predictor == 2:
        unsigned = block.view(f"u{block.dtype.itemsize}")
        first = np.zeros_like(unsigned[:, :1])
        block = np.diff(unsigned, axis=1, prepend=first).astype(unsigned.dtype)
    if predictor == 3:  # Adobe Photoshop TIFF Technical Note 3
        size = block.dtype.itemsize
        planes = block.astype(block.dtype.newbyteorder(">")).reshape(height, -1, 1).view(np.uint8)
        spread = np.moveaxis(planes, 2, 1).reshape(height, -1, channels)
        stored = np.diff(spread, axis=1, prepend=np.zeros_like(spread[:, :1])).astype(np.uint8).tobytes()
        assert len(stored) == height * width * channels * size
    elif bits == block.dtype.itemsize * 8:
        stored = block.astype(block.dtype.newbyteorder(order)).tobytes()
    else:
        single = (block.reshape(height, -1, 1).astype(np.int64) >> np.arange(bits - 1, -1, -1)) & 1
        stored = np.packbits(single.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    stored = zlib.compress(stored) if packed else stored
    if fill_order == 2:
        stored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in stored)
    return stored


def _file(body, described, order):
    start = 8 + len(body)
    entries, extra = [], b""
    behind = start + 2 + 12 * len(described) + 4
    for tag, (type_, values) in sorted(described.items()):
        if isinstance(values, bytes):
            count, data = len(values), values
        else:
            count = len(values) // (2 if type_ == 5 else 1)
            data = struct.pack(f"{order}{len(values)}{_CODES[type_]}", *values)
        if len(data) <= 4:
            entries.append(struct.pack(f"{order}HHI", tag, type_, count) + data.ljust(4, b"\0"))
        else:
            entries.append(struct.pack(f"{order}HHII", tag, type_, count, behind + len(extra)))
            extra += data + b"\0" * (len(data) % 2)
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, start)
    return head + body + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4) + extra
