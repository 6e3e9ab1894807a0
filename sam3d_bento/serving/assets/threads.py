"""Threads for file system calls that may hang, such as those to a network mount. Other threads are not blocked.

The threads are daemons, so a call that hangs in the kernel does not prevent the process from ending.
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

# Longest call: the limit of a bucket, which a local disk never reaches.
PATIENCE_SECONDS = 30.0
# Longest call that stores a result: 300 MB with its dense mesh, over a network of 1 MB a second.
WRITE_PATIENCE_SECONDS = 300.0
# Calls that run at a time. More do not make a disk faster.
THREADS = 16

SILENT = "The storage does not respond."
_Task = tuple["Future[Any]", Callable[[], Any]]


class StorageThreads:
    """Pool of at most `count` threads, started on demand. Its methods may be called from any thread and event loop.

    A call that takes longer than its patience raises StorageUnavailable, and its later result is dropped. A function
    that opens a file must therefore return an object that closes the file when it is garbage-collected.
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
        """Call the function in a thread and return its result. Raises its errors, and StorageUnavailable.

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
        """Call the function like `run`, from a thread that blocks until it ends."""
        future = self.start(lambda: function(*arguments))
        try:
            return future.result(_patience(patience_seconds))
        except TimeoutError:
            if _raised(future):
                raise
            future.cancel()
            raise StorageUnavailable(SILENT, retry_after_seconds=5) from None

    def start(self, function: Callable[[], Returned]) -> Future[Returned]:
        """Start the function in a thread, and return its future."""
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
        """Run one call. A separate function, so that an idle thread holds no objects of its last call."""
        try:
            if future.set_running_or_notify_cancel():
                try:
                    result = function()
                except BaseException as exc:  # noqa: BLE001  # raised again where the result is awaited
                    future.set_exception(exc)
                else:
                    future.set_result(result)
        finally:
            with self._lock:
                self._unfinished -= 1


def _patience(seconds: float | None) -> float:
    return PATIENCE_SECONDS if seconds is None else seconds


def _raised(future: Future[Any]) -> bool:
    """Return whether the function itself raised an error, such as a time-out of the disk."""
    return future.done() and not future.cancelled() and future.exception() is not None
