"""One large picture is decoded at a time, over all processes of a service: `DecodeLock`.

A picture of 64 million pixels takes up to 0.8 GiB while it is decoded, and a fortieth of that afterwards. The engine
and the process for masks take turns, so that their memory together has room for one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sam3d_bento import malloc

# Pixels (width × height) from which on pictures take turns. One below takes 0.1 GiB at most.
LARGE_PIXELS = 8_000_000
# The largest picture takes 5 seconds on a slow machine. Who holds the lock for longer hangs, and is ended by its
# deadline; nobody else's deadline is spent on it.
MAX_WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.02


class DecodeLock:
    """A lock of the kernel (flock(2)) on a file: it is free again when its holder ends, however it ends.

    path: of the file, in a folder of the service's own. Where it cannot be made, nobody takes turns. wait_seconds: how
    long to wait at most; the picture is decoded all the same after that.
    """

    def __init__(self, path: Path, wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._path = path
        self._wait_seconds = wait_seconds

    @contextmanager
    def turn(self, pixels: int, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the lock during the block when the picture is large, and give freed memory back at its end.

        on_wait: called again and again while it waits; what it raises ends the wait.
        """
        if pixels < LARGE_PIXELS:
            yield
            return
        descriptor = self._open()
        try:
            if descriptor is not None:
                self._acquire(descriptor, on_wait)
            yield
        finally:
            malloc.give_back()
            if descriptor is not None:
                os.close(descriptor)  # and with it the lock

    def _open(self) -> int | None:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return None

    def _acquire(self, descriptor: int, on_wait: Callable[[], None]) -> None:
        give_up = time.monotonic() + self._wait_seconds
        while time.monotonic() < give_up:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                time.sleep(LOOK_SECONDS)
            else:
                return
