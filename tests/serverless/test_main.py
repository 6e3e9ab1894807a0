"""The real worker process around RunPod's SDK, with the preview engine: its test server, one run, and as on RunPod."""

import base64
import contextlib
import io
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import trimesh
from PIL import Image

from sam3d_bento.cli.launch import free_port
from tests.support import processes
from tests.support.places import COFFEE
from tests.support.runpod_queue import RunPodQueue
from tests.support.waiting import PATIENCE

pytestmark = [pytest.mark.server, pytest.mark.package]

SECRET = "s3cr3t-marker"
SMALL = {"image": base64.b64encode(COFFEE.read_bytes()).decode(), "target_faces": 2000, "texture_size": 512, "seed": 1}


class WorkerProcess:
    """`python -m sam3d_bento.serverless` in a folder of its own."""

    def __init__(self, folder, *arguments, **environment):
        self.folder = folder
        self.work_dir = folder / "work"
        self.log_file = folder / "log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RUNPOD_", "SAM3D_OUT"))}
        environment = {
            "SAM3D_ENGINE": "preview",
            "SAM3D_WORK_DIR": str(self.work_dir),
            "SAM3D_OUTPUT_DIR": str(folder / "outputs"),
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",  # as the image sets it
            **environment,
        }
        with self.log_file.open("w") as log:
            self.process = processes.start(
                [sys.executable, "-m", "sam3d_bento.serverless", *arguments],
                cwd=folder,
                env=inherited | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self):
        return self.log_file.read_text()

    def wait_for(self, condition):
        """Wait for a state of the process that no event announces; what the condition says."""
        give_up = time.monotonic() + PATIENCE
        while not (found := condition()):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < give_up, self.log
            threading.Event().wait(0.02)
        return found

    def engine(self):
        """The process id of the engine, or None."""
        children = processes.children(self.process.pid)
        return next((pid for pid in children if processes.ENGINE_PROGRAM in processes.command(pid)), None)

    def left_behind(self):
        return [*self.work_dir.glob("*/*"), *(self.folder / "outputs").iterdir()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start_process(tmp_path, mask_model):
    """A factory of worker processes; all are ended at the end. (mask_model: its file is there.)"""
    started = []

    def start(*arguments, **environment):
        folder = tmp_path / f"worker-{len(started)}"
        folder.mkdir()
        started.append(WorkerProcess(folder, *arguments, **environment))
        return started[-1]

    yield start
    for worker in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)  # the SDK's heartbeat too, a process that outlives its parent
        worker.process.wait()


