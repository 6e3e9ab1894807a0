"""Cuts connections whose clients do not take what is sent to them.

uvicorn 0.54 waits for ever until a client has room for more, and BentoML 1.4.39 gives no way to its sockets. So the
protocols of uvicorn are told here, when a connection comes, to set the kernel's own limit.
"""

from __future__ import annotations

import asyncio
import functools
import socket
from importlib import import_module
from typing import Any

# Of a download that no byte of gets on. The kernel aborts the connection then, and the answer ends as when its client
# has gone away. A connection on which nothing is to be sent may be silent for as long as it likes.
WRITE_STALL_SECONDS = 30

PROTOCOLS = (
    ("uvicorn.protocols.http.h11_impl", "H11Protocol"),
    ("uvicorn.protocols.http.httptools_impl", "HttpToolsProtocol"),
)


def adopt() -> None:
    """Let all connections of this process's uvicorn have the limit. Calling it again does nothing."""
    for module, name in PROTOCOLS:
        try:
            protocol: Any = getattr(import_module(module), name)
        except ImportError:  # httptools is optional
            continue
        if not hasattr(protocol.connection_made, "__wrapped__"):
            protocol.connection_made = _limited(protocol.connection_made)


def _limited(connection_made: Any) -> Any:
    @functools.wraps(connection_made)
    def made(self: Any, transport: asyncio.Transport) -> None:
        connection_made(self, transport)
        limit(transport.get_extra_info("socket"))

    return made


def limit(connection: socket.socket | None) -> None:
    """Set TCP_USER_TIMEOUT (RFC 5482; tcp(7)): how long sent bytes may wait for the other side. Linux only."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if connection is not None and option is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, option, WRITE_STALL_SECONDS * 1000)
