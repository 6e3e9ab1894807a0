"""A wait for pipes that any thread can end."""

from __future__ import annotations

import contextlib
import socket
from multiprocessing.connection import wait
from typing import Any


class Waker:
    """One thread calls `wait`; any thread calls `wake`, which ends the wait of now, else the next one."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def wait(self, pipe: Any, seconds: float | None = None) -> None:
        """Return when the pipe has something or is closed, somebody has called `wake`, or the time is over."""
        if self._receiver in wait([pipe, self._receiver], seconds):
            self._receiver.recv(4096)

    def wake(self) -> None:
        """See the class."""
        with contextlib.suppress(BlockingIOError):  # a full buffer wakes as well
            self._sender.send(b"!")
