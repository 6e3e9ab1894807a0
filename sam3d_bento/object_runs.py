"""Run the objects of a scene: the network on one after the other, and the export of each beside the next network.

An object's own error does not end the others' runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from sam3d_bento.errors import Cancelled, EngineLost, Internal, Sam3DError
from sam3d_bento.progress import OnProgress
from sam3d_bento.submission import ObjectProgress, OnStageProgress, Stage

Made = TypeVar("Made")
Finished = TypeVar("Finished")

# Exports that wait while the network works on: each holds a dense mesh, some hundred MB with its splats.
MAX_WAITING_EXPORTS = 1
# How often the run can be cancelled while only exports go on.
POLL_SECONDS = 0.1

log = logging.getLogger("sam3d_bento.object_runs")


@dataclass
class ObjectRun(Generic[Finished]):
    """Run of one object. Exactly one of `result` and `error` is set at the end.

    times: begin and end of each stage, in seconds since the objects' first.
    """

    name: str
    result: Finished | None = None
    error: Sam3DError | None = None
    times: dict[Stage, tuple[float, float]] = field(default_factory=dict)

    def seconds(self, stage: Stage) -> float:
        """Return how long a stage took; 0 for one that was not reached."""
        begin, end = self.times.get(stage, (0.0, 0.0))
        return end - begin


class _Interrupted(Exception):
    """Raised in the thread of exports when the run has ended."""


class _Walk(Generic[Made, Finished]):
    """State of the runs of all objects. The thread of exports changes it under the lock; only `tell` calls back."""

    def __init__(self, runs: Sequence[ObjectRun[Finished]], on_progress: OnStageProgress) -> None:
        self.runs = runs
        self.interruption: BaseException | None = None
        self.stopped = threading.Event()
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._states = [
            ObjectProgress(run.name, "failed" if run.error else "done" if run.result else "waiting") for run in runs
        ]
        self._began = time.perf_counter()

    def tell(self) -> None:
        """Report how far all objects are, in the thread of the run. Raises what `on_progress` raises."""
        with self._lock:
            states = tuple(self._states)
        stage: Stage = "reconstruct" if any(_left(state, "reconstruct") for state in states) else "export"
        share = sum(_share(state, stage) for state in states) / len(states)
        try:
            self._on_progress(stage, share, states)
        except BaseException as exc:
            self.interruption = exc
            raise

    def set(self, index: int, **changes: object) -> None:
        """Change the state of an object."""
        with self._lock:
            self._states[index] = replace(self._states[index], **changes)  # type: ignore[arg-type]

    def now(self) -> float:
        """Return the seconds since the runs began."""
        return round(time.perf_counter() - self._began, 4)


def run_objects(
    runs: Sequence[ObjectRun[Finished]],
    reconstruct: Callable[[int, OnProgress], Made],
    export: Callable[[int, Made, OnProgress], Finished],
    on_progress: OnStageProgress,
) -> None:
    """Run the objects that have neither a result nor an error yet, and set the result or the error of each.

    reconstruct, export: the two steps of the object with this index; `export` is called in another thread, one object
    at a time. on_progress: called in this thread, with the states of all objects. Raises EngineLost, and whatever
    `on_progress` raises.
    """
    walk: _Walk[Made, Finished] = _Walk(runs, on_progress)
    waiting: dict[Future[None], int] = {}
    with ThreadPoolExecutor(1, thread_name_prefix="export") as beside:
        try:
            for index, run in enumerate(runs):
                if run.error is not None or run.result is not None:
                    continue
                made = _attempt(walk, index, "reconstruct", partial(_reconstruct, walk, index, reconstruct))
                if made is None:
                    continue
                _wait(walk, waiting, MAX_WAITING_EXPORTS)
                waiting[beside.submit(_export, walk, index, made, export)] = index
                del made
            _wait(walk, waiting, 0)
        finally:
            walk.stopped.set()  # ends an export at its next step, if the run was interrupted


def _reconstruct(walk: _Walk[Made, Finished], index: int, reconstruct: Callable[[int, OnProgress], Made]) -> Made:
    def on_step(fraction: float) -> None:
        walk.set(index, stage_fraction=fraction)
        walk.tell()

    walk.set(index, state="running")
    on_step(0.0)
    made = reconstruct(index, on_step)
    walk.set(index, stage="export", stage_fraction=0.0)
    return made


def _export(
    walk: _Walk[Made, Finished], index: int, made: Made, export: Callable[[int, Made, OnProgress], Finished]
) -> None:
    def on_step(fraction: float) -> None:
        if walk.stopped.is_set():
            raise _Interrupted
        walk.set(index, stage_fraction=fraction)

    finished = _attempt(walk, index, "export", lambda: export(index, made, on_step))
    if finished is not None:
        walk.runs[index].result = finished
        walk.set(index, state="done", stage_fraction=1.0)


Step = TypeVar("Step")


def _attempt(walk: _Walk[Made, Finished], index: int, stage: Stage, step: Callable[[], Step]) -> Step | None:
    """Return what a step of an object returns; None if it raised an error of the object, which is then recorded."""
    run, began = walk.runs[index], walk.now()
    try:
        return step()
    except (EngineLost, Cancelled, _Interrupted):
        raise
    except Sam3DError as exc:
        run.error = exc
    except Exception as exc:
        if exc is walk.interruption:
            raise
        log.exception("the object %d failed", index + 1)
        run.error = Internal("The object could not be reconstructed. The server's log says why.")
    finally:
        run.times[stage] = (began, walk.now())
    walk.set(index, state="failed")
    return None


def _wait(walk: _Walk[Made, Finished], waiting: dict[Future[None], int], most: int) -> None:
    """Wait until at most this many exports are left, and report how far they are meanwhile."""
    while len(waiting) > most:
        done = wait(waiting, POLL_SECONDS).done
        for future in done:
            del waiting[future]
            future.result()  # raises only what is a fault of this module
        walk.tell()


def _left(state: ObjectProgress, stage: Stage) -> bool:
    return state.state in ("waiting", "running") and _share(state, stage) < 1


def _share(state: ObjectProgress, stage: Stage) -> float:
    """Return the finished share, 0..1, of a stage of an object."""
    if state.state in ("done", "failed") or (state.stage == "export" and stage == "reconstruct"):
        return 1.0
    return state.stage_fraction if state.stage == stage else 0.0
