"""Start a temporary service on a free port of this machine. Its folders are removed when it stops."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sam3d_bento.cli import address, launch
from sam3d_bento.errors import NotReady

# Longest wait for the service to end after SIGTERM. After that it is killed.
STOP_SECONDS = 60.0
# Pause between two requests to /health.
POLL_SECONDS = 0.05
# Lines at the end of the log that an error quotes.
TAIL_LINES = 20


@dataclass(frozen=True)
class OwnService:
    """Temporary service. url: its address. folder: the folder of all files that it writes, its log included."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process.poll() is None

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until the service accepts jobs. Raises NotReady if it ends, cannot load, or needs more time."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if not self.running:
                raise NotReady(f"The service exited during start-up:\n{self.last_lines()}")
            report = self._health()
            if report is not None and report["status"] == "ready":
                return
            if report is not None and report["status"] == "failed":
                raise NotReady(f"The engine could not be loaded: {report['reason']}")
            time.sleep(POLL_SECONDS)
        raise NotReady(f"The service was not ready within {seconds:g} seconds:\n{self.last_lines()}")

    def _health(self) -> dict[str, Any] | None:
        """Return the report of /health, or None if there is no answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/health") as answer:  # noqa: S310  # our own address
                return cast(dict[str, Any], json.load(answer))
        except urllib.error.HTTPError as refusal:  # 503, with the same report
            with refusal:
                return cast(dict[str, Any], json.load(refusal))
        except urllib.error.URLError:
            return None

    def last_lines(self) -> str:
        """Return the last lines of the log."""
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-TAIL_LINES:])

    def files(self) -> list[Path]:
        """Return the files that the service left behind, without its log."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path != self.folder / "log"]


@contextmanager
def started() -> Iterator[OwnService]:
    """Start a service with the settings of this process. After the block, stop it and remove its files.

    The service is not ready when the block begins. Results go to a folder even where the settings name a bucket.
    """
    with tempfile.TemporaryDirectory(prefix="sam3d-bento-") as name:
        folder = Path(name)
        # Results go to the folder, not to a bucket. No key is needed, because only this machine reaches the service.
        elsewhere = ("output_url", "output_endpoint", "output_region", "output_credentials_file")
        settings = dict.fromkeys((*elsewhere, "api_keys_file", "metrics_need_key"), "")
        port = launch.free_port()
        process = launch.start(port, Path.cwd(), folder, settings)
        try:
            yield OwnService(address.url(address.LOOPBACK, port), folder, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
