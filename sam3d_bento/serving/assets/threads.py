"""Threads for calls that a file system may hold up: a network mount that hangs costs these threads and no others.

The threads are daemons, so a call that hangs in the kernel does not hold up the end of the process either.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sam3d_bento.errors import StorageUnavailable

Returned = TypeVar("Returned")

PATIENCE_SECONDS = 30.0  # for one call: as long as a bucket may take, and a local disk never takes
WRITE_PATIENCE_SECONDS = 300.0  # to keep a result: 300 MB with its dense mesh, over a network that takes 1 MB a second
THREADS = 16  # calls at a time: more do not make a disk faster

SILENT = "The storage does not answer."
_Task = tuple["Future[Any]", Callable[[], Any]]


class StorageThreads:
    """At most `count` threads, started when they are needed. For any thread and event loop.

    A call that takes longer than its patience is given up: it raises StorageUnavailable. What it returns later is
    dropped, so a function that opens a file returns an object that closes it when it is dropped.
    """

    def __init__(self, name: str, count: int = THREADS) -> None:
        self._name = name
        self._count = count
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._unfinished = 0  # calls that wait or run

    async def run(
        self, function: Callable[..., Returned], *arguments: Any, patience_seconds: float | None = None
    ) -> Returned:
        """Call the function in a thread and return its result. Raises what it raises, and StorageUnavailable.

        patience_seconds: None for PATIENCE_SECONDS.
        """
        future = self.start(lambda: function(*arguments))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), _patience(patience_seconds))
        except TimeoutError:
            if _raised(future):
                raise
            raise StorageUnavailable(SILENT, retry_after_seconds=5) from None

    def call(
        self, function: Callable[..., Returned], *arguments: Any, patience_seconds: float | None = None
    ) -> Returned:
        """Do the same for a caller that is a thread."""
        future = self.start(lambda: function(*arguments))
        try:
            return future.result(_patience(patience_seconds))
        except TimeoutError:
            if _raised(future):
                raise
            future.cancel()
            raise StorageUnavailable(SILENT, retry_after_seconds=5) from None

    def start(self, function: Callable[[], Returned]) -> Future[Returned]:
        """Call the function in a thread, and wait for nothing."""
        future: Future[Returned] = Future()
        with self._lock:
            self._unfinished += 1
            if self._unfinished > self._started and self._started < self._count:
                self._started += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()
        self._tasks.put((future, function))
        return future

    def _work(self) -> None:
        while True:
            self._serve(*self._tasks.get())

    def _serve(self, future: Future[Any], function: Callable[[], Any]) -> None:
        """Run one call. A function of its own, so that an idle thread holds on to nothing of its last call."""
        try:
            if future.set_running_or_notify_cancel():
                try:
                    result = function()
                except BaseException as exc:  # noqa: BLE001  # it is raised where the result is awaited
                    future.set_exception(exc)
                else:
                    future.set_result(result)
        finally:
            with self._lock:
                self._unfinished -= 1


def _patience(seconds: float | None) -> float:
    return PATIENCE_SECONDS if seconds is None else seconds


def _raised(future: Future[Any]) -> bool:
    """Return whether the function itself ended with an error: the disk's own time-out, say."""
    return future.done() and not future.cancelled() and future.exception() is not None
