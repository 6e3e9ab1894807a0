"""Accepts connections in place of asyncio, so that a flood of new ones does not hold up those that are there.

asyncio takes up to 2,048 connections a turn of the event loop and starts all of them. A request costs about a
millisecond, so a turn took seconds, and a probe that came last waited for many turns. Here a turn empties the kernel's
queue, or half of a full one, and starts a few; the others stand in a short line. What the line has no room for is
answered `busy` at once. Taking a connection and refusing it costs some 30 microseconds. `/livez` and `/readyz` never
stand in the line: their answer is known here.

    kernel's queue ──► Acceptor ──► uvicorn, the first STARTS_PER_TURN of a turn
                          │  └────► the line, at most MOST_IN_LINE; whoever asks a probe is answered, whoever has gone
                          └───────► 429: the line is full      is let go
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

import uvicorn

from sam3d_bento import logs
from sam3d_bento.errors import Busy
from sam3d_bento.serving import problems, shortage
from sam3d_bento.serving.connections.tcp import Connection

# A turn with so many requests takes some 3 ms, and ten times that where other programs want the processor.
STARTS_PER_TURN = 4
# Half of the kernel's queue where net.core.somaxconn is 4096, Linux's default. A turn that takes so many takes some
# 60 ms. With 512 the queue overflowed about twice as often, and the kernel made each client that it dropped wait for a
# second.
ACCEPTS_PER_TURN = 2048
# Connections that stand here wait for at most a quarter of a second of work.
MOST_IN_LINE = 256
# The longest that the kernel allows; it cuts it to net.core.somaxconn. What finds no room there tries again after a
# second, 2, 4, ...
LISTEN_BACKLOG = 65535
# The kernel hands out a connection when bytes have come, or after this: who opens connections and says nothing takes
# nothing from this process until then.
SILENT_SECONDS = 5
# The system is asked again for what it had none left of.
SHORTAGE_PAUSE_SECONDS = 0.2
RETRY_AFTER_SECONDS = 2
# So long a connection may take to bring its request before another may have its place: a few round trips.
HEAD_SECONDS = 0.5
# Of a line in the log.
QUIET_SECONDS = 10.0
FIRST_BYTES = 4096

log = logging.getLogger("sam3d_bento.connections")

# Returns whether the answer is 200; else it is 503.
Probe = Callable[[], bool]


# Arguments of the acceptors of this process, by `adopt`. None: asyncio accepts, as it does by itself.
_adopted: tuple[int, Mapping[str, Probe]] | None = None


def prepare() -> None:
    """Let this process's uvicorn see to `adopt` when it has started. Call it before uvicorn starts."""
    server: Any = uvicorn.Server
    if not hasattr(server.startup, "__wrapped__"):
        server.startup = _accepted_here(server.startup)


def adopt(most_open: int, probes: Mapping[str, Probe]) -> None:
    """Let this process's uvicorn take its connections with an `Acceptor`, whose arguments these are.

    Call it while uvicorn starts at the latest: BentoML makes the service in the lifespan's start.
    """
    global _adopted  # uvicorn has no place of its own for it
    _adopted = most_open, probes


def _accepted_here(startup: Any) -> Any:
    @functools.wraps(startup)
    async def started(self: uvicorn.Server, sockets: list[socket.socket] | None = None) -> None:
        await startup(self, sockets=sockets)
        if _adopted is None:
            return
        most_open, probes = _adopted
        loop = asyncio.get_running_loop()
        config, state = self.config, self.server_state

        def protocol() -> asyncio.Protocol:
            made: Any = config.http_protocol_class
            protocol: asyncio.Protocol = made(config=config, server_state=state, app_state=self.lifespan.state)
            return protocol

        def start(connection: socket.socket) -> Coroutine[Any, Any, Any]:
            return loop.connect_accepted_socket(protocol, connection, ssl=config.ssl)

        for listener in sockets or []:
            answered = {} if config.ssl else probes
            Acceptor(listener, start, lambda: state.connections, most_open, answered).begin()

    return started


