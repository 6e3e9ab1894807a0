"""A real `bentoml serve` process, as an operator starts it, with the preview engine and the real mask model."""

import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from sam3d_bento.cli import launch
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


class Servers:
    """Starts servers, each with a folder of its own below what `new_folder` gives; `stop` ends all of them."""

    def __init__(self, new_folder):
        self._new_folder = new_folder
        self._started = []

    def start(self, service=launch.SERVICE, place=PROJECT, **settings):
        folder = self._new_folder("server")
        port = launch.free_port()
        texts = {name: str(value) for name, value in settings.items()}
        process = launch.start(port, place, folder, texts, service)
        self._started.append(process)
        return Server(process, f"http://127.0.0.1:{port}", folder / "work", folder / "outputs", folder / "log")

    def stop(self):
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._started:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
