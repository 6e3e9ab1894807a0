"""`sam3d-bento serve`, as a person types it."""

import os
import re
import signal
import sys
from pathlib import Path

import httpx
import pytest

from sam3d_bento.cli import launch
from tests.support import processes
from tests.support.places import PROJECT
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.server

LISTENING = "0A"  # state of a socket in /proc/net/tcp


def listening_addresses(port):
    """The addresses, as hexadecimal numbers in the byte order of this machine, on which somebody listens at a port."""
    tables = "".join(path.read_text() for path in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if path.exists())
    return set(re.findall(rf"^ *\d+: ([0-9A-F]+):{port:04X} \S+ {LISTENING} ", tables, re.MULTILINE))


@pytest.fixture
def served(tmp_path, mask_model):
    """The port and the log of a service. (mask_model: its file is there.)"""
    port, log = launch.free_port(), tmp_path / "log"
    folders = {"SAM3D_WORK_DIR": str(tmp_path / "work"), "SAM3D_OUTPUT_DIR": str(tmp_path / "outputs")}
    with log.open("w") as file:
        process = processes.start(
            [sys.executable, "-m", "sam3d_bento.cli", "serve", "--port", str(port)],
            cwd=PROJECT,
            env=os.environ | folders | {"SAM3D_ENGINE": "preview"},
            stdout=file,
            stderr=file,
        )
    yield port, log
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)


def test_it_says_where_the_studio_is_once_that_works_and_only_this_machine_reaches_it(served):
    port, log = served
    until(lambda: "the studio is ready" in log.read_text())
    (address,) = re.findall(r"the studio is ready address=(\S+)", log.read_text())
    assert address == f"http://127.0.0.1:{port}"
    assert httpx.get(f"{address}/health").json()["status"] == "ready"
    assert "a photo in, a 3D model out</title>" in httpx.get(address).text
    assert listening_addresses(port) == {"0100007F"}
