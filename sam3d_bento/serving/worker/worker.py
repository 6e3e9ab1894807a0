"""One engine process and the bounded queue before it.

A `Worker` owns
  * the engine process: starts it, waits for its load, replaces it when it dies or must be killed, ends it on `stop`;
  * the queue (`queue`): at most `queue_limit` jobs wait, one runs; one more is refused at once, and one that has waited
    for `Settings.queue_seconds` ends without having run;
  * each job's run (`run`): its directory is gone before the job's future resolves, and one that exceeds the deadline
    costs the engine process, never the service;
  * the count of losses in a row (`losses`; `all_losses` since the start). A loss is an engine process that could not be
    started, died, fell silent while it loaded, hung, said what is no message, or gave itself up. A load that succeeds
    ends a row of lost loads, a job that ends in another way ends every row. A process is replaced however often that
    happens: at once when a run or an idle process was lost, after a growing pause when a load was.

A load that raised is no loss: it has said no, and would say it again. The worker is FAILED then, for good.

While MOST_LOSSES loads in a row are lost, no job waits and none is taken in: each is told so at once.

It promises that every job's future resolves, with the job's own result or with an error from the tree.

Its states are drawn in `state`. One thread supervises the process; it makes the process too, and outlives it (see
`EngineProcess`). Another ends the jobs that have waited too long, so that they end whatever holds up the first.
`submit` and `Job.cancel` may be called from any thread.

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
from sam3d_bento.serving.worker.messages import Done, LoadFailed, Ready, Start
from sam3d_bento.serving.worker.queue import JobQueue
from sam3d_bento.serving.worker.run import LOSSES, run
from sam3d_bento.serving.worker.run_times import RunTimes
from sam3d_bento.serving.worker.state import MOST_LOSSES, WorkerState
from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.settings import Settings
from sam3d_bento.submission import RunnerInfo

STOP_GRACE_SECONDS = 3.0
# `stop` waits no longer for the thread that supervises: it has the grace and a kill to wait for.
STOP_TIMEOUT_SECONDS = 20.0

# Between a lost load and the next one: the first pause, doubled each time, and the longest.
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
# For those who are refused while loads are lost.
RETRY_AFTER_SECONDS = 30

log = logging.getLogger("sam3d_bento.worker")


def unnoticed(name: str, job: Job, outcome: Any) -> None:
    """The `run_ended` of a worker whose runs nobody counts."""


def unannounced() -> None:
    """The `loaded` of a worker for whose loads nobody waits."""


def pause_seconds(lost_loads: int) -> float:
    """Return how long to wait before the next load after so many that were lost in a row."""
    if lost_loads == 0:
        return 0.0
    return min(FIRST_PAUSE_SECONDS * 2.0 ** min(lost_loads - 1, 16), LONGEST_PAUSE_SECONDS)


class Worker:
    """See the module's docstring.

    name: for logs. loader: as in `messages.Start`. queue_while_loading: whether jobs may wait for the first load too.
    run_ended: called in the supervising thread, before the job's future resolves, with the worker's name, the job, and
    its result or error.
    loaded: called in the supervising thread after each load that succeeded.
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
        loaded: Callable[[], None] = unannounced,
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
        self._added = threading.Event()
        self._expiry = threading.Thread(target=self._expire, name=f"{name}-expiry", daemon=True)

    # -- for callers -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine process; returns at once. Raises RuntimeError, and has done nothing, without threads."""
        self._expiry.start()
        try:
            self._thread.start()
        except RuntimeError:
            self.stop()
            raise

    def fail(self, reason: str) -> None:
        """Stay FAILED, instead of `start`: something else that every job needs is missing."""
        self._give_up(NotReady(reason))

    def stop(self) -> None:
        """End the engine process. A job that runs or waits ends with NotReady. The second call waits for the first."""
        with self._lock:
            self._state = WorkerState.STOPPED
            self.reason = "The service is shutting down."
        self._waker.wake()
        self._added.set()
        self.queue.clear(self._stopping())
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_SECONDS)
            if self._thread.is_alive():  # held up by a driver or a disk, for nobody knows how long
                self._finish(self._stopping())

    @property
    def state(self) -> WorkerState:
        """Where the worker stands."""
        return self._state

    @property
    def ready(self) -> bool:
        """Whether the engine process is loaded."""
        return self._state.loaded

    @property
    def losses(self) -> int:
        """Engine processes lost in a row."""
        return self._lost_runs + self._lost_loads

    def admit(self, *, may_wait: bool = False) -> None:
        """Raise what `submit` would raise now: Busy when full, NotReady while nothing loads or has loaded.

        may_wait: a job may wait for the first load. Lets a caller refuse before it reads an upload.
        """
        loading = self._state is WorkerState.STARTING and not (may_wait or self._queue_while_loading)
        if loading or self._state.final:
            raise NotReady(self.reason, retry_after_seconds=5)
        if self._lost_loads >= MOST_LOSSES:
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
    ) -> Job:
        """Queue a job. label, keep_reconstruction, on_change: as in `Job`. Raises like `admit`, at once."""
        job = Job(submission, label, self.cancel, keep_reconstruction=keep_reconstruction, on_change=on_change)
        with self._lock:
            self.admit(may_wait=may_wait)
            self.queue.add(job)
        self._waker.wake()
        self._added.set()
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
            except Exception:  # a fault here must not leave a job that never ends
                log.exception("the supervisor of the %s process failed", self.name)
                self._lose_load("The supervisor of the engine process failed.")
                self._finish(Internal("The run failed; the server's log says why."))
            finally:
                engine.end(STOP_GRACE_SECONDS if self._stopped() else 0.0)

    def _pause(self) -> None:
        """Wait before the next load, longer after each that was lost."""
        until = time.monotonic() + pause_seconds(self._lost_loads)
        while not self._stopped() and (left := until - time.monotonic()) > 0:
            self._waker.wait(None, left)

    def _load(self, engine: EngineProcess) -> bool:
        """Wait for the load to end; whether it succeeded."""
        started = time.monotonic()
        start = Start(self._loader, self._settings)
        loaded = load(engine.pipe, start, self._waker, self._stopped, self._settings.load_silence_seconds)
        if isinstance(loaded, Ready):
            self.info = loaded.info
            self.loads += 1
            self._lost_loads = 0
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
        """End the jobs that have waited too long, until the worker stops."""
        limit = self._settings.queue_seconds

        def error() -> NotReady:  # a new one for each: an error that is raised again and again keeps all its frames
            return NotReady(
                f"The job waited for {limit:g} seconds and was not begun. Try again.", retry_after_seconds=5
            )

        while not self._stopped():
            self._added.clear()
            next_seconds = self.queue.expire(limit, error)
            self._added.wait(next_seconds)

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
                self._lose_run(outcome.detail, job)
                self._finish(outcome)
                return
            self._lost_runs = 0
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
            if engine.pipe.wait(0):  # an idle engine has nothing to say: its end of the pipe is closed
                self._lose_run("it died while idle")
                return None

    def _lose_run(self, reason: str, job: Job | None = None) -> None:
        """Count an engine process that had loaded as lost; a new one is to follow. job: the one that it was lost in."""
        self._lost_runs += 1
        where = {"request_id": job.label, "job": job.id} if job else {}
        self._lose("The engine process was lost; a new one is loading.", reason, **where)

    def _lose_load(self, reason: str) -> None:
        """Count an engine process that had not loaded as lost; a new one is to follow, after a pause."""
        self._lost_loads += 1
        self._lose(f"{reason.removesuffix(' Try again.')} It is started again.", reason)
        if self._lost_loads >= MOST_LOSSES:
            self.queue.clear(NotReady(self.reason, retry_after_seconds=RETRY_AFTER_SECONDS))

    def _lose(self, shown: str, reason: str, **fields: str) -> None:
        self.all_losses += 1
        # Before the first load no job is taken in: whether anything can load is not known yet.
        self._enter(WorkerState.RESTARTING if self.loads else WorkerState.STARTING, shown)
        logs.event(log, f"{self.name} process lost", logging.ERROR, **fields, reason=reason, in_a_row=self.losses)

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
