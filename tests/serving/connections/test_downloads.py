"""Clients of a real uvicorn that take their answer slowly."""

import threading

import pytest

from sam3d_bento.serving.connections import downloads
from sam3d_bento.serving.connections.downloads import SlowDownloads
from tests.support.served import DOWNLOAD, Served
from tests.support.waiting import until

# Whatever of the answer the kernel has taken meanwhile, it is too slow for so long.
ENOUGH_SECONDS = len(DOWNLOAD) / downloads.MIN_BYTES_PER_SECOND


@pytest.fixture
def served():
    served = Served()
    yield served
    served.end_now()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def look(served, watch):
    """Look in the server's thread, as `watch` does; the number of connections to cut."""
    found = []
    served.loop.call_soon_threadsafe(lambda: found.append(len(watch.look())))
    until(lambda: found)
    return found[0]


def test_who_takes_a_byte_now_and_then_is_cut_and_who_takes_kilobytes_is_not(served):
    clock = Clock()
    watch = SlowDownloads(served.connections, clock)
    slow, fast = (served.connect(b"GET /download", b"\r\n") for _ in range(2))
    idle, waiting = served.connect(), served.connect(b"GET /wait", b"\r\n")
    until(lambda: len(served.connections()) == 4)
    assert look(served, watch) == 0
    for _ in range(20):
        clock.now += downloads.GRACE_SECONDS / 20 + 0.1
        assert slow.recv(1)
        taken = 0
        while taken < 2 * downloads.MIN_BYTES_PER_SECOND * downloads.GRACE_SECONDS / 20:
            taken += len(fast.recv(1_000_000))
        threading.Event().wait(0.005)  # for the acknowledgement
        cut = look(served, watch)
    assert cut == 1
    for connection in (slow, fast, idle, waiting):
        connection.close()


def test_another_answer_on_the_connection_has_its_own_time(served):
    clock = Clock()
    watch = SlowDownloads(served.connections, clock)
    connection = served.connect(b"GET /download", b"\r\n")
    assert look(served, watch) == 0
    received = 0
    while received < len(DOWNLOAD):
        received += len(connection.recv(1_000_000))
    before = served.requests
    connection.sendall(b"GET /download HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: served.requests > before)
    clock.now += ENOUGH_SECONDS
    assert look(served, watch) == 0
    clock.now += ENOUGH_SECONDS
    assert look(served, watch) == 1
    connection.close()
