"""Jobs over a real server process: streams that are cut, clients that are killed, a service that is."""

import io
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
import trimesh
from click.testing import CliRunner
from PIL import Image

from sam3d_bento.cli.main import main
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.server

SMALL = {"target_faces": "1000", "texture_size": "512"}
RED = (220, 30, 30)


def submit(client, photo, **options):
    answer = client.post("/api/jobs", files={"image": photo}, data={**SMALL, **options})
    assert answer.status_code == 202, answer.text
    return answer.json()


def ended(client, job):
    def look():
        state = client.get(job["links"]["self"]).json()
        return state if state["state"] in ("done", "failed", "cancelled") else None

    return until(look)


def test_events_come_while_the_job_runs_and_the_service_stays_quick(server, coffee):
    with server.client() as client:
        job = submit(client, coffee.read_bytes(), target_faces="40000")
        stages, slowest = [], 0.0
        with client.stream("GET", job["links"]["events"]) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    state = json.loads(line[6:])
                    stages.append(state["stage"])
                    if state["state"] == "running":
                        started = time.perf_counter()
                        assert client.get(job["links"]["self"]).status_code == 200
                        slowest = max(slowest, time.perf_counter() - started)
        assert state["state"] == "done"
        assert "reconstruct" in stages
        assert "export" in stages
        assert slowest < 2, "a poll does not wait for the run"
        assert client.get(state["links"]["asset"]).content.startswith(b"glTF")
        path = f"/api/assets/{state['report']['id']}"
        assert Image.open(io.BytesIO(client.get(f"{path}.webp").content)).size == (512, 512)
        stl = client.post(f"{path}/export", json={"format": "stl", "target_faces": 2000}).content
        assert 1000 < len(trimesh.load_mesh(io.BytesIO(stl), file_type="stl").faces) <= 2000


def test_a_stream_that_is_closed_ends_in_the_service_too_and_does_not_cancel(server, coffee):
    host, port = server.url.removeprefix("http://").split(":")
    with server.client() as client:
        first = submit(client, coffee.read_bytes(), target_faces="40000")
        waiting = submit(client, coffee.read_bytes())
        with socket.create_connection((host, int(port))) as connection:
            path = waiting["links"]["events"]
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Request-Id: cut-off\r\n\r\n".encode())
            received = b""
            while b'"queued"' not in received:
                received += connection.recv(65536)
            assert not server.log_lines("request done request_id=cut-off")
        until(lambda: server.log_lines("request done request_id=cut-off"))
        assert client.get(first["links"]["self"]).json()["state"] in ("queued", "running")
        assert [ended(client, job)["state"] for job in (first, waiting)] == ["done", "done"]


def test_a_service_that_is_killed_leaves_no_job_and_its_results(start_server, disc, tmp_path):
    folders = {"work_dir": tmp_path / "work", "output_dir": tmp_path / "outputs"}
    server = start_server(**folders)
    server.wait_until(200)
    with server.client() as client:
        done = ended(client, submit(client, disc(RED)))
        lost = [submit(client, disc(RED)) for _ in range(3)]
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for pid in (server.process.pid, *map(int, children)):  # BentoML's supervisor and the service
        os.kill(pid, signal.SIGKILL)
    server.process.wait(PATIENCE)
    successor = start_server(**folders)
    successor.wait_until(200)
    with successor.client() as client:
        for job in (done, *lost):
            answer = client.get(job["links"]["self"])
            assert (answer.status_code, "restarted" in answer.json()["detail"]) == (404, True)
        assert client.get(done["links"]["asset"]).status_code == 200
        assert client.get("/health").json()["queue"]["waiting"] == 0
    assert len(list((tmp_path / "work").iterdir())) == 1, "the files of the dead are removed"
    successor.stop()


def test_sigterm_ends_open_streams_with_their_jobs(start_server, coffee):
    server = start_server()
    server.wait_until(200)
    heard = []

    def listen(job):
        with server.client() as client, client.stream("GET", job["links"]["events"]) as stream:
            heard.extend(line for line in stream.iter_lines() if line.startswith("event: "))

    with server.client() as client:
        job = submit(client, coffee.read_bytes())
    listener = threading.Thread(target=listen, args=(job,))
    listener.start()
    until(lambda: server.log_lines(f"path={job['links']['events']}"))
    assert server.stop() == 0
    listener.join(PATIENCE)
    assert heard[-1] in ("event: done", "event: failed")


def test_the_command_uses_a_service_elsewhere(server, disc, tmp_path, monkeypatch):
    monkeypatch.setenv("SAM3D_ENGINE", "sam3d")  # which this machine does not have
    (tmp_path / "ball.png").write_bytes(disc(RED))
    (tmp_path / "text.png").write_text("no photo")
    arguments = ["generate", str(tmp_path / "text.png"), str(tmp_path / "ball.png"), "-o", str(tmp_path / "out")]
    options = ["--server", server.url, "--seed", "3", "--target-faces", "1000", "--texture-size", "512"]
    result = CliRunner().invoke(main, arguments + options)
    assert result.exit_code == 1
    assert "text.png: " in result.output
    assert "preview: " in result.output
    assert "seed 3" in result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ball.glb", "ball.webp"]
    assert len(trimesh.load_mesh(tmp_path / "out" / "ball.glb").faces) <= 1000


def test_no_job_outlives_its_deadline(start_server, coffee):
    server = start_server(deadline_seconds=0.2)
    server.wait_until(200)
    with server.client() as client:
        assert ended(client, submit(client, coffee.read_bytes()))["problem"]["code"] == "deadline_exceeded"
        assert httpx.get(f"{server.url}/livez").status_code == 200
