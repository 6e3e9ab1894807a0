"""One end of a stream socket over which whole frames of bytes pass.

    frame: length (8 bytes, big-endian), then so many bytes

Neither side trusts the other's pace: `receive` takes what has come and never waits, and `send` has a limit of time. So
a peer that sends half a frame, one byte now and then, or reads nothing holds up no thread. It cannot fill the memory
either: the buffer grows with what has come, not with the length that was announced, and that has a limit.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from multiprocessing.connection import wait

LENGTH = struct.Struct(">Q")
# One call takes at most so much; a socket pair holds some 200 kB.
CHUNK_BYTES = 1 << 20


class FrameTooLong(ValueError):
    """The peer announced a frame above the limit."""


class Channel:
    """See the module's docstring. For one reading and one writing thread at a time.

    end: a connected stream socket, owned by the channel from now on. max_bytes: the longest frame that is taken.
    """

    def __init__(self, end: socket.socket, max_bytes: int) -> None:
        end.setblocking(False)
        self._end = end
        self._max_bytes = max_bytes
        self._length: int | None = None  # of the frame that is coming, once it is known
        self._buffer = bytearray()

    def fileno(self) -> int:
        """Return the socket's descriptor, for waits: it is readable when `receive` has something to look at."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end. Does nothing the second time."""
        self._end.close()

    def send(self, *parts: bytes, seconds: float | None = None) -> None:
        """Send the parts as one frame. seconds: how long that may take; None: as long as it needs.

        Raises TimeoutError when the peer does not read, and OSError when it is gone. The channel is of no use then.
        """
        give_up = None if seconds is None else time.monotonic() + seconds
        length = LENGTH.pack(sum(map(len, parts)))
        for part in (length + parts[0], *parts[1:]) if len(parts[0]) < CHUNK_BYTES else (length, *parts):
            self._send(memoryview(part), give_up)

    def _send(self, rest: memoryview, give_up: float | None) -> None:
        while rest:
            try:
                rest = rest[self._end.send(rest) :]
            except BlockingIOError:
                left = None if give_up is None else give_up - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError("the peer does not read") from None
                _wait_until_writable(self._end, left)

    def receive(self) -> memoryview | None:
        """Take what has come; return a frame when it is whole, else None. The next call looks for the next frame.

        Raises EOFError when the peer has closed its end, FrameTooLong, and OSError when the socket is of no use.
        """
        while True:
            wanted = LENGTH.size if self._length is None else self._length
            if len(self._buffer) == wanted:
                whole, self._buffer = self._buffer, bytearray()
                if self._length is not None:
                    self._length = None
                    return memoryview(whole)
                (self._length,) = LENGTH.unpack(whole)
                if self._length > self._max_bytes:
                    raise FrameTooLong(f"a frame of {self._length} bytes was announced")
                continue
            try:
                chunk = self._end.recv(min(wanted - len(self._buffer), CHUNK_BYTES))
            except BlockingIOError:
                return None
            if not chunk:
                raise EOFError
            self._buffer += chunk

    def wait(self, seconds: float | None = None) -> bool:
        """Return whether something has come, or the peer is gone, within so many seconds; None: wait for it."""
        return bool(wait([self._end], seconds))

    def receive_whole(self) -> memoryview:
        """Wait for a frame and return it. Raises like `receive`."""
        while (frame := self.receive()) is None:
            self.wait()
        return frame


def _wait_until_writable(end: socket.socket, seconds: float | None) -> None:
    poll = select.poll()  # not `select`, which knows no descriptor above 1023
    poll.register(end, select.POLLOUT)
    poll.poll(None if seconds is None else max(1, int(seconds * 1000)))
