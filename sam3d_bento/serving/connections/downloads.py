"""Cuts clients that take their answer too slowly: `SlowDownloads`.

A client that takes nothing is cut by the kernel (`limits`). One that takes a byte now and then would hold its
connection, and the file that it is sent, for years.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Any

from sam3d_bento import logs
from sam3d_bento.serving.connections import tcp
from sam3d_bento.serving.connections.tcp import Connection
from sam3d_bento.serving.middleware.upload_limit import GRACE_SECONDS, MIN_BYTES_PER_SECOND

LOOK_SECONDS = 5.0

log = logging.getLogger("sam3d_bento.connections")


class SlowDownloads:
    """Which clients have taken less than MIN_BYTES_PER_SECOND of an answer for GRACE_SECONDS and since its begin.

    So an answer takes no longer than GRACE_SECONDS or its bytes / MIN_BYTES_PER_SECOND, whichever is more. Time counts
    while bytes wait in this process: an event stream on which there is nothing to say may last. clock: monotonic.
    """

    def __init__(
        self, connections: Callable[[], Collection[Connection]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connections = connections
        self._clock = clock
        # The answer that is sent, since when, and the bytes that were acknowledged then.
        self._begun: dict[Connection, tuple[Any, float, int]] = {}

    async def watch(self) -> None:
        """Cut them, for as long as this task runs."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for connection in self.look():
                logs.event(log, "connection cut", logging.WARNING, reason="its download was too slow")
                connection.transport.abort()  # `close` would wait for what the client does not take

    def look(self) -> list[Connection]:
        """Look at the connections; return those to cut."""
        now = self._clock()
        before, self._begun = self._begun, {}
        slow = []
        for connection in list(self._connections()):
            taken = tcp.moved(connection.transport.get_extra_info("socket"))
            if taken is None or not connection.transport.get_write_buffer_size():
                continue
            answer, since, first = before.get(connection, (None, 0.0, 0))
            if answer is not connection.cycle:
                since, first = now, taken.acknowledged
            self._begun[connection] = (connection.cycle, since, first)
            spent = now - since
            if spent >= GRACE_SECONDS and taken.acknowledged - first < MIN_BYTES_PER_SECOND * spent:
                slow.append(connection)
        return slow
