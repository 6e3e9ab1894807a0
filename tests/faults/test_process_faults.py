"""Any process of the service is killed, at any time; descriptors run out; SIGTERM comes while clients stall."""

import contextlib
import os
import re
import resource
import signal
import socket
import threading
import time

import httpx
import pytest

from tests.support import processes
from tests.support.asking import asking, connect, engine_pid, health, post, problem, request, service_pid, well
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.server, pytest.mark.faults]


def engines(server):
    """The engine process and the helpers that run now."""
    return {pid for pid in processes.tree(server.process.pid) if is_engine(pid)}


def is_engine(pid):
    with contextlib.suppress(OSError):
        return processes.ENGINE_PROGRAM in processes.command(pid)
    return False


def new_engine(server, known):
    (pid,) = until(lambda: engines(server) - known)
    return pid


def livez(server):
    return httpx.get(f"{server.url}/livez", timeout=PATIENCE).status_code


def mask(server, photo):
    return httpx.post(f"{server.url}/api/mask", files={"image": photo}, timeout=PATIENCE)


def in_thread(ask, *arguments):
    """Ask in a thread, which has `answer` when it has ended."""
    thread = threading.Thread(target=lambda: setattr(thread, "answer", ask(*arguments)))
    thread.start()
    return thread


# -- loads ------------------------------------------------------------------------------------------------------------


def test_processes_killed_while_they_load_are_replaced(start_faulty, photo):
    server = start_faulty()
    server.wait_until(503)
    first = new_engine(server, set())
    os.kill(first, signal.SIGKILL)
    assert well(server)["loads"] == 1
    assert post(server, photo).status_code == 200
    known = engines(server)
    asked = in_thread(mask, server, photo)
    os.kill(new_engine(server, known), signal.SIGKILL)
    asked.join()
    assert asked.answer.status_code == 200, "it has waited for the next load"
    assert livez(server) == 200
    assert health(server)["processes"].keys() == {"engine", "mask"}
    server.stop()


def test_a_helper_that_is_killed_at_every_load_is_said_by_health_and_livez(start_faulty, photo):
    server = start_faulty()
    well(server)
    known = engines(server)
    asked = in_thread(mask, server, photo)
    for losses in (1, 2, 3):
        os.kill(new_engine(server, known), signal.SIGKILL)
        until(lambda losses=losses: health(server)["processes"]["mask"]["losses"] == losses)
    asked.join()
    assert problem(asked.answer) == (503, "not_ready", True)
    assert livez(server) == 503
    report = health(server)
    assert (report["status"], report["losses"]) == ("ready", 0), "the engine is well"
    assert "mask process was lost 3 times in a row" in report["reason"]
    assert post(server, photo).status_code == 200
    until(lambda: livez(server) == 200)
    assert mask(server, photo).status_code == 200
    server.stop()


# -- descriptors ------------------------------------------------------------------------------------------------------


def test_a_shortage_of_descriptors_costs_a_503_and_no_traceback(start_faulty, photo):
    server = start_faulty()
    well(server)
    engine, service = engine_pid(server), service_pid(server)
    before = len(server.log.read_text())
    with server.client() as client:  # its connection is there already
        assert client.get("/health").status_code == 200
        soft, hard = resource.prlimit(service, resource.RLIMIT_NOFILE)
        resource.prlimit(service, resource.RLIMIT_NOFILE, (3, hard))
        try:
            os.kill(engine, signal.SIGKILL)
            until(lambda: client.get("/health").json()["losses"] >= 2)
            with connect(server):  # waits in the queue of the port
                answers = [
                    client.post("/api/inference", content=photo, headers={"content-type": "image/png"}),
                    client.post("/api/jobs", files={"image": bytes(3_000_000)}),
                    client.post("/api/mask", files={"image": photo}),
                    client.get("/studio/pages/main.js"),
                    client.get("/metrics"),
                    client.get("/livez"),
                ]
                threading.Event().wait(1.5)  # asyncio tries again after a second
        finally:
            resource.prlimit(service, resource.RLIMIT_NOFILE, (soft, hard))
        said = [(str(answer.request.url.path), answer.status_code) for answer in answers]
        *work, metrics, alive = (status for _, status in said)
        # 507: the form cannot be spooled, if it is read at all.
        assert set(work) <= {503, 507}, said
        # What cannot be read is absent from the metrics. /livez is 503 once the third load is lost.
        assert {metrics, alive} <= {200, 503}, said
        until(lambda: client.get("/health").status_code == 200)
    assert post(server, photo).status_code == 200
    said = server.log.read_text()[before:]
    assert "Traceback" not in said, said
    server.stop()


