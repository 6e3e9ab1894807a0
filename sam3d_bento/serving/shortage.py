"""A shortage of what the operating system lends: descriptors, memory for them, threads.

It passes by itself. A request that meets one is answered 503; the log has a line, for a traceback leads nowhere.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from typing import Any

from sam3d_bento import logs
from sam3d_bento.errors import NotReady

NUMBERS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# What CPython's `Thread.start` raises when the system has no thread to give.
NO_THREAD = "can't start new thread"
RETRY_AFTER_SECONDS = 5
# asyncio fails to accept thousands of connections a second while descriptors are short.
QUIET_SECONDS = 10.0

log = logging.getLogger("sam3d_bento.shortage")


def is_shortage(exc: BaseException | None) -> bool:
    """Return whether the exception says that the system had nothing left to lend."""
    if isinstance(exc, OSError):
        return exc.errno in NUMBERS
    return isinstance(exc, RuntimeError) and str(exc) == NO_THREAD


def refusal() -> NotReady:
    """Return what a client is answered."""
    detail = "The server has too many files and connections open, or too little memory. Try again."
    return NotReady(detail, retry_after_seconds=RETRY_AFTER_SECONDS)


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Let the loop log a line, now and then, where it would log a traceback for each connection that it cannot take."""
    before = loop.get_exception_handler()
    quiet_until = 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal quiet_until
        exc = context.get("exception")
        if is_shortage(exc):
            if time.monotonic() >= quiet_until:
                quiet_until = time.monotonic() + QUIET_SECONDS
                logs.event(log, "connections wait", logging.WARNING, reason=str(exc))
        elif before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