class Acceptor:
    """See the module's docstring. For the event loop.

    listener: a listening socket that does not block. start: lets the server have a connection. open_connections:
    returns those that the server has. most_open: so many it may have; more are let in only in the place of those that
    wait for a request. probes: what is answered here, by path; empty where the first bytes are not HTTP.
    """

    def __init__(
        self,
        listener: socket.socket,
        start: Callable[[socket.socket], Coroutine[Any, Any, Any]],
        open_connections: Callable[[], Collection[Connection]],
        most_open: int,
        probes: Mapping[str, Probe],
    ) -> None:
        self._listener = listener
        self._start = start
        self._open = open_connections
        self._most_open = most_open
        self._probes = {f"GET {path} HTTP/1.".encode(): probe for path, probe in probes.items()}
        self._loop = asyncio.get_running_loop()
        self._line: deque[socket.socket] = deque()
        self._starting: set[asyncio.Task[Any]] = set()
        self._refused = 0
        self._quiet_until = 0.0

    def begin(self) -> None:
        """Take the listener over from asyncio, which goes on to close it at the end."""
        self._listener.listen(LISTEN_BACKLOG)
        option = getattr(socket, "TCP_DEFER_ACCEPT", None)  # tcp(7); Linux only
        if option is not None and self._listener.family in (socket.AF_INET, socket.AF_INET6):
            self._listener.setsockopt(socket.IPPROTO_TCP, option, SILENT_SECONDS)
        self._watch()

    def _watch(self) -> None:
        if self._listener.fileno() >= 0:  # the server has not closed it
            self._loop.remove_reader(self._listener)
            self._loop.add_reader(self._listener, self._take_turn)

    def _take_turn(self) -> None:
        """Take what waits in the kernel's queue, and start the first of it."""
        standing = len(self._line)
        for number in range(ACCEPTS_PER_TURN):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as exc:
                if not shortage.is_shortage(exc):
                    raise
                self._wait_for_room(exc)
                break
            connection.setblocking(False)
            if not standing and number < STARTS_PER_TURN:
                self._line.append(connection)
            elif not self._settle(connection):
                self._line_up(connection)
        if not standing:  # else the loop has its next step already
            self._start_some()

    def _wait_for_room(self, exc: OSError) -> None:
        """Leave the kernel's queue alone for a moment."""
        self._loop.call_exception_handler({"message": "no connection can be taken", "exception": exc})
        self._loop.remove_reader(self._listener)
        self._loop.call_later(SHORTAGE_PAUSE_SECONDS, self._watch)

    def _line_up(self, connection: socket.socket) -> None:
        if len(self._line) < MOST_IN_LINE:
            self._line.append(connection)
        else:
            self._refuse(connection)

    def _settle(self, connection: socket.socket) -> bool:
        """Answer who asks a probe, and close a connection whose client has gone; return whether it was one of both."""
        try:
            first = connection.recv(FIRST_BYTES, socket.MSG_PEEK)
        except BlockingIOError:  # nothing has come yet
            return False
        except OSError:
            first = b""
        if not first:
            connection.close()
            return True
        probe = self._probe(first)
        if probe is not None:
            _answer(connection, HEALTHY if probe() else UNHEALTHY)
        return probe is not None

    def _probe(self, first: bytes) -> Probe | None:
        """Return the probe that a request asks, when its head has come whole."""
        if not first.endswith(b"\r\n\r\n"):
            return None
        return next((probe for start, probe in self._probes.items() if first.startswith(start)), None)

    def _start_some(self) -> None:
        """Let the server have the first of the line; the others have their turn after it."""
        if self._listener.fileno() < 0:  # the server ends, and takes nothing any more
            while self._line:
                self._line.popleft().close()
        count = min(STARTS_PER_TURN, len(self._line))
        room = self._most_open - len(self._open()) - len(self._starting)
        if room < count:
            room += self._cut_unasking(count - max(room, 0))
        for number in range(count):
            connection = self._line.popleft()
            if number < room:
                task = self._loop.create_task(self._start(connection))
                self._starting.add(task)
                task.add_done_callback(self._started)
            elif not self._settle(connection):
                self._refuse(connection)
        if self._line:
            self._loop.call_soon(self._start_some)

    def _started(self, task: asyncio.Task[Any]) -> None:
        self._starting.discard(task)
        if not task.cancelled() and task.exception() is not None:  # the client has gone, or a TLS handshake failed
            log.debug("a connection could not be started", exc_info=task.exception())

    def _cut_unasking(self, count: int) -> int:
        """Cut up to so many connections that have waited for a request, the oldest first; return how many."""
        before = time.monotonic() - HEAD_SECONDS
        unasking = [one for one in self._open() if one.came < before and _is_unasking(one)]
        unasking.sort(key=lambda one: one.came)
        for connection in unasking[:count]:
            connection.transport.abort()
        self._note_refusals(len(unasking[:count]))
        return len(unasking[:count])

    def _refuse(self, connection: socket.socket) -> None:
        _answer(connection, _refusal())
        self._note_refusals(1)

    def _note_refusals(self, count: int) -> None:
        self._refused += count
        if self._refused and time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            logs.event(log, "too many connections", logging.WARNING, refused=self._refused, open=len(self._open()))
            self._refused = 0


def _is_unasking(connection: Connection) -> bool:
    return connection.cycle is None or connection.cycle.response_complete


def _answer(connection: socket.socket, content: bytes) -> None:
    """Send a short answer and close the connection."""
    with contextlib.suppress(OSError):
        connection.recv(FIRST_BYTES)  # unread bytes would make the close a reset, which may overtake the answer
        connection.send(content)
    connection.close()


def _response(status: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return an HTTP/1.1 response after which the connection is closed."""
    fields = {**headers, "Content-Length": str(len(body)), "Cache-Control": "no-store", "Connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def _refusal() -> bytes:
    identity = secrets.token_hex(8)
    error = Busy("Too many connections come in. Try again later.", retry_after_seconds=RETRY_AFTER_SECONDS)
    headers = {"Content-Type": problems.MEDIA_TYPE, "Retry-After": str(RETRY_AFTER_SECONDS), "X-Request-Id": identity}
    return _response("429 Too Many Requests", headers, json.dumps(problems.document(error, identity)).encode())


TEXT = {"Content-Type": "text/plain; charset=utf-8"}
HEALTHY = _response("200 OK", TEXT, b"\n")
UNHEALTHY = _response("503 Service Unavailable", TEXT, b"\n")
