"""A service of one's own for a while: started on a free port of this machine, in folders that go with it."""

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

from sam3d_bento.cli import launch
from sam3d_bento.errors import NotReady

STOP_SECONDS = 60.0
PAUSE_SECONDS = 0.05  # between two looks at /health
TAIL_LINES = 20  # of its log


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

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until it takes work. Raises NotReady when it ends, cannot load, or needs longer."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if not self.running:
                raise NotReady(f"The service ended at its start:\n{self.last_words()}")
            report = self._health()
            if report is not None and report["status"] == "ready":
                return
            if report is not None and report["status"] == "failed":
                raise NotReady(f"The engine cannot be loaded: {report['reason']}")
            time.sleep(PAUSE_SECONDS)
        raise NotReady(f"The service was not ready within {seconds:g} seconds:\n{self.last_words()}")

    def _health(self) -> dict[str, Any] | None:
        """Return the report of /health; None while nobody answers there."""
        try:
            with urllib.request.urlopen(f"{self.url}/health") as answer:  # noqa: S310  # our own address
                return cast(dict[str, Any], json.load(answer))
        except urllib.error.HTTPError as refusal:  # 503, with the same report
            with refusal:
                return cast(dict[str, Any], json.load(refusal))
        except urllib.error.URLError:
            return None

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
        # Results go to the folder, and nobody else reaches it.
        elsewhere = ("output_url", "output_endpoint", "output_region", "output_credentials_file")
        settings = dict.fromkeys((*elsewhere, "api_keys_file", "metrics_need_key"), "")
        port = launch.free_port()
        process = launch.start(port, place, folder, settings)
        try:
            yield OwnService(f"http://127.0.0.1:{port}", folder, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
