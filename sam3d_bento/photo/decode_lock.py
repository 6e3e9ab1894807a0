"""Lock that lets all processes of a service decode only one large picture at a time.

A picture of 64 million pixels needs up to 0.8 GiB while it is decoded, and a fortieth of that afterwards. The engine
process and the mask process take turns, so that memory is needed for only one such picture.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sam3d_bento import malloc

# Pixels (width × height) from which a picture needs the lock. A smaller one needs 0.1 GiB at most.
LARGE_PIXELS = 8_000_000
# Longest wait for the lock. The largest picture takes 5 seconds on a slow machine, so a process that holds the lock for
# longer hangs. Its own deadline ends it; others must not spend theirs on the wait.
MAX_WAIT_SECONDS = 30.0
# Pause between two attempts to get the lock.
POLL_SECONDS = 0.02


class DecodeLock:
    """Kernel lock (flock(2)) on a file. The kernel releases it when its holder ends in any way.

    path: the file, in a private folder of the service. If it cannot be created, pictures are decoded without the lock.
    wait_seconds: longest wait. After that the picture is decoded without the lock.
    """

    def __init__(self, path: Path, wait_seconds: float = MAX_WAIT_SECONDS) -> None:
        self._path = path
        self._wait_seconds = wait_seconds

    @contextmanager
    def turn(self, pixels: int, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the lock during the block if the picture is large, and return freed memory to the system afterwards.

        on_wait: called repeatedly during the wait. An exception that it raises ends the wait.
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
                os.close(descriptor)  # releases the lock

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
                time.sleep(POLL_SECONDS)
            else:
                return
