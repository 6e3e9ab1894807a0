"""One submission on its way through a worker."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from sam3d_bento.submission import Stage, Submission


class Job:
    """`future` resolves to the runner's result, or raises from the error tree.

    label: the request id, for logs. cancel: how its worker drops it. progress: the stage that runs and its finished
    share, 0..1; None while the job waits.
    """

    def __init__(self, submission: Submission, label: str, cancel: Callable[[Job], None]) -> None:
        self.id = secrets.token_hex(16)
        self.label = label
        self.submission: Submission | None = submission
        self.future: Future[Any] = Future()
        # A running future cannot be cancelled from outside: an awaiting task that is cancelled leaves it alone.
        self.future.set_running_or_notify_cancel()
        self.progress: tuple[Stage, float] | None = None
        self.submitted = time.monotonic()
        self.queue_seconds = 0.0
        self.cancelled = threading.Event()
        self._cancel = cancel

    def cancel(self) -> None:
        """Drop the job when it still waits; when it runs, end it at its next step. Without effect on a finished job."""
        self._cancel(self)
