"""Job of a worker: a submission that waits in the queue and is then run by the engine process.

If another process exports what this one reconstructs, that export is a job of its own, of another worker (`handover`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from opentelemetry.context import get_current

from sam3d_bento.errors import Sam3DError
from sam3d_bento.serving.worker.shared_memory import SharedMemory
from sam3d_bento.submission import ObjectProgress, Stage


def ignore(job: Job) -> None:
    """Do nothing: the `on_change` of a job that nobody follows."""


class Job:
    """Job of a worker. `future` resolves to the runner's result, or raises an error from `errors`.

    submission: input of the runner; set to None when the run ends. label: request id, for logs.
    memory: shared memory between the reconstruction and the export, for a job of two processes and for its export.
    started: when the run began (monotonic clock), from which its deadline counts; None while the job waits. An export
    has the start of the job that it belongs to.
    export: the job of another worker that exports what this one has reconstructed; it owns the file `reconstruction`.
    cancel: the worker's method that cancels the job.
    keep_reconstruction: whether the run saves the reconstruction. `reconstruction` is then a file in the work
    directory, which is removed with the job unless the file was moved away.
    on_change: called from the worker's thread when the job's place in the queue or its progress changes.
    objects: how far the objects of a scene are; empty before they are known, and for a single object.
    lost: the object of a scene that has cost an engine process, with the error. goes_on: whether the job runs again for
    the other objects.
    progress: current stage and its finished share, 0..1; None while the job waits.
    seconds: time spent in each stage so far. began: start of each stage (monotonic clock).
    context: OpenTelemetry context of the submission.
    """

    def __init__(
        self,
        submission: Any,
        label: str,
        cancel: Callable[[Job], None],
        *,
        keep_reconstruction: bool = False,
        on_change: Callable[[Job], None] = ignore,
        memory: SharedMemory | None = None,
        started: float | None = None,
    ) -> None:
        self.id = secrets.token_hex(16)
        self.label = label
        self.submission: Any = submission
        self.memory = memory
        self.started = started
        self.objects: tuple[ObjectProgress, ...] = ()
        self._object_began: float | None = None
        self.lost: dict[str, Sam3DError] = {}
        self.goes_on = False
        self.export: Job | None = None
        self.keep_reconstruction = keep_reconstruction
        self.reconstruction: Path | None = None
        self.future: Future[Any] = Future()
        # A running future is not cancelled when a task that awaits it is cancelled.
        self.future.set_running_or_notify_cancel()
        self.progress: tuple[Stage, float] | None = None
        self.seconds: dict[str, float] = {}
        self.began: dict[str, float] = {}
        self.context = get_current()
        self.submitted = time.monotonic()
        self.queue_seconds = 0.0
        self.cancelled = threading.Event()
        self._cancel = cancel
        self._on_change = on_change

    def cancel(self) -> None:
        """Remove the job from the queue, or end its run at the next step. Has no effect on a finished job."""
        self._cancel(self)

    def cancel_by(self, cancel: Callable[[Job], None]) -> None:
        """Cancel the job by this method from now on; at once if it was cancelled before."""
        self._cancel = cancel
        if self.cancelled.is_set():
            cancel(self)

    @property
    def deadline_from(self) -> float | None:
        """When the deadline began that holds now (monotonic clock): with the run, or with the last object of a scene.

        None while the job waits.
        """
        return self.started if self._object_began is None else self._object_began

    def advance(self, stage: Stage, fraction: float, objects: tuple[ObjectProgress, ...] = ()) -> None:
        """Record the progress of the run. fraction: finished share of the stage, 0..1. objects: of a scene."""
        now = time.monotonic()
        if objects:
            begun = sum(each.state != "waiting" for each in objects)
            if begun > sum(each.state != "waiting" for each in self.objects):
                self._object_began = now
            self.objects = objects
        self.seconds[stage] = round(now - self.began.setdefault(stage, now), 4)
        self.progress = (stage, fraction)
        self.changed()

    def go_on_without_lost_object(self, loss: Sam3DError) -> None:
        """Record which object of a scene an engine process was lost with, and let the others run again, once.

        That is the object that the network was at, or else the one that was exported.
        """
        running = [each for each in self.objects if each.state == "running"]
        suspects = [each.name for each in running if each.stage == "reconstruct"] or [each.name for each in running]
        others = any(each.state != "failed" and each.name not in suspects[-1:] for each in self.objects)
        if suspects and others and not self.lost and not self.cancelled.is_set():
            self.lost[suspects[-1]] = loss
            self.goes_on = True
            self.started = self._object_began = None

    def changed(self) -> None:
        """Call `on_change`."""
        self._on_change(self)