# -- kill -9 ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def a_run(server):
    """A request that runs during the block, in a thread that has its answer, if one came, afterwards."""

    def ask():
        with contextlib.suppress(httpx.TransportError):
            return post(server, b"nap:50")

    thread = in_thread(ask)
    until(lambda: health(server)["queue"]["running"])
    yield thread
    thread.join(PATIENCE)
    assert not thread.is_alive()


def gone(server, pids):
    """Wait until none of them is left, a short time."""
    give_up = time.monotonic() + 20
    while any(map(processes.alive, pids)):
        server.process.poll()
        assert time.monotonic() < give_up, [processes.command(pid) for pid in pids if processes.alive(pid)]
        threading.Event().wait(0.05)


def test_a_killed_supervisor_leaves_no_process_and_the_port_free(start_faulty, photo):
    server = start_faulty()
    well(server)
    mask(server, photo)  # a helper is there too
    pids = processes.tree(server.process.pid)
    assert len(pids) == 4
    with a_run(server) as running:
        os.kill(server.process.pid, signal.SIGKILL)
        gone(server, pids)
    assert problem(running.answer) == (503, "not_ready", True)
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, int(port)))
    assert list(server.work_dir.iterdir()) == []


def test_a_killed_service_takes_its_engines_along_and_is_replaced(start_faulty, photo):
    server = start_faulty()
    well(server)
    mask(server, photo)
    service = service_pid(server)
    pids = processes.tree(service)
    assert len(pids) == 3
    with a_run(server) as running:
        os.kill(service, signal.SIGKILL)
        gone(server, pids)
    assert running.answer is None
    well(server)
    assert post(server, photo).status_code == 200
    server.stop()


# -- SIGTERM ----------------------------------------------------------------------------------------------------------


def timed_stop(server):
    started = time.monotonic()
    status = server.stop()
    return status, time.monotonic() - started


def test_sigterm_cuts_clients_that_stall_and_answers_the_others(start_plain, start_faulty, photo):
    """They hold half an upload, a download that they do not read, half a head, and a connection without a request."""
    for server, run in ((start_plain(shutdown_seconds=40), photo), (start_faulty(shutdown_seconds=40), b"nap:7")):
        well(server)
        asset = post(server, b"large:30000000" if run != photo else photo).headers["x-asset-id"]
        with contextlib.ExitStack() as stack:
            upload, download, half, _ = (stack.enter_context(connect(server)) for _ in range(4))
            upload.sendall(request("/api/inference", 100_000) + b"abc")
            download.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            download.sendall(request(f"/api/assets/{asset}.glb", 0, method="GET"))
            half.sendall(b"POST /api/inf")
            running = asking(server, run)
            until(lambda server=server: server.log_lines("engine start")[1:])
            status, seconds = timed_stop(server)
        running.join()
        assert (status, running.answer.status_code) == (0, 200)
        assert seconds < 20


def test_sigterm_cancels_at_its_limit_what_still_runs_and_waits(start_faulty):
    server = start_faulty(shutdown_seconds=2)
    well(server)
    running = asking(server, b"hang")
    until(lambda: health(server)["queue"]["running"])
    waiting = asking(server, b"nap:0")
    until(lambda: health(server)["queue"]["waiting"])
    pids = processes.tree(server.process.pid)
    status, seconds = timed_stop(server)
    for thread in (running, waiting):
        thread.join()
        assert problem(thread.answer) == (503, "not_ready", True)
        assert int(thread.answer.headers["retry-after"]) > 0
    assert status == 0
    assert 2 <= seconds < 15
    assert not any(map(processes.alive, pids))
    assert list(server.work_dir.iterdir()) == []
    assert not re.search(r"Traceback| ERROR ", server.log.read_text())
