"""Bounded queue of one worker: the running job, and the waiting jobs in order of arrival.

    add ──► waiting ──► take ──► running ──► release
               └──► remove, clear, expire: the job ends with an error, without having run

Each job leaves the queue by exactly one of `take`, `remove`, `clear` and `expire`, also if several threads call them,
because each decides under the queue's lock. The lock is never held while a future is resolved or `on_change` is
called, because these may call the queue again.
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
    """Bounded queue, as the module's docstring describes. Its methods may be called from any thread.

    limit: jobs that may wait while one runs. run_times: used to compute Retry-After for refused jobs.
    """

    def __init__(self, limit: int, run_times: RunTimes) -> None:
        self._limit = limit
        self._run_times = run_times
        self._lock = threading.Lock()
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None

    @property
    def running(self) -> Job | None:
        """Job that was taken and not yet released."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of waiting jobs, without the running one."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether a job added now would be refused."""
        outstanding = len(self._waiting) + (self._running is not None)
        return outstanding > self._limit

    def admit(self) -> None:
        """Raise Busy if the queue is full."""
        if self.full:
            # At least 1, because with 0 clients would try again at once.
            seconds = max(1, math.ceil(self._run_times.turn_seconds * (len(self._waiting) + 1)))
            raise Busy("The queue is full. Try again later.", retry_after_seconds=seconds)

    def add(self, job: Job) -> None:
        """Append the job to the queue. Raises Busy if the queue is full."""
        with self._lock:
            self.admit()
            self._waiting.append(job)

    def take(self) -> Job | None:
        """Return the job that has waited longest, which becomes the running job; None if no job waits."""
        with self._lock:
            if not self._waiting:
                return None
            self._running = self._waiting.popleft()
            return self._running

    def release(self) -> Job | None:
        """Return the running job, which then no longer runs; None if none runs. The caller resolves its future."""
        with self._lock:
            job, self._running = self._running, None
            return job

    def put_back(self) -> Job | None:
        """Let the running job wait again, before all others; return it, or None if none runs."""
        with self._lock:
            job, self._running = self._running, None
            if job is not None:
                self._waiting.appendleft(job)
            return job

    def position(self, job: Job) -> int | None:
        """Return the number of jobs that wait before this one, without the running job; None if it does not wait."""
        with self._lock:
            return self._waiting.index(job) if job in self._waiting else None

    def remove(self, job: Job, error: Sam3DError) -> bool:
        """End the job with the error if it is waiting; return whether it was."""
        with self._lock:
            waits = job in self._waiting
            if waits:
                self._waiting.remove(job)
        if waits:
            _end_with_error(job, error)
        return waits

    def clear(self, error: Sam3DError) -> None:
        """End every waiting job with the error. The running job continues."""
        with self._lock:
            jobs = list(self._waiting)
            self._waiting.clear()
        for job in jobs:
            _end_with_error(job, error)

    def expire(self, due: Callable[[Job], float], error: Callable[[Job], Sam3DError]) -> float | None:
        """End the waiting jobs whose time `due` (monotonic clock) has come, each with a new error from `error`.

        Return the seconds until the next job is due; None if no job waits.
        """
        now = time.monotonic()
        with self._lock:
            overdue = [job for job in self._waiting if due(job) <= now]
            for job in overdue:
                self._waiting.remove(job)
            next_due = min(map(due, self._waiting), default=None)
        for job in overdue:
            _end_with_error(job, error(job))
        return None if next_due is None else max(0.0, next_due - now)

    def notify_waiting(self) -> None:
        """Call `on_change` of every waiting job, because its place in the queue may have changed."""
        with self._lock:
            jobs = list(self._waiting)
        for job in jobs:
            job.changed()


def _end_with_error(job: Job, error: Sam3DError) -> None:
    job.submission = None  # frees the upload
    job.future.set_exception(error)
