"""How the service is started: `bentoml serve` on this installation's service.py."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import sam3d_bento
from sam3d_bento import parent_death
from sam3d_bento.settings import PREFIX

MODULE = "service.py"
SERVICE = "service:Sam3D"


def folder() -> Path | None:
    """Return where service.py lies: here, or beside the package (a source tree, a bento); None when in neither."""
    places = (Path(), Path(sam3d_bento.__file__).parents[1])
    return next((place.absolute() for place in places if (place / MODULE).is_file()), None)


def command(place: Path, arguments: Sequence[str], service: str = SERVICE) -> list[str]:
    """Return the command line. place: the folder of the module. arguments: of `bentoml serve`."""
    return [sys.executable, "-m", "bentoml", "serve", service, "--working-dir", str(place), *arguments]


def environment() -> dict[str, str]:
    """Return this process's, with what BentoML reads when it is imported: it takes only the word "true" for a no.

    Without the folder in which BentoML's processes count together: each service makes its own.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    return inherited | {"BENTOML_DO_NOT_TRACK": "True"}


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    port: int, place: Path, below: Path, settings: Mapping[str, str], service: str = SERVICE
) -> subprocess.Popen[bytes]:
    """Start a service at this port of the loopback interface; return its process, at once. It ends with this thread.

    place: the folder of its module. below: the folder of its work directory, its results and its log, in `work`,
    `outputs` and `log`. settings: by their names, `queue_limit`; an empty value means the default.
    """
    given = {"work_dir": str(below / "work"), "output_dir": str(below / "outputs"), **settings}
    variables = {f"{PREFIX}{name.upper()}": value for name, value in given.items()}
    arguments = ["--host", "127.0.0.1", "--port", str(port)]
    with (below / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603  # our own service
            command(place, arguments, service),
            cwd=place,
            env=environment() | variables,
            stdout=log,
            stderr=log,
            preexec_fn=functools.partial(parent_death.end_with, os.getpid()),  # one call of libc
        )
