"""The end of the service after SIGTERM, in a time that is known beforehand.

    SIGTERM ──► requests that run and wait are answered ──► limit: the rest is cancelled, 503 ──► 5 s later: all is cut
                clients that stall for 5 s are cut          (at once when the supervisor is gone)

uvicorn closes the port and waits for its connections to end, without a limit: whoever sends half an upload, or does not
read its download, would hold the process, and with it the GPU. So this looks at the connections until they are gone.
Whatever else holds the process up (a store that hangs, say), it ends EXIT_GRACE_SECONDS after all that, also when the
event loop is held up and gets to nothing of it.

Everything but the last happens in the server's event loop.
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

# No progress for so long: a client on a bad line resends within three.
STALL_SECONDS = 5.0
LOOK_SECONDS = 0.25
# For the end of BentoML, the removal of files, the end of the engine processes.
EXIT_GRACE_SECONDS = 15.0

log = logging.getLogger("sam3d_bento.shutdown")

# A connection of uvicorn's: its protocol object, with `transport`, `cycle` (the request that is answered) and `flow`.
Connection = Any


class Shutdown:
    """See the module's docstring.

    connections: returns those that are open. end_work: ends every job with an error; may take seconds.
    limit_seconds: how long requests are answered. give_up: called in a thread EXIT_GRACE_SECONDS after all that.
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
        """Begin; the second time, only `at_once` has an effect: to cancel the work now. For the event loop."""
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
        # Not in a pool: its threads may all be held up.
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
        """Cut the clients that stall, and let a moment pass."""
        for connection in watch.stalled(list(self._connections())):
            _cut(connection, f"nothing moved for {self._stall_seconds:g} seconds")
        await asyncio.sleep(LOOK_SECONDS)


class Watch:
    """Which connections wait for their client, and since when nothing has moved there."""

    def __init__(self, stall_seconds: float) -> None:
        self._stall_seconds = stall_seconds
        self._moved: dict[Connection, tuple[Any, float]] = {}

    def stalled(self, connections: list[Connection]) -> list[Connection]:
        """Look at the connections; return those on which the client has moved nothing for too long."""
        now = time.monotonic()
        before, self._moved = self._moved, {}
        for connection in connections:
            seen = _progress(connection)
            known = before.get(connection)
            waits_for_us = _waits_for_us(connection) or seen is None
            self._moved[connection] = (seen, now) if known is None or waits_for_us or known[0] != seen else known
        return [one for one, (_, since) in self._moved.items() if now - since >= self._stall_seconds]


def _waits_for_us(connection: Connection) -> bool:
    """Return whether the next step is the service's: the request has come whole, and what was answered has gone."""
    cycle = connection.cycle
    if cycle is None or cycle.response_complete or connection.transport.get_write_buffer_size():
        return False
    return not cycle.more_body or cycle.waiting_for_100_continue or connection.flow.read_paused


def _progress(connection: Connection) -> tuple[int, ...] | None:
    """Return numbers that change when bytes move on the connection; None where that cannot be seen.

    Bytes that the peer has acknowledged, bytes that have come from it, bytes that wait in this process.
    """
    unsent = connection.transport.get_write_buffer_size()
    moved = tcp.moved(connection.transport.get_extra_info("socket"))
    if moved is None:
        return (unsent,) if unsent else None
    if not moved.received and connection.cycle is not None:  # a request has come, in bytes that are not counted here
        return (unsent,) if unsent else None
    return *moved, unsent


def _cut(connection: Connection, reason: str) -> None:
    logs.event(log, "connection cut", logging.WARNING, reason=reason)
    connection.transport.abort()  # `close` would wait for what the client does not read


def _exit() -> None:
    logs.event(log, "the process is ended: something held it up", logging.ERROR)
    os._exit(1)  # the engine processes go with it
