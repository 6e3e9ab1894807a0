"""A service of one's own for a while: started on a free port of this machine, in folders that go with it."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sam3d_bento.cli import launch
from sam3d_bento.errors import NotReady

STOP_SECONDS = 60.0
TAIL_LINES = 20


@dataclass(frozen=True)
class OwnService:
    """url: its address. folder: below which it writes. A service that has ended says why in its log."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def files(self) -> list[Path]:
        """What it has written and not removed, its log aside."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path != self.folder / "log"]


@contextmanager
def started() -> Iterator[OwnService]:
    """A service with this process's settings, not ready yet; it and its files end with the block.

    Raises NotReady where there is no service.py. Results go to a folder, also where the settings name a bucket.
    """
    place = launch.folder()
    if place is None:
        raise NotReady(f"There is no {launch.MODULE} here; run this in the project's folder, or give --server.")
    with tempfile.TemporaryDirectory(prefix="sam3d-bento-") as name:
        folder = Path(name)
        port = _free_port()
        settings = {"WORK_DIR": str(folder / "work"), "OUTPUT_DIR": str(folder / "outputs")}
        settings |= dict.fromkeys(("OUTPUT_URL", "OUTPUT_ENDPOINT", "OUTPUT_REGION", "OUTPUT_CREDENTIALS_FILE"), "")
        settings |= dict.fromkeys(("API_KEYS_FILE", "METRICS_NEED_KEY"), "")  # nobody else reaches it
        environment = launch.environment() | {f"SAM3D_{name}": value for name, value in settings.items()}
        command = launch.command(place, ["--host", "127.0.0.1", "--port", str(port)])
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603  # our own service
        try:
            yield OwnService(f"http://127.0.0.1:{port}", folder, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
