"""The main job, end to end, over a real server process with real photos."""

import io
import json
import os
import re
import signal
import socket
import struct
import threading
import time
from functools import partial
from pathlib import Path

import bentoml
import httpx
import numpy as np
import pytest
import trimesh
from PIL import Image

from tests.support import processes
from tests.support.waiting import until

pytestmark = pytest.mark.server

SMALL = {"target_faces": "1000", "texture_size": "512"}
RED, BLUE = (220, 30, 30), (30, 30, 220)


def extras(glb):
    """What the file says of itself: `asset.extras` of the glTF document."""
    length = struct.unpack_from("<I", glb, 12)[0]
    return json.loads(glb[20 : 20 + length])["asset"]["extras"]


def mesh_of(glb):
    return trimesh.load_mesh(io.BytesIO(glb), file_type="glb")


def mean_colour(glb):
    texture = np.asarray(mesh_of(glb).visual.material.baseColorTexture.convert("RGB"), float)
    return texture.mean((0, 1))


def proportional_bytes(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def test_health_is_503_at_once_and_200_when_the_engine_is_loaded(start_server):
    server = start_server()
    assert server.wait_until(503)["status"] == "starting"
    report = server.wait_until(200)
    assert (report["status"], report["engine"], report["loads"]) == ("ready", "preview", 1)
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    pids = processes.tree(server.process.pid)
    assert len(pids) >= 3, "supervisor, service and engine are processes of their own"
    assert sum(map(proportional_bytes, pids)) < 1.5e9
    assert server.stop() == 0
    assert not any(map(processes.alive, pids)), "nothing outlives SIGTERM"
    assert list(server.work_dir.iterdir()) == []


def test_a_photo_becomes_a_textured_mesh(server, coffee):
    with server.client() as client:
        answer = client.post(
            "/api/inference", files={"image": coffee.open("rb")}, data={"seed": "5", "target_faces": "10000"}
        )
        assert answer.status_code == 200, answer.text
        glb = answer.content
        assert answer.headers["content-type"] == "model/gltf-binary"
        assert (answer.headers["x-engine"], answer.headers["x-seed"]) == ("preview", "5")
        assert answer.headers["x-mask-source"] == "rembg"
        assert "shape_guessed" in answer.headers["x-warnings"].split(",")
        mesh = mesh_of(glb)
        assert 1000 < len(mesh.faces) <= 10_000
        assert mesh.visual.material.baseColorTexture.size == (1024, 1024)
        facts = extras(glb)
        assert (facts["engine"], facts["seed"], facts["faces"]) == ("preview", 5, len(mesh.faces))
        link = answer.headers["link"].partition(">")[0].removeprefix("<")
        assert client.get(link).content == glb


def test_the_same_request_twice_gives_the_same_bytes(server, disc):
    with server.client() as client:
        first, second = (
            client.post("/api/inference", files={"image": disc(RED)}, data={"seed": "1", **SMALL}).content for _ in "12"
        )
    assert first == second


def test_an_uploaded_mask_decides_what_is_reconstructed(server, coffee):
    width, height = Image.open(coffee).size
    mask = Image.new("L", (width, height))
    mask.paste(255, (50, 50, 200, 150))  # half as wide again as high: nothing like the cup
    file = io.BytesIO()
    mask.save(file, "PNG")
    with server.client() as client:
        answer = client.post("/api/inference", files={"image": coffee.open("rb"), "mask": file.getvalue()}, data=SMALL)
        assert answer.headers["x-mask-source"] == "upload"
        wide, high, _ = mesh_of(answer.content).extents
        assert wide / high == pytest.approx(1.5, rel=0.05)
        wrong = client.post("/api/inference", files={"image": coffee.open("rb"), "mask": disc_bytes()}, data=SMALL)
        assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_request")


def disc_bytes():
    file = io.BytesIO()
    Image.new("L", (10, 1000), 255).save(file, "PNG")
    return file.getvalue()


def test_metrics_are_answered_quickly_while_a_job_runs(server, coffee):
    with server.client() as client:
        job = client.post("/api/jobs", files={"image": coffee.open("rb")}, data={"target_faces": "40000"}).json()
        seconds, running = [], 0.0
        while client.get(job["links"]["self"]).json()["state"] in ("queued", "running"):
            started = time.perf_counter()
            text = client.get("/metrics").text
            seconds.append(time.perf_counter() - started)
            running = max(running, float(text.partition("\nsam3d_queue_running ")[2].partition("\n")[0]))
    assert running == 1
    assert np.median(seconds) < 0.5, "two shared cores; the benchmark has the figures"
    assert "bentoml_" not in text, "its label `endpoint` is the path as it was sent, which has no bounds"


def test_the_mask_can_be_seen_before_anything_runs(server, coffee):
    with server.client() as client:
        answer = client.post("/api/mask", files={"image": coffee.open("rb")})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    mask = Image.open(io.BytesIO(answer.content))
    assert (mask.mode, mask.size) == ("L", Image.open(coffee).size)
    share = (np.asarray(mask) == 255).mean()
    assert float(answer.headers["x-mask-coverage"]) == pytest.approx(share, abs=0.01)
    assert set(np.unique(mask)) == {0, 255}


def test_a_mask_does_not_wait_for_a_reconstruction(server, coffee, disc):
    with server.client() as client:
        client.post("/api/mask", files={"image": disc(RED)})  # its process is there now
        done = threading.Event()

        def reconstruct():
            client.post("/api/inference", files={"image": coffee.open("rb")}, data={"target_faces": "40000"})
            done.set()

        thread = threading.Thread(target=reconstruct)
        thread.start()
        while httpx.get(f"{server.url}/health").json()["queue"]["running"] == 0:
            assert not done.is_set()
        assert client.post("/api/mask", files={"image": disc(BLUE)}).status_code == 200
        assert not done.is_set()
        thread.join()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"not an image at all, only text", 415, "unsupported_media"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), 400, "bad_request"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "unsupported_media"),
    ],
)
def test_body_that_is_not_a_photo_is_refused(server, content, status, code):
    with server.client() as client:
        for route in ("/api/inference", "/api/mask"):
            answer = client.post(route, files={"image": content})
            assert (answer.status_code, answer.json()["code"]) == (status, code), route


