"""Limits of uvicorn's connections, for which uvicorn 0.54 and BentoML 1.4.40 have no setting.

A client that takes nothing of what is sent to it is waited for without end. A body in chunks of a byte costs 50
microseconds for each in h11, before any ASGI app sees one: a quarter of a megabyte stops the event loop for two
seconds. So uvicorn's protocol is told here, when a connection comes, to set limits.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import time
from collections.abc import Callable
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# Of a download that no byte of gets on. The kernel aborts the connection then, and the answer ends as when its client
# has gone away. A connection on which nothing is to be sent may be silent for as long as it likes.
WRITE_STALL_SECONDS = 30
# Of a body: so many chunks are free, for programs that write the heads of a form piece by piece, 10 ms of the event
# loop for all; and one in so many bytes more.
FREE_CHUNKS = 200
MIN_BYTES_PER_CHUNK = 16


def adopt() -> None:
    """Let all connections of this process's uvicorn have the limits. Calling it again does nothing."""
    protocol: Any = H11Protocol
    if not hasattr(protocol.connection_made, "__wrapped__"):
        protocol.connection_made = _limited(protocol.connection_made)


def _limited(connection_made: Any) -> Any:
    @functools.wraps(connection_made)
    def made(self: Any, transport: asyncio.Transport) -> None:
        connection_made(self, transport)
        self.came = time.monotonic()  # for `Acceptor`
        limit_writes(transport.get_extra_info("socket"))
        self.conn.next_event = limit_chunks(self.conn.next_event, transport.abort)

    return made


def limit_writes(connection: socket.socket | None) -> None:
    """Set TCP_USER_TIMEOUT (RFC 5482; tcp(7)): how long sent bytes may wait for the other side. Linux only."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if connection is not None and option is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, option, WRITE_STALL_SECONDS * 1000)


def limit_chunks(next_event: Callable[[], Any], abort: Callable[[], None]) -> Callable[[], Any]:
    """Return `next_event` of an h11 connection, which aborts it when a body comes in too many small chunks."""
    chunks = size = 0

    def limited() -> Any:
        nonlocal chunks, size
        event = next_event()
        if isinstance(event, h11.Request):
            chunks = size = 0
        elif isinstance(event, h11.Data):
            chunks += 1
            size += len(event.data)
            if chunks > FREE_CHUNKS + size / MIN_BYTES_PER_CHUNK:
                abort()
                return h11.NEED_DATA
        return event

    return limited
