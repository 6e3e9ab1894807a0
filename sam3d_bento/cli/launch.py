"""Start the service of this installation: `bentoml serve sam3d_bento.service:Sam3D`."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sam3d_bento import parent_death
from sam3d_bento.cli import address
from sam3d_bento.settings import PREFIX

# The service, as `bentoml serve` names it: module and class.
SERVICE = "sam3d_bento.service:Sam3D"


def command(place: Path, arguments: Sequence[str], service: str = SERVICE) -> list[str]:
    """Return the command line of the service. place: the folder in which it runs. arguments: those of `bentoml serve`.

    Modules are looked for there first, and relative paths in settings begin there.
    """
    return [sys.executable, "-m", "bentoml", "serve", service, "--working-dir", str(place), *arguments]


def environment() -> dict[str, str]:
    """Return the environment of this process with two changes for BentoML.

    BENTOML_DO_NOT_TRACK is set to "True". BentoML reads it at import, and no other value turns tracking off.
    PROMETHEUS_MULTIPROC_DIR is removed, so that each service makes its own folder for the metrics of its processes.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    return inherited | {"BENTOML_DO_NOT_TRACK": "True"}


def free_port() -> int:
    """Return a port of the loopback interface on which no process is listening."""
    with socket.socket() as probe:
        probe.bind((address.LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    port: int, place: Path, below: Path, settings: Mapping[str, str], service: str = SERVICE
) -> subprocess.Popen[bytes]:
    """Start a service on this port of the loopback interface, and return its process without waiting.

    The service ends with the calling thread.

    place: as of `command`. below: the folder in which the service has its work directory (`work`), its results
    (`outputs`) and its log (`log`). settings: by their names, such as `queue_limit`; an empty value means the default.
    """
    given = {"work_dir": str(below / "work"), "output_dir": str(below / "outputs"), **settings}
    variables = {f"{PREFIX}{name.upper()}": value for name, value in given.items()}
    arguments = ["--host", address.LOOPBACK, "--port", str(port)]
    with (below / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own service
            command(place, arguments, service),
            cwd=place,
            env=environment() | variables,
            stdout=log,
            stderr=log,
            preexec_fn=functools.partial(parent_death.end_with, os.getpid()),  # one call of libc
        )
