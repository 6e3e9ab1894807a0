"""ICC profiles written by hand: ICC.1:2022."""

import struct


def grey_profile(gamma):
    """Write a grey profile of version 2 whose tone curve is a gamma, seen by D50."""
    d50 = struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    curve = struct.pack(">4s4xIH2x", b"curv", 1, round(gamma * 256))
    description = struct.pack(">4s4xI", b"desc", 5) + b"grey\0" + bytes(4 + 4 + 2 + 1 + 67) + bytes(3)
    tags, body, at = [], b"", 128 + 4 + 3 * 12
    for name, data in ((b"desc", description), (b"wtpt", d50), (b"kTRC", curve)):
        data += bytes(-len(data) % 4)
        tags.append(struct.pack(">4sII", name, at + len(body), len(data)))
        body += data
    table = struct.pack(">I", len(tags)) + b"".join(tags)
    head = struct.pack(
        ">I4sI4s4s4s12x4s24x3i", 128 + len(table) + len(body), bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp",
        *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)),
    )  # fmt: skip
    return head.ljust(128, b"\0") + table + body
