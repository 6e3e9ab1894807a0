"""A zlib stream, read piece by piece."""

from __future__ import annotations

import zlib

_HEAD = 2  # bytes of RFC 1950 before the stream itself
_PIECE = 1 << 16  # bytes fed at a time: what is left over of a piece is copied


class Inflated:
    """The bytes of a zlib stream, in turn.

    It is read without its head and its checksum, which is at the end: the pixels are all there by then.
    """

    def __init__(self, packed: bytes) -> None:
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._packed = memoryview(packed)
        self._position = _HEAD

    def read(self, count: int) -> bytes | None:
        """Return the next `count` bytes; None when the stream has fewer, or breaks off before them."""
        found = bytearray()
        try:
            while len(found) < count and not self._inflate.eof:
                piece: bytes | memoryview = self._inflate.unconsumed_tail
                if not piece:
                    piece = self._packed[self._position : self._position + _PIECE]
                    self._position += len(piece)
                more = self._inflate.decompress(piece, count - len(found))
                if not more and not piece:
                    break
                found += more
        except zlib.error:
            return None
        return bytes(found) if len(found) == count else None
