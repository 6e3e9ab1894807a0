"""Parent's handle of the engine process: the child, our end of its pipe, and the exchanges of messages over it.

The first exchange is the load. Each task is a further one. An exchange always ends within a known time, even if the
process dies, stops responding or sends invalid messages.
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
    HandedOver,
    LoadFailed,
    Progress,
    Ready,
    RunJob,
    ServiceMessage,
    Start,
)
from sam3d_bento.serving.worker.wire_format import Malformed

# Longest time to send a message. Normally it takes milliseconds; a peer that does not read for so long is stuck.
SEND_TIMEOUT_SECONDS = 20.0
# Longest wait for a killed process. Normally it ends in milliseconds. A process that a driver blocks cannot be ended.
KILL_TIMEOUT_SECONDS = 10.0
# Longest load, in multiples of the allowed silence: half an hour by default. It ends a load that never finishes.
LOAD_LIMIT_SILENCES = 6

# Prefixes of environment variables that hold credentials.
CREDENTIALS = ("RUNPOD_", "AWS_", "AZURE_", "GOOGLE_", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")

log = logging.getLogger("sam3d_bento.engine_process")


class EngineProcess:
    """Running child `python -m sam3d_bento.serving.worker`, with our end of its pipe.

    The child is killed when the *thread* that made it ends (see `parent_death`), so that thread must outlive it.
    Raises OSError if the child cannot be started: too many descriptors or processes, too little memory.
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
        """Close the pipe, wait for the process, and kill it after the grace time.

        Returns the exit status, or None if the process cannot be killed.
        """
        self.pipe.close()
        try:
            return self.process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int | None:
        """Kill the process and return its exit status; None if it has not ended after KILL_TIMEOUT_SECONDS."""
        self.process.kill()
        try:
            return self.process.wait(KILL_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            logs.event(log, "a killed engine process does not end", logging.ERROR, pid=self.process.pid)
            return None


class Waker:
    """Wait for a pipe that any thread can interrupt.

    One thread calls `wait`. Any thread may call `wake`, which ends the current wait, or else the next one.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def wait(self, pipe: Channel | None, seconds: float | None = None) -> None:
        """Wait until the pipe is readable or closed, `wake` is called, or the time is over."""
        watched = [self._receiver.fileno(), *([pipe.fileno()] if pipe else [])]
        if self._receiver.fileno() in wait(watched, seconds):
            self._receiver.recv(4096)

    def wake(self) -> None:
        """End the current wait, or the next one."""
        with contextlib.suppress(BlockingIOError):  # a full buffer ends the wait too
            self._sender.send(b"!")


def load(
    pipe: Channel, start: Start, waker: Waker, stopped: Callable[[], bool], silence_seconds: float
) -> Ready | LoadFailed | EngineLost | None:
    """Send the load message, and wait for its outcome.

    Returns Ready, or LoadFailed if the load raised. Returns EngineLost if the process died, sent nothing for
    `silence_seconds`, or did not finish within LOAD_LIMIT_SILENCES times as long. Returns None if `stopped()`.
    waker: must be woken when `stopped` changes.
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
                    return EngineLost("The engine process sent an unexpected message while it was loading.")
                heard = time.monotonic()
            now = time.monotonic()
            if now >= give_up:
                limit = LOAD_LIMIT_SILENCES * silence_seconds
                return EngineLost(f"The engine process was still loading after {limit:g} seconds.")
            if now >= heard + silence_seconds:
                return EngineLost(
                    f"The engine process sent nothing for {silence_seconds:g} seconds while it was loading."
                )
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
) -> Done | HandedOver | Sam3DError:
    """Send the task, record the job's progress, forward its cancellation, and return the outcome.

    deadline_seconds: limit of the whole run, or of each object of a scene, from `job.deadline_from`, or from now if
    that is None. waker: must be woken when `job` is cancelled or `interruption` changes. interruption: returns the
    error with which to stop waiting now, or None. After DeadlineExceeded, EngineLost or an interruption, the engine
    process may still be running the task.
    """
    cancel_sent = False
    begun = time.monotonic()
    try:
        _send(pipe, task, deadline_seconds, () if task.memory is None else (task.memory,))
        while True:
            left = (job.deadline_from or begun) + deadline_seconds - time.monotonic()
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
            ends = Done | HandedOver if task.hands_over else Done
            if not isinstance(message, Progress | Failed | ends) or message.job_id != job.id:
                return EngineLost("The engine answered for another job and was restarted. Try again.")
            if isinstance(message, Progress):
                job.advance(message.stage, message.fraction, message.objects)
            elif isinstance(message, Failed):
                return message.error
            else:
                return message
    except (EOFError, OSError):
        return EngineLost("The engine process died during the run and was restarted. Try again.")
    except (Malformed, FrameTooLong) as exc:
        return EngineLost(_unreadable(exc))


def _send(pipe: Channel, message: ServiceMessage, limit_seconds: float, descriptors: tuple[int, ...] = ()) -> None:
    """Send the message, pickled, with descriptors. Raises OSError, also TimeoutError."""
    pickled = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    pipe.send(pickled, seconds=min(limit_seconds, SEND_TIMEOUT_SECONDS), descriptors=descriptors)


def _receive(pipe: Channel) -> EngineMessage | None:
    """Return the next message, or None if it is not complete. Raises EOFError, OSError, FrameTooLong and Malformed."""
    frame = pipe.receive()
    return None if frame is None else wire_format.decode(frame)


def _unreadable(exc: ValueError) -> str:
    logs.event(log, "the engine process sent an invalid message", logging.ERROR, reason=str(exc))
    return "The engine process sent an invalid message and was restarted. Try again."


def _environment() -> dict[str, str]:
    """Return the child's environment: this one, without credentials, and with this package on PYTHONPATH.

    PYTHONPATH is needed where the package lies in a bento and is not installed. Credentials, such as RunPod's or those
    of the bucket, are not passed on, because neither the engine nor its third-party code needs any.
    """
    source = str(Path(sam3d_bento.__file__).parents[1])
    search = os.environ.get("PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CREDENTIALS)}
    return {**inherited, "PYTHONPATH": f"{source}{os.pathsep}{search}" if search else source}