def test_a_photo_of_nothing_is_a_422(server):
    file = io.BytesIO()
    Image.new("RGB", (300, 300), (90, 90, 90)).save(file, "PNG")
    with server.client() as client:
        answer = client.post("/api/inference", files={"image": file.getvalue()})
    assert (answer.status_code, answer.json()["code"]) == (422, "no_object")


def test_a_body_above_the_limit_is_refused_before_it_is_sent(server):
    """As curl does it: the body waits for `100 Continue`, which never comes."""
    host, port = server.url.removeprefix("http://").split(":")
    head = (
        f"POST /api/inference HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
        "Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"too_large"' in answer


def test_the_bentoml_client_gets_a_path_to_the_glb(server, coffee, disc, tmp_path):
    mask = tmp_path / "mask.png"
    with server.client() as client:
        mask.write_bytes(client.post("/api/mask", files={"image": coffee.open("rb")}).content)
    with bentoml.SyncHTTPClient(server.url, timeout=60) as client:
        plain = client.inference(image=coffee, target_faces=1000, texture_size=512)
        assert isinstance(plain, Path)
        assert extras(plain.read_bytes())["engine"] == "preview"
        full = client.inference(
            image=coffee, mask=mask, seed=7, target_faces=1000, texture_size=512, quality="draft", response="file"
        )
        facts = extras(full.read_bytes())
        assert (facts["seed"], facts["mask"]["source"]) == (7, "upload")
        assert "quality_ignored" in facts["warnings"]
        with pytest.raises(bentoml.exceptions.InvalidArgument, match="target_faces"):
            client.inference(image=coffee, target_faces=999)


def test_a_client_that_goes_away_is_forgotten_and_the_next_gets_its_own_mesh(start_server, coffee, disc):
    server = start_server()
    server.wait_until(200)
    host, port = server.url.removeprefix("http://").split(":")
    body = coffee.read_bytes()
    head = (
        f"POST /api/inference?target_faces=40000 HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
        f"X-Request-Id: goes-away\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head.encode() + body)
        until(lambda: server.log_lines("engine start request_id=goes-away"))
    answers = {}

    def ask(name, colour):
        with server.client() as client:
            answers[name] = client.post("/api/inference", files={"image": disc(colour)}, data=SMALL).content

    threads = [threading.Thread(target=ask, args=pair) for pair in (("red", RED), ("blue", BLUE))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    red, blue = mean_colour(answers["red"]), mean_colour(answers["blue"])
    assert red[0] > 150 > red[2]
    assert blue[2] > 150 > blue[0]
    assert "outcome=cancelled" in until(lambda: server.log_lines("request done request_id=goes-away"))[0]
    assert len(list(server.output_dir.glob("*.glb"))) == 2, "nobody's result is not stored"


def test_fifty_mixed_requests_leave_only_live_assets(server, coffee, disc):
    def files():
        return [path for path in server.work_dir.rglob("*") if path.is_file()]

    before = {path.name for path in server.output_dir.iterdir()} if server.output_dir.exists() else set()
    kept = set()
    with server.client() as client:
        for n in range(50):
            image = (disc(RED), b"text", disc(BLUE)[:200], bytes(3_000_000), coffee.read_bytes()[:100_000])[n % 5]
            options = SMALL | ({"sed": "1"} if n % 10 == 5 else {})
            answer = client.post("/api/inference", files={"image": image}, data=options)
            assert answer.status_code < 500, answer.text
            if answer.status_code == 200:
                kept |= {f"{answer.headers['x-asset-id']}.{kind}" for kind in ("glb", "npz")}
    assert len(kept) == 2 * 5
    assert files() == []
    assert {path.name for path in server.output_dir.iterdir()} == before | kept


def test_a_killed_service_leaves_no_engine_and_the_next_removes_its_files(start_server, tmp_path):
    server = start_server(work_dir=tmp_path / "work")
    server.wait_until(200)
    pids = processes.tree(server.process.pid)
    for pid in pids[:2]:  # the supervisor and the service; the engine must end by itself
        os.kill(pid, signal.SIGKILL)
    give_up = time.monotonic() + 30
    while any(map(processes.alive, pids[1:])):
        server.process.poll()
        assert time.monotonic() < give_up
        threading.Event().wait(0.05)
    assert len(list((tmp_path / "work").iterdir())) == 1
    successor = start_server(work_dir=tmp_path / "work")
    successor.wait_until(200)
    assert len(list((tmp_path / "work").iterdir())) == 1
    successor.stop()
    assert list((tmp_path / "work").iterdir()) == []


def test_a_request_that_runs_is_answered_before_sigterm_ends_the_service(start_server, coffee):
    server = start_server()
    server.wait_until(200)
    answers = []

    def ask():
        with server.client() as client:
            answers.append(client.post("/api/inference", files={"image": coffee.open("rb")}, data=SMALL))

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: server.log_lines("engine start"))
    assert server.stop() == 0
    thread.join()
    assert answers[0].status_code == 200
    assert not server.log_lines(" ERROR ")


def test_an_engine_that_is_not_here_is_never_replaced_by_another(start_server, disc):
    server = start_server(engine="sam3d")
    give_up = time.monotonic() + 30
    while (report := server.wait_until(503))["status"] != "failed":
        assert time.monotonic() < give_up
    assert report["reason"]
    answer = httpx.post(f"{server.url}/api/inference", files={"image": disc(RED)})
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert httpx.get(f"{server.url}/livez").status_code == 503
    assert server.process.poll() is None, "no exit loop"


def test_a_photo_that_is_pointed_at_again_is_encoded_once_and_hostile_prompts_are_refused(server, coffee):
    photo = coffee.read_bytes()

    def encodes(client):
        found = re.search(r'sam3d_prompt_encodes_total\{process="mask"\} (\S+)', client.get("/metrics").text)
        return 0 if found is None else float(found[1])

    with server.client() as client:
        ask = partial(client.post, "/api/mask")
        before = encodes(client)
        clicked = [ask(files={"image": photo}, data={"box": f"{60 + x},5,500,395"}) for x in range(0, 20, 10)]
        again = ask(files={"image": photo}, data={"box": "60,5,500,395"})
        assert encodes(client) - before == 1
        assert {answer.status_code for answer in (*clicked, again)} == {200}
        assert again.content == clicked[0].content
        report = json.loads(again.headers["x-mask-report"])
        assert (report["source"], report["model"]) == ("prompt", "crop")
        left, top, right, bottom = report["candidates"][report["candidate"]]["box"]
        assert 60 <= left < right <= 500
        assert 5 <= top < bottom <= 395
        for hostile in (
            {"points": "nan,1"},
            {"points": "1,2;" * 10**6},
            {"points": "9999,1"},
            {"box": "0,0,9999,9999"},
            {"points": "1,1,0"},
            {"box": "5,5,5,9"},
            {"candidate": "1"},
            {"points": "5,5", "candidate": "7"},
        ):
            refused = ask(files={"image": photo}, data=hostile)
            assert (refused.status_code, refused.json()["code"]) == (400, "bad_request"), hostile
        assert ask(files={"image": photo, "mask": photo}, data={"points": "9,9"}).status_code == 400
        prompts = client.get("/api/options").json()["prompts"]
    assert prompts == {"model": "crop", "max_points": 64, "max_candidates": 3, "memory_seconds": 300.0}
