"""The engine process as the service process sees it: a child, our end of its pipe, and the conversations over it.

The conversations are the load that begins it, then one about each task. Each begins with what is sent, and has one end.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import sam3d_bento
from sam3d_bento.errors import DeadlineExceeded, EngineLost, Internal, NotReady, Sam3DError
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.messages import Cancel, Done, Failed, LoadFailed, Progress, Ready, RunJob, Start

# A message takes milliseconds; a peer that does not take or finish one for so long is stuck.
PIPE_TIMEOUT_SECONDS = 20


# What names of environment variables with keys begin with.
CREDENTIALS = ("RUNPOD_", "AWS_", "AZURE_", "GOOGLE_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


class EngineProcess:
    """A running `python -m sam3d_bento.serving.worker` and our end of its pipe."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
                ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", PIPE_TIMEOUT_SECONDS, 0))
            command = [sys.executable, "-m", "sam3d_bento.serving.worker", str(theirs.fileno())]
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


class Waker:
    """A wait for pipes that any thread can end.

    One thread calls `wait`; any thread calls `wake`, which ends the wait of now, else the next one.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def wait(self, pipe: Any, seconds: float | None = None) -> None:
        """Return when the pipe has something or is closed, somebody has called `wake`, or the time is over."""
        if self._receiver in wait([pipe, self._receiver], seconds):
            self._receiver.recv(4096)

    def wake(self) -> None:
        """See the class."""
        with contextlib.suppress(BlockingIOError):  # a full buffer wakes as well
            self._sender.send(b"!")


def load(pipe: Any, start: Start, waker: Waker, stopped: Callable[[], bool]) -> Ready | Sam3DError | None:
    """Say what to load and wait for the end of it, however long it takes: Ready, or why it failed.

    None when nobody waits any more. waker: wakes when `stopped` has changed.
    """
    try:
        pipe.send(start)
        while not pipe.poll(0):
            waker.wait(pipe)
            if stopped():
                return None
        message = pipe.recv()
    except (EOFError, OSError):
        return NotReady("The engine process died while it was loading.")
    if isinstance(message, LoadFailed):
        return message.error
    return message if isinstance(message, Ready) else Internal("The engine process spoke out of turn.")


def converse(
    pipe: Any,
    task: RunJob,
    job: Job,
    deadline_seconds: float,
    waker: Waker,
    interruption: Callable[[], Sam3DError | None],
) -> Done | Sam3DError:
    """Send the task, keep the job's progress, pass its cancellation on; how the task ended.

    waker: wakes when `job` was cancelled or `interruption` has changed. interruption: why to leave now, if so.
    After DeadlineExceeded, EngineLost or an interruption the engine process may still be at work.
    """
    told = False
    until = time.monotonic() + deadline_seconds
    try:
        pipe.send(task)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                return DeadlineExceeded(f"The run was stopped after {deadline_seconds:g} seconds.")
            waker.wait(pipe, left)
            if (reason := interruption()) is not None:
                return reason
            if job.cancelled.is_set() and not told:
                pipe.send(Cancel(job.id))
                told = True
            if not pipe.poll(0):
                continue
            message = pipe.recv()
            if message.job_id != job.id:
                return EngineLost("The engine answered for another job; it was restarted. Try again.")
            if isinstance(message, Progress):
                job.advance(message.stage, message.fraction)
            elif isinstance(message, Failed):
                return message.error
            else:
                assert isinstance(message, Done)
                return message
    except (EOFError, OSError):
        return EngineLost("The engine process died during the run and was restarted. Try again.")


def _environment() -> dict[str, str]:
    """The child finds this very package, also when it lies in a bento and is not installed.

    Keys that somebody or some platform put into the environment stay here: RunPod's for its SDK, a cloud's for the
    bucket. The engine, and the code of others in it, needs none.
    """
    source = str(Path(sam3d_bento.__file__).parents[1])
    search = os.environ.get("PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CREDENTIALS)}
    return {**inherited, "PYTHONPATH": f"{source}{os.pathsep}{search}" if search else source}
