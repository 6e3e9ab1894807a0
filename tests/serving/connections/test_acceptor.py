"""Crowds of connections to a real uvicorn that accepts them as the service does."""

import json
import socket
import threading

import pytest

from sam3d_bento.serving.connections import acceptor, limits
from tests.support.served import Served
from tests.support.waiting import PATIENCE, until

MOST_OPEN = 20
ALIVE = {"/livez": lambda: True, "/readyz": lambda: False}


@pytest.fixture
def served(monkeypatch):
    # These change uvicorn for the whole process.
    monkeypatch.setattr(acceptor.uvicorn.Server, "startup", acceptor.uvicorn.Server.startup)
    monkeypatch.setattr(limits.H11Protocol, "connection_made", limits.H11Protocol.connection_made)
    limits.adopt()
    monkeypatch.setattr(acceptor, "_adopted", None)
    acceptor.prepare()
    acceptor.adopt(MOST_OPEN, ALIVE)
    served = Served()
    yield served
    served.end_now()


def ask(served, path):
    """The whole answer to a GET on a connection of its own."""
    with socket.create_connection(served.address, timeout=PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


def fill(served):
    """As many requests at work as connections may be open."""
    held = [served.connect(b"GET /wait", b"\r\n") for _ in range(MOST_OPEN)]
    until(lambda: len(served.connections()) == MOST_OPEN)
    return held


def test_where_all_connections_have_a_request_the_next_is_busy_and_probes_are_answered(served):
    held = fill(served)
    head, _, body = ask(served, "/").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: " in head
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"], problem["retryable"]) == (429, "busy", True)
    assert problem["request_id"]
    assert ask(served, "/livez").startswith(b"HTTP/1.1 200 ")
    assert ask(served, "/readyz").startswith(b"HTTP/1.1 503 ")
    served.release.set()
    for connection in held:
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        connection.close()
    until(lambda: ask(served, "/").startswith(b"HTTP/1.1 200 "))


def test_connections_without_a_request_make_room_the_oldest_first(served):
    held = []
    for _ in range(MOST_OPEN):
        connection = socket.create_connection(served.address, timeout=PATIENCE)
        connection.sendall(b"GET /half HTTP/1.1\r\n")
        held.append(connection)
        until(lambda: len(served.connections()) == len(held))
    until(lambda: ask(served, "/").startswith(b"HTTP/1.1 200 "))  # the others have had their time for a head
    assert held[0].recv(100) == b""
    held[-1].sendall(b"Host: x\r\nConnection: close\r\n\r\n")
    assert held[-1].recv(100).startswith(b"HTTP/1.1 200 ")
    for connection in held:
        connection.close()


def test_each_of_a_crowd_is_answered_and_who_has_gone_costs_no_request(served):
    crowd_is_there = stop_the_loop(served)
    before = served.requests
    asking = []
    for _ in range(acceptor.MOST_IN_LINE + 4 * acceptor.STARTS_PER_TURN):
        socket.create_connection(served.address, timeout=PATIENCE).close()
        asking.append(socket.create_connection(served.address, timeout=PATIENCE))
        asking[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    crowd_is_there.set()
    statuses = [connection.recv(100).split()[1] for connection in asking]
    assert set(statuses) == {b"200", b"429"}
    assert statuses[0] == b"200"
    assert served.requests - before == statuses.count(b"200")
    for connection in asking:
        connection.close()
    until(lambda: ask(served, "/").startswith(b"HTTP/1.1 200 "))


def test_a_probe_overtakes_the_crowd(served):
    crowd_is_there = stop_the_loop(served)
    crowd = [socket.create_connection(served.address, timeout=PATIENCE) for _ in range(100)]
    for connection in crowd:
        connection.sendall(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    probe = socket.create_connection(served.address, timeout=PATIENCE)
    probe.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    before = served.requests
    crowd_is_there.set()
    assert probe.recv(100).startswith(b"HTTP/1.1 200 ")
    assert served.requests - before <= MOST_OPEN
    for connection in (*crowd, probe):
        connection.close()


def stop_the_loop(served):
    """Stop the server's event loop until the event that this returns is set."""
    assert ask(served, "/").startswith(b"HTTP/1.1 200 ")  # the loop is known from then on
    stopped, go_on = threading.Event(), threading.Event()
    served.loop.call_soon_threadsafe(lambda: (stopped.set(), go_on.wait(PATIENCE)))
    assert stopped.wait(PATIENCE)
    return go_on
