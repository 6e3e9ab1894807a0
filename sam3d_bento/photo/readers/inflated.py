"""A zlib stream, read piece by piece."""

from __future__ import annotations

import zlib

_AT_ONCE = 1 << 20  # bytes


class Inflated:
    """The bytes of a zlib stream, in turn. Its checksum at the end does not matter: the pixels are there by then."""

    def __init__(self, packed: bytes) -> None:
        self._inflate = zlib.decompressobj()
        self._packed = packed
        self._buffer = bytearray()

    def read(self, count: int) -> bytes | None:
        """Return the next `count` bytes; None when the stream has fewer, or breaks off before them."""
        try:
            while len(self._buffer) < count and not self._inflate.eof:
                more = self._inflate.decompress(self._packed, max(_AT_ONCE, count - len(self._buffer)))
                self._packed = self._inflate.unconsumed_tail
                if not more and not self._packed:
                    break
                self._buffer += more
        except zlib.error:
            return None
        if len(self._buffer) < count:
            return None
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found
