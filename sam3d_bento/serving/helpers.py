"""Helper processes that are started on demand and end after an idle time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sam3d_bento import logs
from sam3d_bento.errors import NotReady
from sam3d_bento.serving.worker.worker import Worker

# Longest pause between two checks for idle helpers. It is shorter if the idle time is short.
LONGEST_CHECK_SECONDS = 15.0

log = logging.getLogger("sam3d_bento.helpers")


@dataclass
class _Helper:
    worker: Worker
    used: float  # monotonic seconds


class Counts(NamedTuple):
    """How often a process has loaded, and how often it was lost, since the service's start."""

    loads: int
    losses: int


class Helpers:
    """Workers of the helper processes, by name. Its methods may be called from any thread.

    A helper without a job for `idle_seconds` is stopped, to free its memory. The next call of `get` starts another one,
    which takes a second. `get` counts as use: the caller may submit a job at once, but must not keep the worker during
    an upload.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._helpers: dict[str, _Helper] = {}
        self._ended: dict[str, Counts] = {}  # of the helpers that were let go
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._watch: threading.Thread | None = None

    @property
    def workers(self) -> list[Worker]:
        """Workers of the running helpers."""
        with self._lock:
            return [helper.worker for helper in self._helpers.values()]

    @property
    def counts(self) -> dict[str, Counts]:
        """Return the counts of all helpers by name, those that were let go included: they never go down."""
        with self._lock:
            running = {name: self._with_ended(helper.worker) for name, helper in self._helpers.items()}
            return self._ended | running

    def get(self, name: str, make: Callable[[], Worker]) -> Worker:
        """Return the helper of this name. If it is not running, make it with `make` and start it.

        Raises NotReady after `close`, and the errors of `make` and of the worker's start.
        """
        with self._lock:
            if self._stopping.is_set():
                raise NotReady("The service is shutting down.", retry_after_seconds=5)
            helper = self._helpers.get(name)
            if helper is None:
                worker = make()
                worker.start()
                helper = self._helpers[name] = _Helper(worker, 0.0)
                self._begin_to_watch()
            helper.used = time.monotonic()
            return helper.worker

    def close(self) -> None:
        """Start no more helpers, and end the thread that stops idle ones. The caller stops `workers`."""
        with self._lock:
            self._stopping.set()
        if self._watch is not None:
            self._watch.join()

    def _begin_to_watch(self) -> None:
        if self._watch is None:
            self._watch = threading.Thread(target=self._let_idle_go, name="helpers", daemon=True)
            self._watch.start()

    def _let_idle_go(self) -> None:
        while not self._stopping.wait(min(self._idle_seconds / 4, LONGEST_CHECK_SECONDS)):
            for worker in self._take_idle():
                logs.event(log, f"{worker.name} process stopped: idle", idle_seconds=self._idle_seconds)
                worker.stop()

    def _take_idle(self) -> list[Worker]:
        """Remove the idle helpers, so that `get` no longer returns them, and return their workers."""
        now = time.monotonic()
        with self._lock:
            for helper in self._helpers.values():
                if _is_in_use(helper.worker):
                    helper.used = now
            idle = [name for name, helper in self._helpers.items() if now - helper.used >= self._idle_seconds]
            workers = [self._helpers.pop(name).worker for name in idle]
            for worker in workers:
                self._ended[worker.name] = self._with_ended(worker)
            return workers

    def _with_ended(self, worker: Worker) -> Counts:
        """Return what a helper has counted, with those before it that had its name."""
        before = self._ended.get(worker.name, Counts(0, 0))
        return Counts(before.loads + worker.loads, before.losses + worker.all_losses)


def _is_in_use(worker: Worker) -> bool:
    """Return whether the worker has a job or is loading."""
    loading = not (worker.ready or worker.state.final)
    return loading or worker.queue.waiting > 0 or worker.queue.running is not None
