"""Encode vertices and triangles as EXT_meshopt_compression, written from the extension's specification.

https://github.com/KhronosGroup/glTF/tree/main/extensions/2.0/Vendor/EXT_meshopt_compression, appendix A: bitstream
(modes 0 and 1) and appendix B: filters (filter 1).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from sam3d_bento.arrays import Float32, Int32, UInt8

# First byte of a stream of attributes, and of one of triangles: the format and its version.
ATTRIBUTES_HEADER, TRIANGLES_HEADER = 0xA0, 0xE1

GROUP = 16  # elements whose deltas have the same width
BLOCK_GROUPS = 16  # groups in a block, for elements of up to 32 bytes
TAIL = 32  # bytes at the end of an attribute stream; the last of them hold the first element

# How far back a triangle's code can reach in the queue of edges, and in that of vertices.
EDGES, VERTICES = 15, 13
LOOKED_UP = 14  # entries in the table of frequent pairs
# Numbers in such a pair: NEW is a vertex that has not occurred before, EXPLICIT one whose index is written out. 1 to 14
# are the vertex that many places back in the queue.
NEW, EXPLICIT = 0, 15


def encode_attributes(elements: UInt8) -> bytes:
    """Encode elements (N, S) uint8 in mode 0, ATTRIBUTES. S: bytes of an element, a multiple of 4 up to 32."""
    count, stride = elements.shape
    deltas = np.diff(elements, axis=0, prepend=elements[:1])
    zigzag = (deltas << 1) ^ np.where(deltas > 127, 255, 0).astype(np.uint8)
    groups = -(-count // GROUP)
    blocks = -(-groups // BLOCK_GROUPS)
    padded = np.zeros((blocks * BLOCK_GROUPS * GROUP, stride), dtype=np.uint8)
    padded[:count] = zigzag
    # In the order of the stream: block, byte of the element, group, element.
    codes = padded.reshape(blocks, BLOCK_GROUPS, GROUP, stride).transpose(0, 3, 1, 2)
    rows, lengths, modes = _packed_groups(np.ascontiguousarray(codes))

    there = np.minimum(groups - np.arange(blocks) * BLOCK_GROUPS, BLOCK_GROUPS)
    lengths[np.broadcast_to((np.arange(BLOCK_GROUPS) >= there[:, None])[:, None], lengths.shape)] = 0
    # The groups of each byte are preceded by their widths: two bits each, four to a byte, from the lowest bits up.
    widths = (modes.reshape(blocks, stride, -1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(axis=-1, dtype=np.uint8)
    header = np.zeros((blocks, stride, 1, rows.shape[-1]), dtype=np.uint8)
    header[:, :, 0, : widths.shape[-1]] = widths
    header_length = np.broadcast_to(-(-there // 4)[:, None, None], (blocks, stride, 1))
    rows = np.concatenate([header, rows], axis=2)
    lengths = np.concatenate([header_length, lengths], axis=2)
    body = rows[np.arange(rows.shape[-1]) < lengths[..., None]]
    return b"".join((bytes([ATTRIBUTES_HEADER]), body.tobytes(), elements[0].tobytes().rjust(TAIL, b"\0")))


def _packed_groups(codes: UInt8) -> tuple[UInt8, Int32, UInt8]:
    """Encode each group of 16 codes in its shortest mode; return rows (..., 24) of bytes, their lengths, and the modes.

    Mode 0: all codes are zero. Modes 1 and 2: codes of two or four bits; larger ones follow as bytes. Mode 3: bytes.
    """
    zeros = np.where((codes == 0).all(axis=-1), 0, 99)
    large = [(codes >= limit).sum(axis=-1) for limit in (3, 15)]
    sizes = np.stack([zeros, 4 + large[0], 8 + large[1], np.full_like(zeros, GROUP)])
    modes = sizes.argmin(axis=0).astype(np.uint8)
    rows = np.zeros((*codes.shape[:-1], 24), dtype=np.uint8)
    for mode, bits in ((1, 2), (2, 4)):
        chosen = modes == mode
        some = codes[chosen]
        limit = (1 << bits) - 1
        each = 8 // bits
        shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
        small = np.minimum(some, limit).reshape(len(some), GROUP // each, each)
        last = np.argsort(some < limit, axis=1, kind="stable")
        rows[chosen] = np.pad(
            np.concatenate([(small << shifts).sum(axis=-1, dtype=np.uint8), np.take_along_axis(some, last, axis=1)], 1),
            ((0, 0), (0, 8 - GROUP // each)),
        )
    rows[modes == 3, :GROUP] = codes[modes == 3]
    return rows, sizes.min(axis=0).astype(np.int32), modes


def encode_triangles(faces: Int32) -> bytes:
    """Encode triangles (F, 3) of indices in mode 1, TRIANGLES.

    The stream is short when triangles follow their neighbours and vertices are numbered in the order in which they
    first occur. A decoded triangle may start with another of its corners.
    """
    following = last = 0  # the next new vertex, the vertex that was written out last
    edge_seen: dict[tuple[int, int], int] = {}  # at which place an edge or a vertex was put into its queue
    vertex_seen: dict[int, int] = {}
    edges = vertices = 0  # number of edges and of vertices put into the queues
    codes = bytearray()
    details: list[bytes] = []
    pairs: list[tuple[int, int, int]] = []  # of triangles that the table may shorten: triangle, and the two numbers

    def spelled(vertex: int) -> bytes:
        """Write out a vertex: its difference to the one before in zigzag, then seven bits a byte, the lowest first."""
        nonlocal last
        delta, last = vertex - last, vertex
        number = delta << 1 if delta >= 0 else ~(delta << 1)
        text = bytearray()
        while number > 127:
            text.append(number & 127 | 128)
            number >>= 7
        text.append(number)
        return bytes(text)

    for a, b, c in faces.tolist():
        detail = b""
        backs = [edges - edge_seen.get(edge, -99) for edge in ((a, b), (b, c), (c, a))]
        back = min(backs)
        if back <= EDGES:
            x, y, z = ((a, b, c), (b, c, a), (c, a, b))[backs.index(back)]
            behind = vertices - vertex_seen.get(z, -99) - 1
            if z == following:
                low, following = 0, following + 1
            elif 0 < behind < VERTICES:
                low = behind
            elif z == last - 1:
                low, last = 0xD, z
            elif z == last + 1:
                low, last = 0xE, z
            else:
                low, detail = 0xF, spelled(z)
            codes.append((back - 1) << 4 | low)
            pushed_edges: tuple[tuple[int, int], ...] = ((z, y), (x, z))
            pushed_vertices = () if 0 < low < VERTICES else (z,)
        else:
            # Start with the new vertex, if there is one.
            if b == following:
                a, b, c = b, c, a
            elif c == following:
                a, b, c = c, a, b
            new = a == following
            following += new
            detail = b"" if new else spelled(a)
            numbers = []
            for vertex in (b, c):
                behind = vertices - vertex_seen.get(vertex, -99)
                if vertex == following:
                    numbers.append(NEW)
                    following += 1
                elif behind < EXPLICIT:
                    numbers.append(behind)
                else:
                    numbers.append(EXPLICIT)
                    detail += spelled(vertex)
            second, third = numbers
            if new and EXPLICIT not in numbers:
                pairs.append((len(codes), second, third))
            detail = bytes([second << 4 | third]) + detail
            codes.append(0xFE if new else 0xFF)
            pushed_edges = ((b, a), (c, b), (a, c))
            kept = (NEW, EXPLICIT)
            pushed_vertices = (a, *(v for v, number in ((b, second), (c, third)) if number in kept))
        for edge in pushed_edges:
            edge_seen[edge] = edges
            edges += 1
        for vertex in pushed_vertices:
            vertex_seen[vertex] = vertices
            vertices += 1
        details.append(detail)

    # The pair 0, 0 must be in the table: written out, it would mean that the numbering starts again.
    frequent = Counter((second << 4 | third) for _, second, third in pairs)
    table = [0, *(pair for pair, _ in frequent.most_common() if pair)][:LOOKED_UP]
    for triangle, second, third in pairs:
        pair = second << 4 | third
        if pair in table:
            codes[triangle] = 0xF0 | table.index(pair)
            details[triangle] = b""
    return bytes([TRIANGLES_HEADER]) + codes + b"".join(details) + bytes(table).ljust(16, b"\0")


def octahedral(normals: Float32) -> UInt8:
    """Encode unit vectors (N, 3) for filter 1, unfolded from an octahedron; return (N, 4) bytes that hold int8."""
    flat = normals / np.abs(normals).sum(axis=1, keepdims=True)
    x, y, z = flat.T
    folded_x = np.where(z < 0, (1 - np.abs(y)) * np.where(x < 0, -1, 1), x)
    folded_y = np.where(z < 0, (1 - np.abs(x)) * np.where(y < 0, -1, 1), y)
    one = np.full(len(normals), 1.0)
    components = np.stack([folded_x, folded_y, one, 0 * one], axis=1)
    packed: UInt8 = np.rint(components * 127).astype(np.int8).view(np.uint8)
    return packed
