"""One engine process and the bounded queue before it.

A `Worker` owns
  * the engine process: starts it, waits for its load, replaces it when it dies or must be killed, ends it on `stop`;
  * the queue: at most `queue_limit` jobs wait, one runs; one more is refused at once;
  * each job's directory, which is removed before the job's future resolves;
  * the deadline: a run that exceeds it costs the engine process, never the service;
  * the count of losses in a row: engine processes that died, hung or gave themselves up, with no job between them
    that ended in another way (`losses`; `all_losses` since the start). It only counts: a process is replaced however
    often that happens.
It promises that every job's future resolves, with the job's own result or with an error from the tree.

States:
    STARTING ──► READY ◄──► BUSY            the first load; then idle or running a job
        │          ▲          │
        ▼          └─ RESTARTING ◄── ...    the process was lost and a new one loads; jobs may queue
      FAILED                                the load failed; stays so, with `reason`, until the service is restarted
    STOPPED                                 after `stop`

A thread supervises the process; `submit` and `Job.cancel` may be called from any thread.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Any

from sam3d_bento.errors import (
    Busy,
    Cancelled,
    DeadlineExceeded,
    EngineLost,
    Internal,
    NotReady,
    Sam3DError,
    StorageFull,
)
from sam3d_bento.serving import gpu, logs
from sam3d_bento.serving.child import EngineProcess
from sam3d_bento.serving.conversation import converse
from sam3d_bento.serving.job import Job, unwatched
from sam3d_bento.serving.messages import RECONSTRUCTION_NAME, Done, LoadFailed, Ready, Start, Task
from sam3d_bento.serving.pace import Pace
from sam3d_bento.serving.waker import Waker
from sam3d_bento.serving.workdir import WorkDir
from sam3d_bento.settings import Settings
from sam3d_bento.submission import RunnerInfo

STOP_GRACE_SECONDS = 3.0
# Outcomes that cost the process: it hangs, is dead, or said itself that it can no longer be trusted.
LOSSES = (DeadlineExceeded, EngineLost)

log = logging.getLogger("sam3d_bento.worker")


def unnoticed(name: str, job: Job, outcome: Any) -> None:
    """The `run_ended` of a worker whose runs nobody counts."""


class State(StrEnum):
    """See the module's docstring."""

    STARTING = "starting"
    READY = "ready"
    BUSY = "busy"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class Worker:
    """See the module's docstring.

    name: for logs. loader: as in `messages.Start`. queue_while_loading: whether jobs may wait for the first load too.
    run_ended: called in the supervising thread, before the job's future resolves, with the worker's name, the job, and
    its result or error.
    """

    def __init__(
        self,
        name: str,
        loader: str,
        settings: Settings,
        workdir: WorkDir,
        *,
        queue_while_loading: bool = False,
        run_ended: Callable[[str, Job, Any], None] = unnoticed,
    ) -> None:
        self.name = name
        self.reason = "The engine is loading."
        self.info: RunnerInfo | None = None
        self.loads = 0
        self.losses = 0
        self.all_losses = 0
        self.pace = Pace()
        self._loader = loader
        self._settings = settings
        self._workdir = workdir
        self._queue_while_loading = queue_while_loading
        self._run_ended = run_ended
        self._state = State.STARTING
        self._lock = threading.Lock()
        self._queue: deque[Job] = deque()
        self._running: Job | None = None
        self._waker = Waker()
        self._thread = threading.Thread(target=self._supervise, name=f"{name}-worker", daemon=True)

    # -- for callers -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine process; returns at once."""
        self._thread.start()

    def fail(self, reason: str) -> None:
        """Stay FAILED, instead of `start`: something else that every job needs is missing."""
        self._give_up(NotReady(reason))

    def stop(self) -> None:
        """End the engine process. A job that runs or waits ends with NotReady."""
        with self._lock:
            if self._state is State.STOPPED:
                return
            self._state = State.STOPPED
            self.reason = "The service is shutting down."
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join()
        self._fail_queue(NotReady(self.reason))

    @property
    def state(self) -> State:
        """Where the worker stands."""
        return self._state

    @property
    def ready(self) -> bool:
        """Whether the engine process is loaded."""
        return self._state in (State.READY, State.BUSY)

    @property
    def running(self) -> Job | None:
        """The job that runs now."""
        return self._running

    @property
    def waiting(self) -> int:
        """Number of jobs in the queue, without the one that runs."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Whether a job submitted now would be refused."""
        outstanding = len(self._queue) + (self._running is not None)
        return outstanding > self._settings.queue_limit

    def admit(self, *, may_wait: bool = False) -> None:
        """Raise what `submit` would raise now: NotReady while loading or after a failed load, Busy when full.

        may_wait: a job may wait for the first load. Lets a caller refuse before it reads an upload.
        """
        loading = self._state is State.STARTING and not (may_wait or self._queue_while_loading)
        if loading or self._state in (State.FAILED, State.STOPPED):
            raise NotReady(self.reason, retry_after_seconds=5)
        if self.full:
            seconds = max(1, math.ceil(self.pace.run_seconds * (len(self._queue) + 1)))  # 0 would be an invitation
            raise Busy("All places in the queue are taken. Try again later.", retry_after_seconds=seconds)

    def position(self, job: Job) -> int | None:
        """How many jobs are before this one in the queue, the running one not counted; None when it does not wait."""
        with self._lock:
            return self._queue.index(job) if job in self._queue else None

    def submit(
        self,
        submission: Any,
        label: str,
        *,
        may_wait: bool = False,
        keep: bool = False,
        watch: Callable[[Job], None] = unwatched,
    ) -> Job:
        """Queue a job. label, keep, watch: as in `Job`. Raises like `admit`, at once."""
        job = Job(submission, label, self.cancel, keep=keep, watch=watch)
        with self._lock:
            self.admit(may_wait=may_wait)
            self._queue.append(job)
        self._waker.wake()
        return job

    def cancel(self, job: Job) -> None:
        """See `Job.cancel`."""
        with self._lock:
            job.cancelled.set()
            waits = job in self._queue
            if waits:
                self._queue.remove(job)
        if waits:
            job.submission = None
            job.future.set_exception(Cancelled("The job was cancelled before it started."))
            self._tell_those_that_wait()
        else:
            self._waker.wake()

    # -- the supervising thread --------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        while not self._stopped():
            try:
                engine = EngineProcess()
            except OSError as exc:
                self._give_up(NotReady(f"The engine process cannot be started ({exc.strerror})."))
                return
            try:
                if not self._load(engine):
                    return
                self._serve(engine)
            except Exception:  # a fault here must not leave a job that never ends
                log.exception("the supervisor of the %s process failed", self.name)
                self._lose("its supervisor failed")
                self._finish(Internal("The run failed; the server's log says why."))
            finally:
                engine.end(STOP_GRACE_SECONDS if self._stopped() else 0.0)

    def _load(self, engine: EngineProcess) -> bool:
        """Wait for the load to end; whether it succeeded. A failed load ends the supervision."""
        started = time.monotonic()
        try:
            engine.pipe.send(Start(self._loader, self._settings))
            while not engine.pipe.poll(0):
                self._waker.wait(engine.pipe)
                if self._stopped():
                    return False
            message = engine.pipe.recv()
        except (EOFError, OSError):
            message = LoadFailed(NotReady("The engine process died while it was loading."))
        if isinstance(message, Ready):
            self.info = message.info
            self.loads += 1
            self._enter(State.READY, "")
            seconds = round(time.monotonic() - started, 2)
            logs.event(log, f"{self.name} process ready", version=message.info.version, seconds=seconds)
            return True
        error = message.error if isinstance(message, LoadFailed) else Internal("The engine process spoke out of turn.")
        self._give_up(error)
        return False

    def _give_up(self, error: Sam3DError) -> None:
        self._enter(State.FAILED, error.detail)
        logs.event(log, f"{self.name} process failed to load", logging.ERROR, reason=error.detail)
        self._fail_queue(NotReady(error.detail))

    def _serve(self, engine: EngineProcess) -> None:
        """Run jobs until the process must be replaced, or the worker stops."""
        while True:
            job = self._next(engine)
            if job is None:
                return
            job.queue_seconds = time.monotonic() - job.submitted
            self._tell_those_that_wait()
            memory = gpu.memory()
            used = f"{memory.used_bytes}/{memory.total_bytes} bytes" if memory else "no GPU"
            logs.event(log, f"{self.name} start", request_id=job.label, job=job.id, gpu_memory=used)
            outcome = self._run(engine, job)
            if isinstance(outcome, Done):
                self.pace.learn(job.seconds)
            # State and count change before the answer: who asks for /health after it must see them.
            if isinstance(outcome, LOSSES):
                self._lose(outcome.detail, job)
                self._finish(outcome)
                return
            self.losses = 0
            self._finish(outcome)
            del job, outcome  # lest the last result stays in memory until the next job comes

    def _finish(self, outcome: Done | Sam3DError) -> None:
        """Resolve the running job."""
        with self._lock:
            job, self._running = self._running, None
            if self._state is State.BUSY:
                self._state = State.READY
        if job is None:
            return
        if isinstance(outcome, Sam3DError):
            self._run_ended(self.name, job, outcome)
            job.future.set_exception(outcome)
        else:
            self._run_ended(self.name, job, outcome.result)
            job.future.set_result(outcome.result)

    def _next(self, engine: EngineProcess) -> Job | None:
        """The next job; None when the worker stops or the idle process died."""
        while True:
            with self._lock:
                if self._state is State.STOPPED:
                    return None
                if self._queue:
                    self._running = self._queue.popleft()
                    self._state = State.BUSY
                    return self._running
            self._waker.wait(engine.pipe)
            if engine.pipe.poll(0):  # an idle engine has nothing to say: its end of the pipe is closed
                self._lose("it died while idle")
                return None

    def _run(self, engine: EngineProcess, job: Job) -> Done | Sam3DError:
        """Run one job to its end, in its own directory."""
        assert job.submission is not None
        try:
            with self._workdir.job_directory(job.id) as directory:
                task = Task(job.id, job.submission, directory, job.keep, job.label)
                outcome = converse(
                    engine.pipe, task, job, self._settings.deadline_seconds, self._waker, self._interruption
                )
                if isinstance(outcome, LOSSES):
                    engine.process.kill()  # it may still write: it ends before its directory goes
                    engine.process.wait()
                elif isinstance(outcome, Done):
                    with contextlib.suppress(FileNotFoundError):  # not asked for, or it could not be saved
                        job.reconstruction = (directory / RECONSTRUCTION_NAME).open("rb")
                return outcome
        except OSError as exc:
            log.exception("no directory for job %s", job.id)
            return StorageFull(f"The server cannot store the job's files ({exc.strerror}).")
        finally:
            job.submission = None  # an upload never outlives its processing

    def _lose(self, reason: str, job: Job | None = None) -> None:
        """Count the engine process as lost; a new one is to follow. job: the one that it was lost in."""
        self.losses += 1
        self.all_losses += 1
        self._enter(State.RESTARTING, "The engine process was lost; a new one is loading.")
        where = {"request_id": job.label, "job": job.id} if job else {}
        logs.event(log, f"{self.name} process lost", logging.ERROR, **where, reason=reason, in_a_row=self.losses)

    def _interruption(self) -> NotReady | None:
        return NotReady(self.reason) if self._stopped() else None

    def _stopped(self) -> bool:
        return self._state is State.STOPPED

    def _enter(self, state: State, reason: str) -> None:
        with self._lock:
            if self._state not in (State.STOPPED, State.FAILED):
                self._state = state
                self.reason = reason

    def _fail_queue(self, error: Sam3DError) -> None:
        with self._lock:
            jobs = list(self._queue)
            self._queue.clear()
        for job in jobs:
            job.submission = None
            job.future.set_exception(error)

    def _tell_those_that_wait(self) -> None:
        with self._lock:
            jobs = list(self._queue)
        for job in jobs:
            job.changed()
