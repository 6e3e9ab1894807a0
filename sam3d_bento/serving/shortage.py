"""Handle a shortage of descriptors, kernel memory or threads.

A shortage ends by itself. Requests get a 503 in the meantime. The log gets a line without a traceback.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import Any

from sam3d_bento import logs
from sam3d_bento.errors import NotReady

# Error numbers of a shortage.
NUMBERS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Message of the RuntimeError that CPython's `Thread.start` raises if no thread can be started.
NO_THREAD = "can't start new thread"
RETRY_AFTER_SECONDS = 5
# Pause between two log lines. During a shortage, asyncio fails to accept thousands of connections a second.
QUIET_SECONDS = 10.0

log = logging.getLogger("sam3d_bento.shortage")


def is_shortage(exc: BaseException | None) -> bool:
    """Return whether the exception reports a shortage."""
    if isinstance(exc, OSError):
        return exc.errno in NUMBERS
    return isinstance(exc, RuntimeError) and str(exc) == NO_THREAD


def refusal() -> NotReady:
    """Return the error for clients."""
    detail = "The server has too many files and connections open, or too little memory. Try again."
    return NotReady(detail, retry_after_seconds=RETRY_AFTER_SECONDS)


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop log an occasional line instead of a traceback for each connection that it cannot accept."""
    before = loop.get_exception_handler()
    quiet_until = 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal quiet_until
        exc = context.get("exception")
        if is_shortage(exc):
            if time.monotonic() >= quiet_until:
                quiet_until = time.monotonic() + QUIET_SECONDS
                logs.event(log, "connections cannot be accepted now", logging.WARNING, reason=str(exc))
        elif before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
