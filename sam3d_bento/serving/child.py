"""The engine process as the service process sees it: a child, and our end of its pipe."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sam3d_bento

# A message takes milliseconds; a peer that does not take or finish one for so long is stuck.
PIPE_TIMEOUT_SECONDS = 20


# What names of environment variables with keys begin with.
CREDENTIALS = ("RUNPOD_", "AWS_", "AZURE_", "GOOGLE_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


class EngineProcess:
    """A running `engine_process` and our end of its pipe."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PIPE_TIMEOUT_SECONDS, 0))
            command = [sys.executable, "-m", "sam3d_bento.serving.engine_process", str(theirs.fileno())]
            self.process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=_environment()
            )
        self.pipe: Any = Connection(ours.detach())

    def end(self, grace_seconds: float) -> int:
        """Close the pipe, wait, kill; the exit status."""
        self.pipe.close()
        try:
            return self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def _environment() -> dict[str, str]:
    """The child finds this very package, also when it lies in a bento and is not installed.

    Keys that somebody or some platform put into the environment stay here: RunPod's for its SDK, a cloud's for the
    bucket. The engine, and the code of others in it, needs none.
    """
    source = str(Path(sam3d_bento.__file__).parents[1])
    search = os.environ.get("PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CREDENTIALS)}
    return {**inherited, "PYTHONPATH": f"{source}{os.pathsep}{search}" if search else source}
