"""The end of a real uvicorn, with clients that stall and clients that do not."""

import threading
import time

import pytest

from sam3d_bento.serving import shutdown
from sam3d_bento.serving.shutdown import Shutdown
from tests.support.served import DOWNLOAD, Served
from tests.support.waiting import PATIENCE, until

STALL_SECONDS = 0.6


class Ending(Served):
    """A server and the shutdown of it. `over`: the work was ended."""

    def __init__(self, limit_seconds, ends_work, give_up=int):
        super().__init__()
        self.shutdown = Shutdown(
            self.connections, self.over.set if ends_work else int, limit_seconds, STALL_SECONDS, give_up
        )

    def begin(self, **options):
        self.server.should_exit = True
        self.loop.call_soon_threadsafe(lambda: self.shutdown.begin(**options))


@pytest.fixture
def serve():
    """A factory of servers; all are ended."""
    started = []

    def start(limit_seconds=30.0, ends_work=True):
        served = Ending(limit_seconds, ends_work)
        started.append(served)
        return served

    yield start
    for served in started:
        served.end_now()


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


def test_the_end_needs_no_event_loop(monkeypatch):
    monkeypatch.setattr(shutdown, "EXIT_GRACE_SECONDS", 0.1)
    given_up = threading.Event()
    ending = Shutdown(list, int, 0.1, 0.05, given_up.set)
    ending.bound()  # and nobody runs a loop, in which `begin` would have a turn
    assert given_up.wait(PATIENCE)
