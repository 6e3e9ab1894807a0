"""Shut the service down after SIGTERM, within a known time.

    SIGTERM ──► running and waiting requests are answered ──► limit: the others get 503 ──► 5 s later: all are cut
                clients that stall for 5 s are cut            (at once if the supervisor is gone)

uvicorn closes the port and waits for its connections without a limit. A client that sends half an upload, or does not
read its download, would keep the process and its GPU occupied. So this module watches the connections and cuts stalled
ones. If anything else keeps the process from ending, such as a store that hangs or a blocked event loop, it exits
EXIT_GRACE_SECONDS later.

Everything except that exit runs in the server's event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from sam3d_bento import logs
from sam3d_bento.serving.connections import tcp
from sam3d_bento.serving.connections.tcp import Connection

# Time without progress after which a client counts as stalled. A client on a bad line resends within 3 seconds.
STALL_SECONDS = 5.0
# Pause between two checks of the connections.
CHECK_SECONDS = 0.25
# Time for BentoML and the engine processes to end and for files to be removed.
EXIT_GRACE_SECONDS = 15.0

log = logging.getLogger("sam3d_bento.shutdown")


class Shutdown:
    """Shutdown of the service, as the module's docstring describes.

    connections: returns the open connections. end_work: ends every job with an error; may take seconds.
    limit_seconds: how long requests are still answered. give_up: called in a thread after EXIT_GRACE_SECONDS.
    """

    def __init__(
        self,
        connections: Callable[[], Collection[Connection]],
        end_work: Callable[[], None],
        limit_seconds: float,
        stall_seconds: float = STALL_SECONDS,
        give_up: Callable[[], None] | None = None,
    ) -> None:
        self._connections = connections
        self._end_work = end_work
        self._limit_seconds = limit_seconds
        self._stall_seconds = stall_seconds
        self._give_up = give_up or _exit
        self._until = 0.0  # monotonic: when the work is cancelled
        self._task: asyncio.Task[None] | None = None
        self._bounded = False

    def bound(self) -> None:
        """Set the end of the process, from now on, without the event loop. For a signal handler, or any thread."""
        if not self._bounded:
            self._bounded = True
            self._give_up_after(self._limit_seconds + 2 * self._stall_seconds + EXIT_GRACE_SECONDS)

    def begin(self, *, at_once: bool = False) -> None:
        """Begin the shutdown. A second call has an effect only with `at_once`, which cancels the work now.

        To be called in the event loop.
        """
        if self._task is None:
            limit = 0.0 if at_once else self._limit_seconds
            logs.event(log, "shutting down", limit_seconds=limit, connections=len(self._connections()))
            self._until = time.monotonic() + limit
            self._task = asyncio.get_running_loop().create_task(self._end())
        elif at_once:
            self._until = 0.0

    async def _end(self) -> None:
        watch = Watch(self._stall_seconds)
        while time.monotonic() < self._until and self._connections():
            await self._cut_stalled(watch)
        self._give_up_after(self._stall_seconds + EXIT_GRACE_SECONDS)
        # A new thread, because all threads of a pool may be blocked.
        threading.Thread(target=self._end_work, name="end-of-work", daemon=True).start()
        give_up = time.monotonic() + self._stall_seconds
        while time.monotonic() < give_up and self._connections():
            await self._cut_stalled(watch)
        for connection in list(self._connections()):
            _cut(connection, "it was open at the end")

    def _give_up_after(self, seconds: float) -> None:
        last = threading.Timer(seconds, self._give_up)
        last.daemon = True
        last.start()

    async def _cut_stalled(self, watch: Watch) -> None:
        """Cut stalled connections, then pause."""
        for connection in watch.stalled(list(self._connections())):
            _cut(connection, f"nothing moved for {self._stall_seconds:g} seconds")
        await asyncio.sleep(CHECK_SECONDS)


class Watch:
    """Watch for connections whose client makes no progress."""

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._moved: dict[Connection, tuple[Any, float]] = {}

    def stalled(self, connections: list[Connection]) -> list[Connection]:
        """Check the connections; return those whose client has made no progress for too long."""
        now = time.monotonic()
        before, self._moved = self._moved, {}
        for connection in connections:
            seen = _progress(connection)
            known = before.get(connection)
            waits_for_us = _waits_for_us(connection) or seen is None
            self._moved[connection] = (seen, now) if known is None or waits_for_us or known[0] != seen else known
        return [one for one, (_, since) in self._moved.items() if now - since >= self._stall_seconds]


def _waits_for_us(connection: Connection) -> bool:
    """Return whether the client waits for the service: the request is complete, and no bytes are unsent."""
    cycle = connection.cycle
    if cycle is None or cycle.response_complete or connection.transport.get_write_buffer_size():
        return False
    return not cycle.more_body or cycle.waiting_for_100_continue or connection.flow.read_paused


def _progress(connection: Connection) -> tuple[int, ...] | None:
    """Return numbers that change with the progress of the connection; None if they are not available.

    They count the bytes that the peer has acknowledged, those received from it, and those not yet sent.
    """
    unsent = connection.transport.get_write_buffer_size()
    moved = tcp.moved(connection.transport.get_extra_info("socket"))
    if moved is None:
        return (unsent,) if unsent else None
    if not moved.received and connection.cycle is not None:  # the request's bytes are not counted here
        return (unsent,) if unsent else None
    return *moved, unsent


def _cut(connection: Connection, reason: str) -> None:
    logs.event(log, "connection cut", logging.WARNING, reason=reason)
    connection.transport.abort()  # `close` would wait until the client has read all bytes


def _exit() -> None:
    logs.event(log, "the process did not end in time and exits now", logging.ERROR)
    os._exit(1)  # ends the engine processes too
