"""Program of an engine process: load one Runner, then run one task after the other until the pipe closes.

`worker.Worker` starts it as `python -m sam3d_bento.serving.worker FD PARENT`. It owns the GPU and all native code that
may hang, crash or run out of memory. The service process survives it, and it never outlives the service process.

Messages from the service process are unpickled, because the service decides what runs here anyway. Messages to it are
plain data (`wire_format`).
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import pickle
import signal
import socket
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, BinaryIO, cast

from sam3d_bento import logs, malloc, parent_death
from sam3d_bento.errors import Cancelled, Internal, Sam3DError, StorageFull
from sam3d_bento.serving.worker import wire_format
from sam3d_bento.serving.worker.channel import Channel
from sam3d_bento.serving.worker.heartbeat import beating
from sam3d_bento.serving.worker.messages import (
    RECONSTRUCTION_NAME,
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
    Runner,
    Saveable,
    ServiceMessage,
    SplitRunner,
    Start,
)
from sam3d_bento.submission import ObjectProgress, Stage

# Idle time after which freed memory is returned to the system. A run that begins earlier can reuse the memory.
IDLE_SECONDS = 5.0

FAILED = "The reconstruction failed. The server's log says why."

log = logging.getLogger("sam3d_bento.engine_process")


def main(descriptor: int, parent: int) -> None:
    """Serve the pipe at `descriptor` until it closes. The exit status is 1 if it closed before a message was sent.

    parent: process id of the service.
    """
    malloc.keep_for_reuse()
    parent_death.end_with(parent)  # a closed pipe is noticed only between tasks
    # Ctrl-C reaches the whole process group of a terminal, and BentoML's supervisor passes SIGTERM on to grandchildren.
    # Both are ignored: the service decides when this process ends, after the run that it still waits for.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        _serve(Pipe(socket.socket(fileno=descriptor)))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the service process is gone
        sys.exit(1)


class Pipe:
    """Engine's end of the pipe. end: the socket, which the pipe now owns."""

    def __init__(self, end: socket.socket) -> None:
        self._channel = Channel(end, sys.maxsize, takes_descriptors=True)

    def send(self, message: EngineMessage) -> None:
        """Send a message. Raises ValueError or TypeError for a result that cannot be sent, OSError without a peer."""
        self._channel.send(*wire_format.encode(message))

    def receive(self) -> ServiceMessage:
        """Wait for a message and return it. Raises EOFError or ConnectionResetError if the service is gone.

        `memory` of the message is a descriptor of this process.
        """
        message = cast(ServiceMessage, pickle.loads(self._channel.receive_whole()))  # noqa: S301  # from the service
        if isinstance(message, RunJob) and message.memory is not None:
            (descriptor,) = self._channel.take_descriptors()
            return replace(message, memory=descriptor)
        return message

    def poll(self, seconds: float = 0.0) -> bool:
        """Return whether a message arrives, or the service goes away, within this time."""
        return self._channel.wait(seconds)


def _serve(pipe: Pipe) -> None:
    start = cast(Start, pipe.receive())
    logs.configure(start.settings.log_format)
    try:
        with beating(lambda: pipe.send(Alive()), start.settings.load_silence_seconds):
            runner = _load(start)
    except Sam3DError as exc:
        pipe.send(LoadFailed(exc))
        return
    except Exception:  # /health must show a sentence for any error of a load
        log.exception("the load failed")
        pipe.send(LoadFailed(Internal("The engine could not be loaded. The server's log says why.")))
        return
    pipe.send(Ready(runner.info))
    while (task := _next_task(pipe)) is not None:
        with logs.bound(request_id=task.label, job=task.job_id):
            _send_end(pipe, _run(runner, task, pipe))


def _send_end(pipe: Pipe, end: Done | HandedOver | Failed) -> None:
    """Send the outcome of a task. A result that cannot be encoded is a fault of the runner, and fails one job."""
    try:
        pipe.send(end)
    except (TypeError, ValueError):
        log.exception("job %s: the result cannot be sent", end.job_id)
        pipe.send(Failed(end.job_id, Internal(FAILED)))


def _load(start: Start) -> Runner:
    module, _, attribute = start.loader.partition(":")
    loader: Any = importlib.import_module(module)
    for name in attribute.split("."):
        loader = getattr(loader, name)
    return cast(Runner, loader(start.settings))


def _next_task(pipe: Pipe) -> RunJob | None:
    """Wait for the next task; return None when the service closes the pipe. Returns freed memory while it is idle."""
    while True:
        try:
            if not pipe.poll(IDLE_SECONDS):
                malloc.give_back()
            message = pipe.receive()
        except (EOFError, ConnectionResetError):
            return None
        if isinstance(message, RunJob):
            return message
        # Any other message is a Cancel that arrived after the end of its job.


class _StageLog:
    """Log of a run's stages: one line for each stage that has ended."""

    def __init__(self) -> None:
        self._stage: Stage | None = None
        self._since = self._until = 0.0

    def update(self, stage: Stage) -> None:
        """Record that the run is in this stage."""
        if stage != self._stage:
            self.close()
            self._stage, self._since = stage, time.monotonic()
        self._until = time.monotonic()

    def close(self) -> None:
        """Record that the last stage has ended."""
        if self._stage is not None:
            logs.event(log, "stage done", stage=self._stage, seconds=round(self._until - self._since, 4))


def _opened(memory: int | None) -> AbstractContextManager[BinaryIO | None]:
    """Return shared memory as a file at its beginning, which owns the descriptor."""
    if memory is None:
        return nullcontext()
    file = os.fdopen(memory, "r+b")
    file.seek(0)  # processes share the position, too
    return file


def _run(runner: Runner, task: RunJob, pipe: Pipe) -> Done | HandedOver | Failed:
    stages = _StageLog()

    def on_progress(stage: Stage, fraction: float, objects: tuple[ObjectProgress, ...] = ()) -> None:
        stages.update(stage)
        while pipe.poll():  # `receive` raises if the service is gone
            message = pipe.receive()
            if isinstance(message, Cancel) and message.job_id == task.job_id:
                raise Cancelled("The job was cancelled.")
        pipe.send(Progress(task.job_id, stage, fraction, objects))

    def save(reconstruction: Saveable) -> None:
        try:
            reconstruction.save(task.directory / RECONSTRUCTION_NAME)
        except OSError:  # such as a full disk: return the model, although it cannot be exported again
            log.exception("job %s: the reconstruction could not be saved", task.job_id)
            (task.directory / RECONSTRUCTION_NAME).unlink(missing_ok=True)

    tempfile.tempdir = str(task.directory)  # temporary files of libraries are removed with the job
    try:
        arguments = (save,) if task.keep_reconstruction else ()
        with _opened(task.memory) as memory:
            if memory is not None and task.hands_over:
                result = cast(SplitRunner, runner).hand_over(task.submission, on_progress, memory, *arguments)
            else:
                result = runner.run(task.submission if memory is None else memory, on_progress, *arguments)
        stages.close()
        return HandedOver(task.job_id) if task.hands_over and result is None else Done(task.job_id, result)
    except Sam3DError as exc:
        return Failed(task.job_id, exc)
    except (EOFError, ConnectionResetError, BrokenPipeError):  # from the pipe: the service process is gone
        sys.exit(1)
    except OSError as exc:
        log.exception("job %s failed", task.job_id)
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failed(task.job_id, StorageFull("The disk for the job's files is full. Try again later."))
        return Failed(task.job_id, Internal(FAILED))
    except Exception:  # a failed job must not end the loaded engine
        log.exception("job %s failed", task.job_id)
        return Failed(task.job_id, Internal(FAILED))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
