"""Pieces of work side by side. numpy, scipy and Embree let other threads run while they compute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

MOST_THREADS = 4  # more would mostly wait for memory, and hold more of it


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results of a function for each item, in the order of the items.

    Items are taken only as threads become free, so that few of them and of their results are in memory at a time.
    What the function raises is raised here; then, or when the caller has had enough, no further item is begun. One item
    alone is worth no thread.
    """
    items = iter(items)
    begun = list(islice(items, 2))
    if len(begun) < 2:
        yield from map(function, begun)
        return
    threads = min(CORES, MOST_THREADS)
    running: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="export") as pool:
        try:
            for item in chain(begun, items):
                running.append(pool.submit(function, item))
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for future in running:
                future.cancel()
