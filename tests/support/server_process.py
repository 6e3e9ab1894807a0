"""A real `bentoml serve` process, as an operator starts it, with the preview engine and the real mask model."""

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

from tests.support.places import PROJECT
from tests.support.waiting import PATIENCE


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

    def log_lines(self, *texts):
        """The lines with all of these. That a request is done is written after its answer: wait for it."""
        return [line for line in self.log.read_text().splitlines() if all(text in line for text in texts)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Servers:
    """Starts servers, each with a folder of its own below what `new_folder` gives; `stop` ends all of them."""

    def __init__(self, new_folder):
        self._new_folder = new_folder
        self._started = []

    def start(self, *target, cwd=PROJECT, **settings):
        folder = self._new_folder("server")
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
        self._started.append(process)
        url = f"http://127.0.0.1:{port}"
        return Server(process, url, folder / "work", folder / "outputs", folder / "log")

    def stop(self):
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
