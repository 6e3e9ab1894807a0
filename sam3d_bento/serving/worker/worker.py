"""Supervisor of one engine process, with a bounded queue of jobs.

A `Worker` owns
  * the engine process: it starts the process, waits for the load, replaces a process that died or had to be killed, and
    ends it on `stop`;
  * the queue (`queue`): one job runs and at most `queue_limit` wait. A further job is refused at once. A job that has
    waited for `Settings.queue_seconds` ends without having run;
  * each job's run (`run`): the job's directory is removed before its future resolves. A run that exceeds the deadline
    ends the engine process, never the service;
    If the directory cannot be made or removed because the work folder hangs, the job ends OVERDUE_SECONDS after its
    deadline and the worker counts as broken, until the folder answers;
  * the number of losses in a row (`losses`) and since the start (`all_losses`). A loss is an engine process that could
    not be started, died, was silent during its load, hung, sent an invalid message or reported itself unusable. A
    successful load resets the lost loads, and a job that ends without a loss resets the lost runs. A lost process is
    always replaced: at once after a lost run or an idle process, after a growing pause if the load was lost.

A load that raises is not a loss, because it would raise again. The worker then stays FAILED.

After MAX_LOSSES_IN_A_ROW lost loads, waiting jobs end and new ones are refused until a load succeeds.

Every job's future resolves, with the job's own result or with an error from `errors`.

`state` has a drawing of the states. One thread supervises the process. It also starts the process, and outlives it (see
`EngineProcess`). A second thread ends jobs that have waited or run too long, even if the first thread is blocked.
`submit` and `Job.cancel` may be called from any thread.

If the runner hands over (`RunnerInfo.hands_over`), another worker exports, while this one runs the next job: see
`handover`.

There are two locks. The worker's lock guards `state`, and queue operations that depend on it: adding a job (not to a
queue that is no longer served) and taking one (not after `stop`). The queue's own lock is taken inside it, never the
other way round. Operations that do not depend on the state need only the queue's lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sam3d_bento import gpu, logs
from sam3d_bento.errors import Cancelled, DeadlineExceeded, Internal, NotReady, Sam3DError
from sam3d_bento.serving.worker.engine_process import EngineProcess, Waker, load
from sam3d_bento.serving.worker.handover import Exporter, Exports
from sam3d_bento.serving.worker.job import Job, ignore
from sam3d_bento.serving.worker.messages import Done, HandedOver, LoadFailed, Ready, Start
from sam3d_bento.serving.worker.queue import JobQueue
from sam3d_bento.serving.worker.run import LOSSES, run
from sam3d_bento.serving.worker.run_times import RunTimes
from sam3d_bento.serving.worker.shared_memory import SharedMemory
from sam3d_bento.serving.worker.state import MAX_LOSSES_IN_A_ROW, WorkerState
from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.settings import Settings
from sam3d_bento.submission import RunnerInfo

# Time that the engine process has to end by itself on `stop`.
STOP_GRACE_SECONDS = 3.0
# Longest wait of `stop` for the supervising thread, which itself waits for the grace time and a kill.
STOP_TIMEOUT_SECONDS = 20.0

# Longest time that a run may take beyond its deadline: 10 s to kill the process, and 30 s for the job's files, as long
# as the store of results may take.
OVERDUE_SECONDS = 40.0

# Pause after the first lost load. It doubles with each further one.
FIRST_PAUSE_SECONDS = 0.5
# Longest pause after a lost load.
LONGEST_PAUSE_SECONDS = 30.0
# Retry-After of jobs that are refused while loads are lost.
RETRY_AFTER_SECONDS = 30

log = logging.getLogger("sam3d_bento.worker")


def ignore_end(name: str, job: Job, outcome: Any) -> None:
    """Do nothing: the `run_ended` of a worker whose runs are not counted."""


def ignore_load() -> None:
    """Do nothing: the `loaded` of a worker for whose loads nobody waits."""


def pause_seconds(lost_loads: int) -> float:
    """Return the pause before the next load after this number of lost loads in a row."""
    if lost_loads == 0:
        return 0.0
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(lost_loads - 1, 16), LONGEST_PAUSE_SECONDS)


class Worker:
    """Supervisor of one engine process, as the module's docstring describes.

    name: for logs. loader: as in `messages.Start`. queue_while_loading: whether jobs may wait for the first load.
    run_ended: called in the supervising thread, before the job's future resolves, with the worker's name, the job, and
    its result or error.
    loaded: called in the supervising thread after each successful load.
    exporter: returns the worker that exports what a runner hands over; None if each runner exports what it makes.
    queue: read-only for callers, which add jobs by `submit`. run_times: means over the runs so far.
    info: facts on the runner; None before the first load. loads: number of successful loads.
    """

    def __init__(
        self,
        name: str,
        loader: str,
        settings: Settings,
        workdir: WorkDir,
        *,
        queue_while_loading: bool = False,
        run_ended: Callable[[str, Job, Any], None] = ignore_end,
        loaded: Callable[[], None] = ignore_load,
        exporter: Callable[[], Exporter] | None = None,
    ) -> None:
        self.name = name
        self.reason = "The engine is loading."
        self.info: RunnerInfo | None = None
        self.loads = 0
        self.all_losses = 0
        self._lost_runs = 0  # in a row; an idle process that was lost counts as one
        self._lost_loads = 0  # in a row
        self.run_times = RunTimes()
        self.queue = JobQueue(settings.queue_limit, self.run_times)
        self._loader = loader
        self._settings = settings
        self._workdir = workdir
        self._queue_while_loading = queue_while_loading
        self._run_ended = run_ended
        self._loaded = loaded
        self._state = WorkerState.STARTING
        self._lock = threading.Lock()
        self._waker = Waker()
        self._thread = threading.Thread(target=self._supervise, name=f"{name}-worker", daemon=True)
        self._exports = None if exporter is None else Exports(exporter, self._resolve, self._waker.wake)
        self._changed = threading.Event()  # a job was added or taken, or the worker was stopped
        self._expiry = threading.Thread(target=self._expire, name=f"{name}-expiry", daemon=True)

    # -- for callers -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine process without waiting for its load. Raises RuntimeError if no thread can be started."""
        self._expiry.start()
        try:
            self._thread.start()
        except RuntimeError:
            self.stop()
            raise

    def fail(self, reason: str) -> None:
        """Set the state FAILED instead of calling `start`, because something else that every job needs is missing."""
        self._give_up(NotReady(reason))

    def stop(self) -> None:
        """End the engine process. Running and waiting jobs end with NotReady. A second call waits for the first."""
        with self._lock:
            self._state = WorkerState.STOPPED
            self.reason = "The service is shutting down."
        self._waker.wake()
        self._changed.set()
        self.queue.clear(self._stopping())
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_SECONDS)
            if self._thread.is_alive():  # blocked by a driver or a disk for an unknown time
                self._finish(self._stopping())

    @property
    def state(self) -> WorkerState:
        """State of the worker."""
        return self._state

    @property
    def ready(self) -> bool:
        """Whether the engine process is loaded."""
        return self._state.loaded

    @property
    def losses(self) -> int:
        """Number of engine processes lost in a row."""
        return self._lost_runs + self._lost_loads

    @property
    def exporting(self) -> list[Job]:
        """Jobs that another worker exports, or is about to."""
        return [] if self._exports is None else self._exports.jobs

    def admit(self, *, may_wait: bool = False) -> None:
        """Raise the error that `submit` would raise now: Busy if the queue is full, NotReady if no engine can run it.

        Callers can refuse a request before they read its upload. may_wait: whether the job may wait for the first load.
        """
        loading = self._state is WorkerState.STARTING and not (may_wait or self._queue_while_loading)
        if loading or self._state.final:
            raise NotReady(self.reason, retry_after_seconds=5)
        if self._lost_loads >= MAX_LOSSES_IN_A_ROW:
            raise NotReady(self.reason, retry_after_seconds=RETRY_AFTER_SECONDS)
        self.queue.admit()

    def submit(
        self,
        submission: Any,
        label: str,
        *,
        may_wait: bool = False,
        keep_reconstruction: bool = False,
        on_change: Callable[[Job], None] = ignore,
        memory: SharedMemory | None = None,
        started: float | None = None,
    ) -> Job:
        """Queue a job and return it. Raises like `admit`. may_wait: as of `admit`. The other arguments: as in `Job`."""
        job = Job(
            submission,
            label,
            self.cancel,
            keep_reconstruction=keep_reconstruction,
            on_change=on_change,
            memory=memory,
            started=started,
        )
        with self._lock:
            self.admit(may_wait=may_wait)
            self.queue.add(job)
        self._waker.wake()
        self._changed.set()
        return job

    def cancel(self, job: Job) -> None:
        """Cancel a job, as `Job.cancel` describes."""
        job.cancelled.set()  # set first, so that a job that is taken in the meantime is cancelled too
        if self.queue.remove(job, Cancelled("The job was cancelled before it started.")):
            self.queue.notify_waiting()
        else:
            self._waker.wake()

    # -- the supervising thread --------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        while not self._state.final:
            self._pause()
            if self._stopped():
                return
            try:
                engine = EngineProcess()
            except OSError as exc:
                self._lose_load(f"The engine process could not be started ({exc.strerror}).")
                continue
            try:
                if self._load(engine):
                    self._serve(engine)
            except Exception:  # after a fault here, the running job must still end
                log.exception("the supervisor of the %s process failed", self.name)
                self._lose_load("The supervisor of the engine process failed.")
                self._finish(Internal("The run failed. The server's log says why."))
            finally:
                engine.end(STOP_GRACE_SECONDS if self._stopped() else 0.0)

    def _pause(self) -> None:
        """Wait before the next load, longer after each lost one."""
        until = time.monotonic() + pause_seconds(self._lost_loads)
        while not self._stopped() and (left := until - time.monotonic()) > 0:
            self._waker.wait(None, left)

    def _load(self, engine: EngineProcess) -> bool:
        """Load the engine; return whether that succeeded."""
        started = time.monotonic()
        start = Start(self._loader, self._settings)
        loaded = load(engine.pipe, start, self._waker, self._stopped, self._settings.load_silence_seconds)
        if isinstance(loaded, Ready):
            self.info = loaded.info
            self.loads += 1
            self._lost_loads = 0
            self.run_times.overlaps = self._hands_over
            self._enter(WorkerState.READY, "")
            seconds = round(time.monotonic() - started, 2)
            logs.event(log, f"{self.name} process ready", version=loaded.info.version, seconds=seconds)
            self._loaded()
            return True
        if isinstance(loaded, LoadFailed):
            self._give_up(loaded.error)
        elif loaded is not None:
            self._lose_load(loaded.detail)
        return False

    def _expire(self) -> None:
        """End the jobs that have waited or run too long, until the worker stops."""
        while not self._stopped():
            self._changed.clear()
            waits = (self.queue.expire(self._due, self._expired), self._end_overdue())
            self._changed.wait(min((wait for wait in waits if wait is not None), default=None))

    def _due(self, job: Job) -> float:
        """Return when a job that still waits must end: monotonic clock."""
        due = job.submitted + self._settings.queue_seconds
        return due if job.started is None else min(due, job.started + self._settings.deadline_seconds)

    def _expired(self, job: Job) -> Sam3DError:
        """Return a new error for a job that is due. An error that is raised again would keep all its frames."""
        if job.started is not None:
            return self._too_late()
        limit = self._settings.queue_seconds
        return NotReady(f"The job waited for {limit:g} seconds and was not started. Try again.", retry_after_seconds=5)

    def _too_late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"The run was stopped after {self._settings.deadline_seconds:g} seconds.")

    def _end_overdue(self) -> float | None:
        """End the running job if the supervising thread is stuck with it.

        Return the seconds until the job would be overdue; None if no job runs.
        """
        limit = self._settings.deadline_seconds + OVERDUE_SECONDS
        with self._lock:
            job = self.queue.running
        if job is None or job.deadline_from is None:
            return None
        if (left := job.deadline_from + limit - time.monotonic()) > 0:
            return left
        self._lost_runs = MAX_LOSSES_IN_A_ROW
        where = {"request_id": job.label, "job": job.id}
        self._lose("The work folder does not answer.", "its work folder does not answer", **where)
        error = DeadlineExceeded(f"The run was given up after {limit:g} seconds, because a disk does not answer.")
        self._finish(error, only=job)
        return None

    def _give_up(self, error: Sam3DError) -> None:
        self._enter(WorkerState.FAILED, error.detail)
        logs.event(log, f"{self.name} process failed to load", logging.ERROR, reason=error.detail)
        self.queue.clear(NotReady(error.detail))

    def _serve(self, engine: EngineProcess) -> None:
        """Run jobs until the process must be replaced, or the worker stops."""
        while True:
            job = self._next(engine)
            if job is None:
                return
            if not job.lost:
                job.queue_seconds = time.monotonic() - job.submitted
            self.queue.notify_waiting()
            if self._exports is not None and self._hands_over:
                self._exports.prepare()
            memory = gpu.memory()
            used = f"{memory.used_bytes}/{memory.total_bytes} bytes" if memory else "no GPU"
            logs.event(log, f"{self.name} start", request_id=job.label, job=job.id, gpu_memory=used)
            deadline = self._settings.deadline_seconds
            if job.started is not None and time.monotonic() >= job.started + deadline:  # an export that came too late
                self._finish(self._too_late())
                continue
            outcome = run(
                engine, job, self._workdir, deadline, self._waker, self._interruption, hands_over=self._hands_over
            )
            # State and losses change before the job ends, so that a client sees them in /health after its response.
            if isinstance(outcome, LOSSES):
                self._lose_run(outcome.detail, job)
                if not job.goes_on or not self._put_back(job):
                    self._finish(outcome)
                return
            self._lost_runs = 0
            self._enter(WorkerState.BUSY, "")  # also after `_end_overdue`
            self._finish(outcome)
            del job, outcome  # frees the result, which otherwise stays in memory until the next job

    def _finish(self, outcome: Done | HandedOver | Sam3DError, only: Job | None = None) -> None:
        """End the run of the running job. only: do nothing if another job runs by now."""
        with self._lock:
            if only is not None and self.queue.running is not only:
                return
            job = self.queue.release()
            if self._state is WorkerState.BUSY:
                self._state = WorkerState.READY
        if job is None:
            return
        if not isinstance(outcome, HandedOver):
            self._resolve(job, outcome)
        elif self._exports is not None:
            self._exports.begin(job)

    def _put_back(self, job: Job) -> bool:
        """Let the running job, a scene, wait for another engine process; return whether one will come."""
        with self._lock:
            if self._state.final or self.queue.put_back() is None:
                return False
        job.future.add_done_callback(lambda ended: self._workdir.remove_job_directory(job.id))
        self._changed.set()
        return True

    def _resolve(self, job: Job, outcome: Done | Sam3DError) -> None:
        """Resolve the future of a job that no longer runs."""
        if isinstance(outcome, Sam3DError):
            self._tell(job, outcome)
            job.future.set_exception(outcome)
        else:
            self.run_times.learn(job.seconds, len(job.objects) or 1)
            self._tell(job, outcome.result)
            job.future.set_result(outcome.result)

    def _tell(self, job: Job, outcome: Any) -> None:
        try:
            self._run_ended(self.name, job, outcome)
        except Exception:  # after a fault here, the job must still end
            log.exception("job %s: its end could not be recorded", job.id)

    def _next(self, engine: EngineProcess) -> Job | None:
        """Wait for the next job and return it; None if the worker stops or the idle process died."""
        while True:
            with self._lock:
                if self._state is WorkerState.STOPPED:
                    return None
                blocked = self._exports is not None and self._exports.waiting
                if not blocked and (job := self.queue.take()) is not None:
                    self._state = WorkerState.BUSY
                    job.started = job.started or time.monotonic()
                    self._changed.set()
                    return job
            self._waker.wait(engine.pipe)
            if engine.pipe.wait(0):  # an idle engine sends nothing, so its end of the pipe is closed
                self._lose_run("it died while idle")
                return None

    def _lose_run(self, reason: str, job: Job | None = None) -> None:
        """Count a loaded engine process as lost, so that it is replaced. job: the job that it was running."""
        self._lost_runs += 1
        where = {"request_id": job.label, "job": job.id} if job else {}
        self._lose("The engine process was lost. A new one is loading.", reason, **where)

    def _lose_load(self, reason: str) -> None:
        """Count an engine process that did not load as lost, so that it is replaced after a pause."""
        self._lost_loads += 1
        self._lose(f"{reason.removesuffix(' Try again.')} It is being started again.", reason)
        if self._lost_loads >= MAX_LOSSES_IN_A_ROW:
            self.queue.clear(NotReady(self.reason, retry_after_seconds=RETRY_AFTER_SECONDS))

    def _lose(self, shown: str, reason: str, **fields: str) -> None:
        self.all_losses += 1
        # Until the first successful load no job is accepted, because the engine may be unable to load.
        self._enter(WorkerState.RESTARTING if self.loads else WorkerState.STARTING, shown)
        logs.event(log, f"{self.name} process lost", logging.ERROR, **fields, reason=reason, in_a_row=self.losses)

    @property
    def _hands_over(self) -> bool:
        return self._exports is not None and self.info is not None and self.info.hands_over

    def _interruption(self) -> NotReady | None:
        return self._stopping() if self._stopped() else None

    def _stopping(self) -> NotReady:
        return NotReady(self.reason, retry_after_seconds=5)

    def _stopped(self) -> bool:
        return self._state is WorkerState.STOPPED

    def _enter(self, state: WorkerState, reason: str) -> None:
        with self._lock:
            if not self._state.final:
                self._state = state
                self.reason = reason
