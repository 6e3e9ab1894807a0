"""The engine process as the service process sees it: a child, our end of its pipe, and the conversations over it.

The conversations are the load that begins it, then one about each task. Each begins with what is sent, and has one end,
within a time that is known beforehand, whatever the process does: it may die, fall silent, or say what is no message.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

import sam3d_bento
from sam3d_bento import logs
from sam3d_bento.errors import DeadlineExceeded, EngineLost, Sam3DError
from sam3d_bento.serving.worker import wire_format
from sam3d_bento.serving.worker.channel import Channel, FrameTooLong
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.messages import (
    Alive,
    Cancel,
    Done,
    EngineMessage,
    Failed,
    LoadFailed,
    Progress,
    Ready,
    RunJob,
    ServiceMessage,
    Start,
)
from sam3d_bento.serving.worker.wire_format import Malformed

# A message takes milliseconds; a peer that does not take one for so long is stuck.
SEND_TIMEOUT_SECONDS = 20.0
# A killed process is gone in milliseconds, unless a driver holds it; then nobody can end it, and nobody waits for it.
KILL_TIMEOUT_SECONDS = 10.0
# A load that gets on, and never ends: six times the silence that is allowed, half an hour by default.
LOAD_LIMIT_SILENCES = 6

# What names of environment variables with keys begin with.
CREDENTIALS = ("RUNPOD_", "AWS_", "AZURE_", "GOOGLE_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

log = logging.getLogger("sam3d_bento.engine_process")


class EngineProcess:
    """A running `python -m sam3d_bento.serving.worker` and our end of its pipe.

    It is killed when the *thread* that made it ends (see `parent_death`): that thread must outlive it.
    Raises OSError when no process can be had: too many descriptors or processes, too little memory.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                arguments = [str(theirs.fileno()), str(os.getpid())]
                self.process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                    [sys.executable, "-m", "sam3d_bento.serving.worker", *arguments],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env=_environment(),
                )
        except BaseException:
            ours.close()
            raise
        self.pipe = Channel(ours, wire_format.MAX_FRAME_BYTES)

    def end(self, grace_seconds: float) -> int | None:
        """Close the pipe, wait, kill; the exit status, None when it cannot be killed."""
        self.pipe.close()
        try:
            return self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int | None:
        """End the process at once; the exit status, None when it outlives that for KILL_TIMEOUT_SECONDS."""
        self.process.kill()
        try:
            return self.process.wait(KILL_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            logs.event(log, "a killed engine process does not end", logging.ERROR, pid=self.process.pid)
            return None


class Waker:
    """A wait for pipes that any thread can end.

    One thread calls `wait`; any thread calls `wake`, which ends the wait of now, else the next one.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def wait(self, pipe: Channel | None, seconds: float | None = None) -> None:
        """Return when the pipe has something or is closed, somebody has called `wake`, or the time is over."""
        watched = [self._receiver.fileno(), *([pipe.fileno()] if pipe else [])]
        if self._receiver.fileno() in wait(watched, seconds):
            self._receiver.recv(4096)

    def wake(self) -> None:
        """See the class."""
        with contextlib.suppress(BlockingIOError):  # a full buffer wakes as well
            self._sender.send(b"!")


def load(
    pipe: Channel, start: Start, waker: Waker, stopped: Callable[[], bool], silence_seconds: float
) -> Ready | LoadFailed | EngineLost | None:
    """Send what to load and wait for the end of it: Ready, or LoadFailed when the load raised.

    EngineLost when the process died, or sent no sign of life for `silence_seconds`, or none of an end for
    LOAD_LIMIT_SILENCES times as long. None when nobody waits any more. waker: wakes when `stopped` has changed.
    """
    give_up = time.monotonic() + LOAD_LIMIT_SILENCES * silence_seconds
    heard = time.monotonic()
    try:
        _send(pipe, start, silence_seconds)
        while True:
            if stopped():
                return None
            if (message := _receive(pipe)) is not None:
                if isinstance(message, Ready | LoadFailed):
                    return message
                if not isinstance(message, Alive):
                    return EngineLost("The engine process spoke out of turn while it was loading.")
                heard = time.monotonic()
            now = time.monotonic()
            if now >= give_up:
                limit = LOAD_LIMIT_SILENCES * silence_seconds
                return EngineLost(f"The engine process was still loading after {limit:g} seconds.")
            if now >= heard + silence_seconds:
                return EngineLost(f"The engine process was silent for {silence_seconds:g} seconds of its load.")
            if message is None:
                waker.wait(pipe, min(give_up, heard + silence_seconds) - now)
    except (EOFError, OSError):
        return EngineLost("The engine process died while it was loading.")
    except (Malformed, FrameTooLong) as exc:
        return EngineLost(_unreadable(exc))


def converse(
    pipe: Channel,
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
    cancel_sent = False
    deadline = time.monotonic() + deadline_seconds
    try:
        _send(pipe, task, deadline_seconds)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return DeadlineExceeded(f"The run was stopped after {deadline_seconds:g} seconds.")
            waker.wait(pipe, left)
            if (reason := interruption()) is not None:
                return reason
            if job.cancelled.is_set() and not cancel_sent:
                _send(pipe, Cancel(job.id), left)
                cancel_sent = True
            message = _receive(pipe)
            if message is None:
                continue
            if not isinstance(message, Progress | Failed | Done) or message.job_id != job.id:
                return EngineLost("The engine answered for another job; it was restarted. Try again.")
            if isinstance(message, Progress):
                job.advance(message.stage, message.fraction)
            elif isinstance(message, Failed):
                return message.error
            else:
                return message
    except (EOFError, OSError):
        return EngineLost("The engine process died during the run and was restarted. Try again.")
    except (Malformed, FrameTooLong) as exc:
        return EngineLost(_unreadable(exc))


def _send(pipe: Channel, message: ServiceMessage, limit_seconds: float) -> None:
    """Send the message. Pickled: the engine process runs what we say in any case. Raises OSError, TimeoutError too."""
    pipe.send(pickle.dumps(message, pickle.HIGHEST_PROTOCOL), seconds=min(limit_seconds, SEND_TIMEOUT_SECONDS))


def _receive(pipe: Channel) -> EngineMessage | None:
    """Return the message that has come, if one is whole. Raises EOFError, OSError, FrameTooLong and Malformed."""
    frame = pipe.receive()
    return None if frame is None else wire_format.decode(frame)


def _unreadable(exc: ValueError) -> str:
    logs.event(log, "the engine process sent what is no message", logging.ERROR, reason=str(exc))
    return "The engine process sent what is no message, and was restarted. Try again."


def _environment() -> dict[str, str]:
    """The child finds this very package, also when it lies in a bento and is not installed.

    Keys that somebody or some platform put into the environment stay here: RunPod's for its SDK, a cloud's for the
    bucket. The engine, and the code of others in it, needs none.
    """
    source = str(Path(sam3d_bento.__file__).parents[1])
    search = os.environ.get("PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CREDENTIALS)}
    return {**inherited, "PYTHONPATH": f"{source}{os.pathsep}{search}" if search else source}
