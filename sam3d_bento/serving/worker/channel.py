"""Send and receive frames of bytes over a stream socket.

    frame: length (8 bytes, big-endian), then that many bytes

A frame may carry file descriptors (SCM_RIGHTS of unix(7)) to a peer that takes them. For another peer, the kernel
closes them.

A slow or broken peer cannot block a thread: `receive` never waits, and `send` has a time limit. It cannot fill the
memory either: the buffer grows with the bytes that have arrived, not with the announced length, which has a limit.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Sequence
from multiprocessing.connection import wait

LENGTH = struct.Struct(">Q")
# Most bytes of one call of `recv`. The buffer of a socket pair is about 200 kB.
CHUNK_BYTES = 1 << 20
# Most descriptors that one call of `recv_fds` takes. A frame carries one at most.
MAX_DESCRIPTORS = 4


class FrameTooLong(ValueError):
    """Frame whose announced length is above the limit."""


class Channel:
    """Channel for frames, as the module's docstring describes. For one reading and one writing thread at a time.

    end: connected stream socket, which the channel now owns. max_bytes: length of the longest accepted frame.
    takes_descriptors: whether to take what descriptors the peer sends; `take_descriptors` returns them.
    """

    def __init__(self, end: socket.socket, max_bytes: int, *, takes_descriptors: bool = False) -> None:
        end.setblocking(False)
        self._end = end
        self._max_bytes = max_bytes
        self._length: int | None = None  # of the incoming frame; None until it has arrived
        self._buffer = bytearray()
        self._takes_descriptors = takes_descriptors
        self._descriptors: list[int] = []

    def fileno(self) -> int:
        """Return the socket's descriptor, to wait until it is readable and then call `receive`."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end. A second call does nothing."""
        self._end.close()

    def send(self, *parts: bytes, seconds: float | None = None, descriptors: Sequence[int] = ()) -> None:
        """Send the parts as one frame. seconds: time limit; None for no limit. descriptors: stay open on this side.

        Raises TimeoutError if the peer does not read, and OSError if it is gone. The channel cannot be used afterwards.
        """
        give_up = None if seconds is None else time.monotonic() + seconds
        length = LENGTH.pack(sum(map(len, parts)))
        for part in (length + parts[0], *parts[1:]) if len(parts[0]) < CHUNK_BYTES else (length, *parts):
            self._send(memoryview(part), give_up, descriptors)
            descriptors = ()

    def _send(self, rest: memoryview, give_up: float | None, descriptors: Sequence[int]) -> None:
        while rest:
            try:
                sent = socket.send_fds(self._end, [rest], descriptors) if descriptors else self._end.send(rest)
                rest, descriptors = rest[sent:], ()
            except BlockingIOError:
                left = None if give_up is None else give_up - time.monotonic()
                if left is not None and left <= 0:
                    raise TimeoutError("the peer does not read") from None
                _wait_until_writable(self._end, left)

    def receive(self) -> memoryview | None:
        """Read the bytes that have arrived; return the frame if it is complete, otherwise None.

        Raises EOFError if the peer has closed its end, OSError if the socket has failed, and FrameTooLong.
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
                chunk = self._receive_chunk(min(wanted - len(self._buffer), CHUNK_BYTES))
            except BlockingIOError:
                return None
            if not chunk:
                raise EOFError
            self._buffer += chunk

    def _receive_chunk(self, most: int) -> bytes:
        if not self._takes_descriptors:
            return self._end.recv(most)
        chunk, descriptors, _, _ = socket.recv_fds(self._end, most, MAX_DESCRIPTORS)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors += descriptors
        return chunk

    def take_descriptors(self) -> list[int]:
        """Return the descriptors that came with the frames since the last call. The caller owns them."""
        taken, self._descriptors = self._descriptors, []
        return taken

    def wait(self, seconds: float | None = None) -> bool:
        """Return whether bytes arrive, or the peer goes away, within this time. None: wait without a limit."""
        return bool(wait([self._end], seconds))

    def receive_whole(self) -> memoryview:
        """Wait for a frame and return it. Raises the same errors as `receive`."""
        while (frame := self.receive()) is None:
            self.wait()
        return frame


def _wait_until_writable(end: socket.socket, seconds: float | None) -> None:
    poll = select.poll()  # `select` cannot handle descriptors above 1023
    poll.register(end, select.POLLOUT)
    poll.poll(None if seconds is None else max(1, int(seconds * 1000)))
