"""A connection: what uvicorn has of it, and what the kernel knows of it, how many bytes have moved on it."""

from __future__ import annotations

import socket
import struct
from typing import Any, NamedTuple

# struct tcp_info of linux/tcp.h: tcpi_bytes_acked and tcpi_bytes_received, since Linux 4.1.
TCP_BYTES = struct.Struct("=120x2Q")

# Protocol object of a uvicorn connection, with `transport`, `cycle` (the current request) and `flow`.
Connection = Any


class Moved(NamedTuple):
    """Bytes since the connection's begin: those that the peer has acknowledged, and those that have come from it."""

    acknowledged: int
    received: int


def moved(connection: socket.socket) -> Moved | None:
    """Return what has moved on a connection; None where that cannot be seen: not Linux, not TCP, closed."""
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_BYTES.size)
        return Moved(*TCP_BYTES.unpack(info))
    except (AttributeError, OSError, struct.error):
        return None
