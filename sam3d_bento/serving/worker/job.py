"""One job: a submission on its way through a worker, queued, then run by the engine process."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from opentelemetry.context import get_current

from sam3d_bento.submission import Stage


def ignore(job: Job) -> None:
    """The `on_change` of a job that nobody follows."""


class Job:
    """`future` resolves to the runner's result, or raises from the error tree.

    submission: what the runner is asked; let go when the run ends. label: the request id, for logs. cancel: how its
    worker drops it. keep_reconstruction: whether the run saves it; `reconstruction` is that file in the work directory
    then. Whoever stores the result moves it away; else it is removed with the job.
    on_change: called, from the worker's thread, whenever the job's place in the queue or its progress has changed.
    progress: the stage that runs and its finished share, 0..1; None while the job waits.
    seconds: spent in each stage so far. began: when each began (monotonic).
    context: of OpenTelemetry, where the job was submitted.
    """

    def __init__(
        self,
        submission: Any,
        label: str,
        cancel: Callable[[Job], None],
        *,
        keep_reconstruction: bool = False,
        on_change: Callable[[Job], None] = ignore,
    ) -> None:
        self.id = secrets.token_hex(16)
        self.label = label
        self.submission: Any = submission
        self.keep_reconstruction = keep_reconstruction
        self.reconstruction: Path | None = None
        self.future: Future[Any] = Future()
        # A running future cannot be cancelled from outside: an awaiting task that is cancelled leaves it alone.
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
        """Drop the job when it still waits; when it runs, end it at its next step. Without effect on a finished job."""
        self._cancel(self)

    def advance(self, stage: Stage, fraction: float) -> None:
        """Take in what the run tells of itself."""
        now = time.monotonic()
        self.seconds[stage] = round(now - self.began.setdefault(stage, now), 4)
        self.progress = (stage, fraction)
        self.changed()

    def changed(self) -> None:
        """Tell who watches."""
        self._on_change(self)
