"""Clients that go away: while they send, while they wait, while they are answered."""

import contextlib
import os
import select
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.support.asking import asking, connect, descriptors, files_below, health, post, request, service_pid, well
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.server, pytest.mark.faults]


def reset(connection):
    """Close so that the other side is told at once that nobody reads any more."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_client_that_goes_away_while_it_sends_leaves_nothing(faulty, photo):
    well(faulty)
    post(faulty, photo)  # from the first request on, a file of metrics is open
    before, faults = descriptors(service_pid(faulty)), len(faulty.log_lines("Traceback"))
    form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + bytes(3_000_000)
    for n in range(10):
        connection = connect(faulty)
        head = request("/api/inference", 4_000_000, X_Request_Id=f"sends-{n}").replace(
            b"image/png", b"multipart/form-data; boundary=x"
        )
        connection.sendall(head + form)
        reset(connection)
    until(lambda: all(faulty.log_lines(f"request done request_id=sends-{n} ") for n in range(10)))
    assert files_below(faulty.work_dir) == []
    until(lambda: descriptors(service_pid(faulty)) <= before)
    assert len(faulty.log_lines("Traceback")) == faults
    assert post(faulty, photo).status_code == 200


def answers(connections, chunk):
    """Send `chunk` on each of them now and then, until the other side has closed it; what came on each."""
    give_up = time.monotonic() + PATIENCE
    came = dict.fromkeys(connections, b"")
    waiting = set(connections)
    while waiting:
        assert time.monotonic() < give_up, "no answer came"
        readable, _, _ = select.select(waiting, [], [], 0.5)
        for connection in readable:
            content = b""
            with contextlib.suppress(ConnectionError):  # closed while we sent
                content = connection.recv(65536)
            came[connection] += content
            if not content:
                waiting.remove(connection)
        for connection in waiting.difference(readable):
            with contextlib.suppress(ConnectionError):
                connection.sendall(chunk)
    return came.values()


@pytest.mark.parametrize(
    ("chunk", "reason"), [(b"", b"No data came for 4 seconds"), (b"x", b"came at less than 4000 bytes a second")]
)
def test_a_client_that_holds_its_upload_back_is_let_go(faulty, chunk, reason):
    """Silence, and a byte now and then: to all routes with a body, with the limits of faulty_service."""
    well(faulty)
    connections = [connect(faulty) for _ in range(3)]
    for connection, path in zip(connections, ("/api/inference", "/api/jobs", "/api/mask"), strict=True):
        connection.sendall(request(path, 1000) + b"x")
    for answer in answers(connections, chunk):
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer.lower()
        assert reason in answer
    for connection in connections:
        connection.close()


def test_connections_without_a_request_do_not_keep_others_waiting(faulty, photo):
    """uvicorn 0.54 waits for the end of a head without a limit: such a connection costs a descriptor, and no more."""
    well(faulty)
    with contextlib.ExitStack() as stack:
        for n in range(200):
            connection = stack.enter_context(connect(faulty))
            connection.sendall(b"POST /api/inference HTTP/1.1\r\nHost: x\r\nX-Slow: "[: n % 60])
        assert post(faulty, photo).status_code == 200
    before = descriptors(service_pid(faulty))
    until(lambda: descriptors(service_pid(faulty)) <= max(before - 150, 60))


def test_a_client_that_goes_away_while_it_waits_gives_its_place_back(faulty, photo):
    well(faulty)
    running = asking(faulty, b"nap:2")
    until(lambda: health(faulty)["queue"]["running"])
    with connect(faulty) as connection:
        connection.sendall(request("/api/inference", len(photo)) + photo)
        until(lambda: health(faulty)["queue"]["waiting"] == 1)
        reset(connection)
    until(lambda: health(faulty)["queue"]["waiting"] == 0)
    assert health(faulty)["queue"]["running"] == 1, "the one before runs on"
    running.join()
    assert running.answer.status_code == 200


def test_a_client_that_goes_away_during_its_run_stops_it(faulty, photo):
    well(faulty)
    with connect(faulty) as connection:
        connection.sendall(request("/api/inference", len(b"nap:3.9"), X_Request_Id="leaves") + b"nap:3.9")
        until(lambda: (health(faulty)["run"] or {}).get("stage") == "reconstruct")
        reset(connection)
    until(lambda: faulty.log_lines("request done request_id=leaves "))
    assert post(faulty, photo).status_code == 200
    assert "outcome=cancelled" in faulty.log_lines("request done request_id=leaves ")[0]


def test_clients_that_go_away_during_a_download_hold_no_file_open(faulty, photo):
    well(faulty)
    asset = post(faulty, b"large:8000000").headers["x-asset-id"]
    pid = service_pid(faulty)

    def held():
        links = [Path(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
        return sum(os.readlink(link).endswith(f"{asset}.glb") for link in links if os.path.lexists(link))

    for _ in range(10):
        connection = connect(faulty)
        connection.sendall(request(f"/api/assets/{asset}.glb", 0, method="GET"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        reset(connection)
    until(lambda: held() == 0)
    assert post(faulty, photo).status_code == 200