@pytest.fixture
def runpod():
    queue = RunPodQueue()
    thread = threading.Thread(target=queue.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield queue
    queue.shutdown()
    queue.server_close()
    thread.join()


@pytest.fixture
def tls_host(file_host, tmp_path):
    """The file host behind TLS as `localhost`; also its certificate, which nobody else has signed."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    file_host.socket = context.wrap_socket(file_host.socket, server_side=True)
    return file_host, certificate


def check_glb(glb):
    """A mesh with faces, in a texture that is more than one colour."""
    (mesh,) = trimesh.load(io.BytesIO(glb), file_type="glb").geometry.values()
    assert 1000 <= len(mesh.faces) <= 2000
    assert mesh.visual.uv.shape == (len(mesh.vertices), 2)
    texture = mesh.visual.material.baseColorTexture
    assert texture.size == (512, 512)
    assert len(texture.convert("RGB").resize((16, 16)).getcolors()) > 10


def test_the_sdks_test_server_turns_photos_into_models(start_process, tls_host):
    host, certificate = tls_host
    port = free_port()
    worker = start_process(
        *("--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", str(port)),
        SAM3D_ALLOWED_HOSTS="localhost",
        SSL_CERT_FILE=str(certificate),
    )
    worker.wait_for(lambda: "Uvicorn running" in worker.log)

    def runsync(**fields):
        answer = httpx.post(f"http://127.0.0.1:{port}/runsync", json={"input": fields}, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    done = runsync(**SMALL)
    assert done["status"] == "COMPLETED"
    assert done["output"]["engine"] == "preview"
    assert done["output"]["seed"] == 1
    assert done["output"]["warnings"] == ["shape_guessed", "seed_ignored"]
    first = base64.b64decode(done["output"]["glb_base64"])
    check_glb(first)

    refused = runsync(image="%%%")
    assert refused["status"] == "FAILED"
    assert json.loads(refused["error"])["code"] == "bad_request"

    host.files["/photo.png"] = COFFEE.read_bytes()
    at_host = f"https://localhost:{host.server_port}"
    options = {name: value for name, value in SMALL.items() if name != "image"} | {"name": "object"}
    stored = runsync(
        image_url=f"{at_host}/photo.png?X-Signature={SECRET}",
        output_url=f"{at_host}/result.glb?X-Signature={SECRET}",
        **options,
    )
    assert stored["output"]["stored"] is True
    method, path, _, body = host.requests[-1]
    assert (method, path) == ("PUT", f"/result.glb?X-Signature={SECRET}")
    assert body == first, "equal photo, options, seed and name give equal bytes"

    cut_off = threading.Thread(
        target=lambda: worker.wait_for(lambda: worker.log.count("engine start") == 3) and os.kill(worker.engine(), 9)
    )
    cut_off.start()
    lost = runsync(**SMALL)
    cut_off.join()
    assert json.loads(lost["error"])["code"] == "engine_lost"
    again = runsync(**SMALL)
    assert base64.b64decode(again["output"]["glb_base64"]) == first

    assert worker.left_behind() == []
    assert SECRET not in worker.log
    assert SMALL["image"][:40] not in worker.log
    assert worker.stop() in (0, -signal.SIGTERM)


def disc():
    """A small photo, as base64: a disc on grey; its mask lies in the alpha channel."""
    y, x = np.mgrid[:64, :64]
    inside = (x - 32) ** 2 + (y - 32) ** 2 < 20**2
    pixels = np.where(inside[..., None], (220, 30, 30, 255), (128, 128, 128, 0)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_one_run_from_the_command_line(start_process):
    worker = start_process("--test_input", json.dumps({"input": {**SMALL, "image": disc()}}))
    assert worker.process.wait(PATIENCE) == 0, worker.log
    assert "completed successfully" in worker.log
    assert worker.left_behind() == []


def test_a_worker_on_runpod_serves_its_queue(start_process, runpod):
    worker = start_process(**runpod.environment(SECRET))
    runpod.jobs.put({"id": "first", "input": SMALL})
    posts = [runpod.posts.get(timeout=PATIENCE)]
    while "status" in posts[-1][1]:
        posts.append(runpod.posts.get(timeout=PATIENCE))
    assert {identity for identity, _ in posts} == {"first"}
    assert {news["output"]["stage"] for _, news in posts[:-1]} & {"reconstruct", "export"}, "it told how far it was"
    assert all(news["status"] == "IN_PROGRESS" for _, news in posts[:-1])
    assert posts[-1][1]["output"]["glb_base64"]
    assert "stopPod" not in posts[-1][1]
    assert runpod.pinged.wait(PATIENCE)

    engine = worker.engine()
    runpod.jobs.put({"id": "second", "input": SMALL})
    worker.wait_for(lambda: worker.log.count("engine start") == 2)
    runpod.stops.put("second")
    worker.wait_for(lambda: "outcome=cancelled" in worker.log)

    runpod.jobs.put({"id": "third", "input": {"image_url": f"https://elsewhere.example/?{SECRET}"}})
    while (post := runpod.posts.get(timeout=PATIENCE))[0] != "third":
        assert "status" in post[1], "the stopped job has no result"
    assert json.loads(post[1]["error"])["code"] == "bad_request"
    assert "stopPod" not in post[1]
    assert worker.engine() == engine, "a stopped job costs no engine"
    assert SECRET.encode() not in Path(f"/proc/{engine}/environ").read_bytes()
    assert SECRET not in worker.log

    assert worker.stop() == 0, worker.log
    assert list(worker.work_dir.iterdir()) == []


def test_a_worker_whose_engine_cannot_be_loaded_is_given_back(start_process, runpod, tmp_path):
    start_process(SAM3D_ENGINE="sam3d", SAM3D_CHECKPOINT_DIR=str(tmp_path), **runpod.environment(SECRET))
    runpod.jobs.put({"id": "first", "input": SMALL})
    identity, post = runpod.posts.get(timeout=PATIENCE)
    assert identity == "first"
    assert json.loads(post["error"])["code"] == "not_ready"
    assert post["stopPod"] is True, "RunPod starts the next job in a new worker"
    assert str(tmp_path) not in post["error"]


def test_a_setting_that_cannot_be_used_stops_the_start_with_its_name(start_process):
    worker = start_process(SAM3D_ALLOWED_HOSTS="https://photos.example.com")
    assert worker.process.wait(PATIENCE) == 1
    assert "SAM3D_ALLOWED_HOSTS" in worker.log
    assert "Traceback" not in worker.log
