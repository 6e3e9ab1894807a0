"""One engine process and the bounded queue before it.

A `Worker` owns
  * the engine process: starts it, waits for its load, replaces it when it dies or must be killed, ends it on `stop`;
  * the queue (`queue`): at most `queue_limit` jobs wait, one runs; one more is refused at once;
  * each job's run (`run`): its directory is gone before the job's future resolves, and one that exceeds the deadline
    costs the engine process, never the service;
  * the count of losses in a row: engine processes that died, hung or gave themselves up, with no job between them
    that ended in another way (`losses`; `all_losses` since the start). It only counts: a process is replaced however
    often that happens.
It promises that every job's future resolves, with the job's own result or with an error from the tree.

Its states are drawn in `state`. A thread supervises the process; `submit` and `Job.cancel` may be called from
any thread.

Two locks. The worker's guards `state`, and whatever must not come between a look at the state and a step of the queue:
that a job is added (`submit`: no job joins a queue that nobody serves any more) or taken (no run begins after `stop`).
The queue's own is taken inside of it, never the other way round; what does not depend on the state needs only that one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from sam3d_bento import gpu, logs
from sam3d_bento.errors import Cancelled, Internal, NotReady, Sam3DError
from sam3d_bento.serving.worker.engine_process import EngineProcess, Waker, load
from sam3d_bento.serving.worker.job import Job, ignore
from sam3d_bento.serving.worker.messages import Done, Ready, Start
from sam3d_bento.serving.worker.queue import JobQueue
from sam3d_bento.serving.worker.run import LOSSES, run
from sam3d_bento.serving.worker.run_times import RunTimes
from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.settings import Settings
from sam3d_bento.submission import RunnerInfo

STOP_GRACE_SECONDS = 3.0

log = logging.getLogger("sam3d_bento.worker")


def unnoticed(name: str, job: Job, outcome: Any) -> None:
    """The `run_ended` of a worker whose runs nobody counts."""


class Worker:
    """See the module's docstring.

    name: for logs. loader: as in `messages.Start`. queue_while_loading: whether jobs may wait for the first load too.
    run_ended: called in the supervising thread, before the job's future resolves, with the worker's name, the job, and
    its result or error.
    queue: to look at; jobs come into it by `submit`. run_times: of the runs so far.
    info: of the runner, once it is loaded.
    loads: that succeeded.
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
        self.run_times = RunTimes()
        self.queue = JobQueue(settings.queue_limit, self.run_times)
        self._loader = loader
        self._settings = settings
        self._workdir = workdir
        self._queue_while_loading = queue_while_loading
        self._run_ended = run_ended
        self._state = WorkerState.STARTING
        self._lock = threading.Lock()
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
            if self._state is WorkerState.STOPPED:
                return
            self._state = WorkerState.STOPPED
            self.reason = "The service is shutting down."
        self._waker.wake()
        if self._thread.is_alive():
            self._thread.join()
        self.queue.clear(NotReady(self.reason))

    @property
    def state(self) -> WorkerState:
        """Where the worker stands."""
        return self._state

    @property
    def ready(self) -> bool:
        """Whether the engine process is loaded."""
        return self._state.loaded

    def admit(self, *, may_wait: bool = False) -> None:
        """Raise what `submit` would raise now: NotReady while loading or after a failed load, Busy when full.

        may_wait: a job may wait for the first load. Lets a caller refuse before it reads an upload.
        """
        loading = self._state is WorkerState.STARTING and not (may_wait or self._queue_while_loading)
        if loading or self._state.final:
            raise NotReady(self.reason, retry_after_seconds=5)
        self.queue.admit()

    def submit(
        self,
        submission: Any,
        label: str,
        *,
        may_wait: bool = False,
        keep_reconstruction: bool = False,
        on_change: Callable[[Job], None] = ignore,
    ) -> Job:
        """Queue a job. label, keep_reconstruction, on_change: as in `Job`. Raises like `admit`, at once."""
        job = Job(submission, label, self.cancel, keep_reconstruction=keep_reconstruction, on_change=on_change)
        with self._lock:
            self.admit(may_wait=may_wait)
            self.queue.add(job)
        self._waker.wake()
        return job

    def cancel(self, job: Job) -> None:
        """See `Job.cancel`."""
        job.cancelled.set()  # before the queue is asked: a job that is taken meanwhile still hears of it
        if self.queue.remove(job, Cancelled("The job was cancelled before it started.")):
            self.queue.tell()
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
        loaded = load(engine.pipe, Start(self._loader, self._settings), self._waker, self._stopped)
        if isinstance(loaded, Ready):
            self.info = loaded.info
            self.loads += 1
            self._enter(WorkerState.READY, "")
            seconds = round(time.monotonic() - started, 2)
            logs.event(log, f"{self.name} process ready", version=loaded.info.version, seconds=seconds)
            return True
        if loaded is not None:
            self._give_up(loaded)
        return False

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
            job.queue_seconds = time.monotonic() - job.submitted
            self.queue.tell()
            memory = gpu.memory()
            used = f"{memory.used_bytes}/{memory.total_bytes} bytes" if memory else "no GPU"
            logs.event(log, f"{self.name} start", request_id=job.label, job=job.id, gpu_memory=used)
            deadline = self._settings.deadline_seconds
            outcome = run(engine, job, self._workdir, deadline, self._waker, self._interruption)
            if isinstance(outcome, Done):
                self.run_times.learn(job.seconds)
            # WorkerState and count change before the answer: who asks for /health after it must see them.
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
            job = self.queue.release()
            if self._state is WorkerState.BUSY:
                self._state = WorkerState.READY
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
                if self._state is WorkerState.STOPPED:
                    return None
                if (job := self.queue.take()) is not None:
                    self._state = WorkerState.BUSY
                    return job
            self._waker.wait(engine.pipe)
            if engine.pipe.poll(0):  # an idle engine has nothing to say: its end of the pipe is closed
                self._lose("it died while idle")
                return None

    def _lose(self, reason: str, job: Job | None = None) -> None:
        """Count the engine process as lost; a new one is to follow. job: the one that it was lost in."""
        self.losses += 1
        self.all_losses += 1
        self._enter(WorkerState.RESTARTING, "The engine process was lost; a new one is loading.")
        where = {"request_id": job.label, "job": job.id} if job else {}
        logs.event(log, f"{self.name} process lost", logging.ERROR, **where, reason=reason, in_a_row=self.losses)

    def _interruption(self) -> NotReady | None:
        return NotReady(self.reason) if self._stopped() else None

    def _stopped(self) -> bool:
        return self._state is WorkerState.STOPPED

    def _enter(self, state: WorkerState, reason: str) -> None:
        with self._lock:
            if not self._state.final:
                self._state = state
                self.reason = reason
