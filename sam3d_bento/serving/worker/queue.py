"""The bounded queue of one worker: the jobs that wait, in the order in which they came, and the one that runs.

    add ──► waiting ──► take ──► running ──► release
               └──► remove, clear, expire: the job ends with an error, without having run

A job that was added leaves by exactly one of `take`, `remove`, `clear` and `expire`, whichever threads are at it: each
decides under the queue's lock. The lock is held for a few instructions, never while a future is resolved or a watcher
is called, for they may ask the queue again.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from sam3d_bento.errors import Busy, Sam3DError
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.run_times import RunTimes


class JobQueue:
    """See the module's docstring. For any thread.

    limit: how many may wait behind the one that runs. run_times: of the runs, for the advice to those who are refused.
    """

    def __init__(self, limit: int, run_times: RunTimes) -> None:
        self._limit = limit
        self._run_times = run_times
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None

    @property
    def running(self) -> Job | None:
        """The job that was taken and not released yet."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of jobs that wait, without the one that runs."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a job added now would be refused."""
        outstanding = len(self._waiting) + (self._running is not None)
        return outstanding > self._limit

    def admit(self) -> None:
        """Raise what `add` would raise now."""
        if self.full:
            # 0 would be an invitation.
            seconds = max(1, math.ceil(self._run_times.run_seconds * (len(self._waiting) + 1)))
            raise Busy("All places in the queue are taken. Try again later.", retry_after_seconds=seconds)

    def add(self, job: Job) -> None:
        """Let the job wait, behind the others. Raises Busy when the queue is full."""
        with self._lock:
            self.admit()
            self._waiting.append(job)

    def take(self) -> Job | None:
        """The job that has waited longest, which runs from now on; None when none waits. The one before is released."""
        with self._lock:
            if not self._waiting:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def release(self) -> Job | None:
        """The job that ran, which runs no more; None when none did. How it ends is the caller's to say."""
        with self._lock:
            job, self._running = self._running, None
            return job

    def position(self, job: Job) -> int | None:
        """How many jobs wait before this one, the running one not counted; None when it does not wait."""
        with self._lock:
            return self._waiting.index(job) if job in self._waiting else None

    def remove(self, job: Job, error: Sam3DError) -> bool:
        """End the job with the error if it waits. Whether it did; else nothing has changed."""
        with self._lock:
            waits = job in self._waiting
            if waits:
                self._waiting.remove(job)
        if waits:
            _turn_away(job, error)
        return waits

    def clear(self, error: Sam3DError) -> None:
        """End every job that waits with the error. The one that runs is left alone."""
        with self._lock:
            jobs = list(self._waiting)
            self._waiting.clear()
        for job in jobs:
            _turn_away(job, error)

    def expire(self, seconds: float, error: Callable[[], Sam3DError]) -> float | None:
        """End the jobs that have waited for so many seconds, each with an error of its own.

        Return the seconds until the next one will have; None when none waits.
        """
        now = time.monotonic()
        with self._lock:
            overdue = [job for job in self._waiting if now - job.submitted >= seconds]
            for job in overdue:
                self._waiting.remove(job)
            oldest = min((job.submitted for job in self._waiting), default=None)
        for job in overdue:
            _turn_away(job, error())
        return None if oldest is None else max(0.0, oldest + seconds - now)

    def tell(self) -> None:
        """Let every job that waits tell its watcher: its place may have changed."""
        with self._lock:
            jobs = list(self._waiting)
        for job in jobs:
            job.changed()


def _turn_away(job: Job, error: Sam3DError) -> None:
    job.submission = None  # an upload never outlives its job
    job.future.set_exception(error)
