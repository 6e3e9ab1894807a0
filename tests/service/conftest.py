"""A real `bentoml serve` process, as an operator starts it, with the preview engine and the real mask model."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import skimage
from PIL import Image

PROJECT = Path(__file__).parents[2]
COFFEE = Path(skimage.__file__).parent / "data" / "coffee.png"  # 600 x 400 pixels; CC0
PATIENCE = 60


@dataclass
class Server:
    process: subprocess.Popen
    url: str
    work_dir: Path
    output_dir: Path
    log: Path

    def client(self, **options):
        return httpx.Client(base_url=self.url, timeout=PATIENCE, **options)

    def wait_until(self, status):
        """Poll /health until it answers with this status; the report."""
        give_up = time.monotonic() + PATIENCE
        while True:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < give_up, self.log.read_text()
            try:
                answer = httpx.get(f"{self.url}/health", timeout=PATIENCE)
            except httpx.TransportError:
                pass
            else:
                if answer.status_code == status:
                    return answer.json()
            threading.Event().wait(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def log_lines(self, text):
        return [line for line in self.log.read_text().splitlines() if text in line]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def start_server(tmp_path_factory, mask_model):
    """A factory of servers; all are ended at the end of the session. (mask_model: its file is there.)"""
    started = []

    def start(*target, cwd=PROJECT, **settings):
        folder = tmp_path_factory.mktemp("server")
        port = free_port()
        environment = os.environ | {
            "BENTOML_DO_NOT_TRACK": "True",
            "SAM3D_WORK_DIR": str(folder / "work"),
            "SAM3D_OUTPUT_DIR": str(folder / "outputs"),
            **{f"SAM3D_{name.upper()}": str(value) for name, value in settings.items()},
        }
        environment.pop("PROMETHEUS_MULTIPROC_DIR", None)  # of this process, for its TestClients
        command = [sys.executable, "-m", "bentoml", "serve", *target, "--port", str(port), "--host", "127.0.0.1"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=log, stderr=log)
        started.append(process)
        url = f"http://127.0.0.1:{port}"
        return Server(process, url, folder / "work", folder / "outputs", folder / "log")

    yield start
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in started:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def server(start_server):
    """One server for the tests that leave it as it was."""
    server = start_server()
    server.wait_until(200)
    return server


@pytest.fixture(scope="session")
def disc():
    """A factory of small photos: a disc of one colour on grey, as PNG bytes; its mask lies in the alpha channel."""

    def make(colour, size=64):
        y, x = np.mgrid[:size, :size]
        inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 3) ** 2
        pixels = np.full((size, size, 4), (128, 128, 128, 0), np.uint8)
        pixels[inside] = (*colour, 255)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def coffee():
    return COFFEE


@pytest.fixture(scope="session")
def project():
    return PROJECT
