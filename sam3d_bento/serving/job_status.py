"""Status of a job for its clients, and the events that led to it.

    QUEUED ──► RUNNING ──► DONE | FAILED | CANCELLED        (also directly from QUEUED to FAILED or CANCELLED)

An event contains the job's whole status, so a client that misses some events loses nothing. The last HISTORY events are
kept for clients that are slow or reconnect. Everything here runs in one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sam3d_bento.errors import Cancelled, Sam3DError
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.submission import ObjectState, Stage

# Events of a job that are kept.
HISTORY = 64
# Smallest change of the finished share (0..1) that makes an event. A run reports its progress hundreds of times, but a
# smaller change is not visible in a progress bar.
STEP = 0.02


class JobState(StrEnum):
    """State of a job, as the drawing in the module's docstring shows."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDS = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """Status of an object of a scene. fraction: the finished share of its run, 0..1."""

    name: str
    state: ObjectState
    fraction: float


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Status of a job at one moment. number: of the event, from 1. Other fields: as in the job's JSON (docs/api.md)."""

    number: int
    state: JobState
    stage: Stage | None
    stage_fraction: float
    fraction: float
    position: int | None
    estimated_seconds: float | None
    seconds: dict[str, float]
    objects: tuple[ObjectStatus, ...] = ()

    def differs(self, other: JobStatus) -> bool:
        """Return whether the difference from the other status is worth an event."""
        same = (self.state, self.stage, self.position) == (other.state, other.stage, other.position)
        same = same and [each.state for each in self.objects] == [each.state for each in other.objects]
        return not same or abs(self.fraction - other.fraction) >= STEP


class FollowedJob:
    """Job with its status and its events.

    report: report of the result, once DONE. error: the error, once FAILED or CANCELLED.
    """

    def __init__(self, job: Job, worker: Worker) -> None:
        self.id = job.id
        self.label = job.label
        self.created = datetime.now(UTC)
        self.report: dict[str, Any] | None = None
        self.error: Sam3DError | None = None
        self._job: Job | None = job
        self._worker = worker
        self.streams = 0  # open event streams of this job, counted by the code that opens them
        self.last_event: tuple[int, str, bytes] | None = None  # number, base URL of its links, encoded event
        self._moved = asyncio.Event()
        self._history: deque[JobStatus] = deque(maxlen=HISTORY)
        self._append(self._observe(job))

    @property
    def now(self) -> JobStatus:
        """Status at this moment, which may be between two events."""
        return self._history[-1] if self._job is None else self._observe(self._job)

    @property
    def ended(self) -> bool:
        """Whether no more events follow."""
        return self._history[-1].state in ENDS

    def cancel(self) -> None:
        """Cancel the job. A waiting job is CANCELLED at once, a running one when its worker has ended it."""
        job = self._job
        if job is None:
            return
        job.cancel()
        if job.future.done() and isinstance(error := job.future.exception(), Cancelled):
            self.failed(error)

    def refresh(self) -> None:
        """Make an event if the status has changed enough."""
        if self._job is not None:
            moment = self._observe(self._job)
            if moment.differs(self._history[-1]):
                self._append(moment)

    def done(self, report: dict[str, Any]) -> None:
        """Record that the job has ended and its result is stored."""
        self.report = report
        self._end(JobState.DONE, 1.0, report["seconds"])

    def failed(self, error: Sam3DError) -> None:
        """Record that the job has ended with an error. Only the first call counts."""
        if self.ended:
            return
        self.error = error
        before = self.now
        self._end(
            JobState.CANCELLED if isinstance(error, Cancelled) else JobState.FAILED, before.fraction, before.seconds
        )

    async def events(self, after: int | None, heartbeat_seconds: float) -> AsyncIterator[JobStatus | None]:
        """Yield the events after the number `after`, as far as they are kept. None: begin with the current status.

        Yields None after `heartbeat_seconds` without an event. Ends after the job's last event.
        """
        if after is None or after > self._history[-1].number:
            after = self._history[-1].number - 1
        while True:
            moved = self._moved  # read before the history, so that no event is missed before the wait
            for moment in [moment for moment in self._history if moment.number > after]:
                after = moment.number
                yield moment
            if self.ended and after >= self._history[-1].number:
                return
            if after >= self._history[-1].number:
                try:
                    await asyncio.wait_for(moved.wait(), heartbeat_seconds)
                except TimeoutError:
                    yield None

    def _end(self, state: JobState, fraction: float, seconds: dict[str, float]) -> None:
        last = self._history[-1]
        self._job = None  # frees the bytes of the result
        self._append(JobStatus(last.number, state, None, 0.0, fraction, None, None, seconds))

    def _append(self, moment: JobStatus) -> None:
        self._history.append(replace(moment, number=self._history[-1].number + 1 if self._history else 1))
        self._moved.set()
        self._moved = asyncio.Event()

    def _observe(self, job: Job) -> JobStatus:
        number = self._history[-1].number if self._history else 0
        run_times, position = self._worker.run_times, self._worker.queue.position(job)
        if position is not None and not job.objects:  # a scene that goes on with another engine process still runs
            running = self._worker.queue.running
            ahead = run_times.fraction(*running.progress) if running and running.progress else 0.0
            before = position + (running is not None)
            seconds = run_times.remaining(0.0, before, ahead)
            return JobStatus(number, JobState.QUEUED, None, 0.0, 0.0, position, _rounded(seconds), {})
        stage, stage_fraction = job.progress or (None, 0.0)
        fraction = run_times.fraction(stage, stage_fraction) if stage else 0.0
        objects: tuple[ObjectStatus, ...] = ()
        if job.objects:
            fraction = run_times.fraction_of_objects(job.objects)
            objects = tuple(
                ObjectStatus(each.name, each.state, round(run_times.fraction_of_object(each), 4))
                for each in job.objects
            )
        left = run_times.remaining(fraction)
        estimate = _rounded(None if left is None else left * max(len(objects), 1))
        seconds_so_far = {"queue": round(job.queue_seconds, 4), **job.seconds}
        shown = (round(stage_fraction, 4), round(fraction, 4))
        return JobStatus(number, JobState.RUNNING, stage, *shown, None, estimate, seconds_so_far, objects)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
