"""The end of a real uvicorn, with clients that stall and clients that do not."""

import asyncio
import socket
import threading
import time

import pytest
import uvicorn

from sam3d_bento.serving.shutdown import Shutdown
from tests.support.waiting import PATIENCE, until

STALL_SECONDS = 0.6
DOWNLOAD = bytes(40_000_000)


class Served:
    """uvicorn in a thread, with an app of three paths, and the shutdown of it.

    /wait answers when `release` is set; /download sends 40 MB; /upload reads the body. `over`: the work was ended.
    """

    def __init__(self, limit_seconds, ends_work):
        self.release, self.over = threading.Event(), threading.Event()
        self.loop = None
        self.requests = 0
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_level="critical", lifespan="off", interface="asgi3"))
        self.end = socket.create_server(("127.0.0.1", 0))
        self.address = self.end.getsockname()
        self.shutdown = Shutdown(
            self.connections, self.over.set if ends_work else int, limit_seconds, STALL_SECONDS, int
        )
        self.thread = threading.Thread(target=self.server.run, args=([self.end],))
        self.thread.start()

    async def app(self, scope, receive, send):
        self.loop = asyncio.get_running_loop()
        self.requests += 1
        body = b"done"
        if scope["path"] == "/wait":
            while not (self.release.is_set() or self.over.is_set()):
                await asyncio.sleep(0.01)
        elif scope["path"] == "/upload":
            while (await receive()).get("more_body"):
                pass
        else:
            body = DOWNLOAD
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    def connections(self):
        return self.server.server_state.connections

    def connect(self, head=b"", more=b""):
        """A connection; head: the method and the path of a request. Returns when that is at work."""
        before = self.requests
        connection = socket.create_connection(self.address, timeout=PATIENCE)
        if head:
            connection.sendall(head + b" HTTP/1.1\r\nHost: x\r\n" + more)
            until(lambda: self.requests > before)
        return connection

    def begin(self, **options):
        self.server.should_exit = True
        self.loop.call_soon_threadsafe(lambda: self.shutdown.begin(**options))

    def ended(self, seconds):
        self.thread.join(seconds)
        return not self.thread.is_alive()


@pytest.fixture
def serve():
    """A factory of servers; all are ended."""
    started = []

    def start(limit_seconds=30.0, ends_work=True):
        served = Served(limit_seconds, ends_work)
        started.append(served)
        return served

    yield start
    for served in started:
        served.release.set()
        served.over.set()
        served.server.should_exit = served.server.force_exit = True
        served.thread.join()
        served.end.close()


def test_clients_that_stall_are_cut_and_those_that_wait_are_answered(serve):
    served = serve()
    waiting = served.connect(b"GET /wait", b"\r\n")
    stalling = [
        served.connect(b"GET /download", b"\r\n"),
        served.connect(b"POST /upload", b"Content-Length: 100\r\n\r\nabc"),
        served.connect(),
    ]
    stalling[2].sendall(b"POST /upl")
    served.begin()
    until(lambda: len(served.connections()) == 1)
    threading.Event().wait(2 * STALL_SECONDS)
    assert not served.over.is_set()
    served.release.set()
    assert waiting.recv(100).startswith(b"HTTP/1.1 200")
    assert served.ended(PATIENCE)
    for connection in (waiting, *stalling):
        connection.close()


def test_a_client_that_is_slow_and_gets_on_is_not_cut(serve):
    served = serve()
    download = served.connect(b"GET /download", b"\r\n")
    upload = served.connect(b"POST /upload", b"Content-Length: 12\r\n\r\n")
    served.begin()
    received, gone = 0, time.monotonic() + 3 * STALL_SECONDS
    for _ in range(12):
        upload.sendall(b"x")
        received += len(download.recv(500_000))
        threading.Event().wait(STALL_SECONDS / 4)
    assert time.monotonic() > gone
    assert upload.recv(100).startswith(b"HTTP/1.1 200")
    while received < len(DOWNLOAD) and (chunk := download.recv(1_000_000)):
        received += len(chunk)
    assert received >= len(DOWNLOAD)
    assert served.ended(PATIENCE)
    upload.close()
    download.close()


@pytest.mark.parametrize("how", ["the limit is over", "at once", "at once, later"])
def test_at_its_limit_the_work_is_ended_and_its_clients_are_answered(serve, how):
    served = serve(0.3 if how == "the limit is over" else 60.0)
    waiting = served.connect(b"GET /wait", b"\r\n")
    served.begin(at_once=how == "at once")
    if how == "at once, later":
        served.begin(at_once=True)
    assert waiting.recv(100).startswith(b"HTTP/1.1 200")
    assert served.over.is_set()
    assert served.ended(PATIENCE)
    waiting.close()


def test_connections_left_after_the_limit_are_cut(serve):
    served = serve(0.1, ends_work=False)
    waiting = served.connect(b"GET /wait", b"\r\n")
    served.begin()
    until(lambda: not served.connections())
    assert waiting.recv(100) == b""
    served.release.set()
    assert served.ended(PATIENCE)
    waiting.close()
