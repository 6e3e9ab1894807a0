"""Export in another process what an engine process has reconstructed, while the engine process runs the next job.

    job ──► engine process ──► shared memory ──► exporter ──► result of the job
            decode, mask, reconstruct            export

The export is a job of another worker, the exporter. When it ends, the first job ends with its result or its error. If
the exporter dies or hangs, that is EngineLost or DeadlineExceeded. The deadline counts from the start of the first job.

At most one export runs and at most one waits: the engine's worker starts no run while one waits (`waiting`). So at most
three reconstructions are in memory.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from sam3d_bento.errors import Internal, Sam3DError
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.messages import Done
from sam3d_bento.serving.worker.shared_memory import SharedMemory

log = logging.getLogger("sam3d_bento.handover")


class Exporter(Protocol):
    """Worker that exports."""

    def submit(
        self,
        submission: Any,
        label: str,
        *,
        keep_reconstruction: bool = False,
        on_change: Callable[[Job], None] = ...,
        memory: SharedMemory | None = None,
        started: float | None = None,
    ) -> Job:
        """See `Worker.submit`."""


class Exports:
    """Exports of the jobs of one worker. Its methods may be called from any thread.

    exporter: returns the exporter, and starts it if necessary. ended: called once for each job, with its result or
    error. changed: called when `waiting` may have changed.
    """

    def __init__(
        self,
        exporter: Callable[[], Exporter],
        ended: Callable[[Job, Done | Sam3DError], None],
        changed: Callable[[], None],
    ) -> None:
        self._exporter = exporter
        self._ended = ended
        self._changed = changed
        self._exports: dict[str, _Export] = {}  # by the job's id, in order

    @property
    def jobs(self) -> list[Job]:
        """Jobs whose export waits or runs, the oldest first."""
        return [job for export in list(self._exports.values()) if (job := export.job) is not None]

    @property
    def waiting(self) -> bool:
        """Whether an export waits."""
        return any(not export.began for export in list(self._exports.values()))

    def prepare(self) -> None:
        """Start the exporter if it is not running, so that it is loaded when it is needed. Errors wait for `begin`."""
        with contextlib.suppress(Exception):
            self._exporter()

    def begin(self, job: Job) -> None:
        """Export what is in the job's memory. The job ends at once if the exporter does not take it."""
        export = self._exports[job.id] = _Export(job, self._end, self._changed)
        try:
            made = self._exporter().submit(
                None,
                job.label,
                keep_reconstruction=job.keep_reconstruction,
                on_change=export.advance,
                memory=job.memory,
                started=job.started,
            )
        except Sam3DError as error:
            export.end(error)
        except Exception:  # after a fault here, the job must still end
            log.exception("job %s cannot be exported", job.id)
            export.end(Internal("The run failed. The server's log says why."))
        else:
            job.export = made
            job.cancel_by(lambda _: made.cancel())
            made.future.add_done_callback(export.take)

    def _end(self, job: Job, outcome: Done | Sam3DError) -> None:
        del self._exports[job.id]
        self._ended(job, outcome)
        self._changed()


class _Export:
    """Link from an export to the job that it belongs to.

    job: None after the end, because otherwise the job, with its result, would be freed only by the garbage collector.
    """

    def __init__(self, job: Job, ended: Callable[[Job, Done | Sam3DError], None], changed: Callable[[], None]) -> None:
        self.job: Job | None = job
        self.began = False
        self._ended = ended
        self._changed = changed

    def advance(self, export: Job) -> None:
        """Take over the progress of the export."""
        job = self.job  # another thread may end it now
        if job is not None and export.progress is not None:
            job.advance(*export.progress)
            if not self.began:
                self.began = True
                self._changed()

    def take(self, future: Future[Any]) -> None:
        """Take over the outcome of the export."""
        error, job = future.exception(), self.job
        if error is not None:
            self.end(error if isinstance(error, Sam3DError) else Internal("The export failed."))
        elif job is not None:
            self.end(Done(job.id, future.result()))

    def end(self, outcome: Done | Sam3DError) -> None:
        """End the job, whose memory is freed."""
        job, self.job = self.job, None
        if job is None:
            return
        if job.memory is not None:
            job.memory.close()
            job.memory = None
        if job.export is not None:
            job.reconstruction = job.export.reconstruction
        self._ended(job, outcome)
