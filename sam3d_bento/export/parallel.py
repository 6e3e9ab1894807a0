"""Run pieces of work in parallel threads. numpy, scipy and Embree release the GIL while they compute."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Processors that this process may use.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

MAX_THREADS = 4  # more threads would mostly wait for memory, and each holds memory for its own item


def both(first: Callable[[], Item], second: Callable[[], Result]) -> tuple[Item, Result]:
    """Call two functions at the same time; return their results. An error of either is raised here."""
    with ThreadPoolExecutor(1, thread_name_prefix="export") as pool:
        beside = pool.submit(first)
        result = second()
        return beside.result(), result


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Call a function for each item in threads; yield the results in the order of the items.

    An item is taken only when a thread becomes free, so that few items and results are in memory at a time. An error
    that the function raises is raised here. After that, or when the caller stops iterating, no further item is begun. A
    single item is computed without a thread.
    """
    items = iter(items)
    begun = list(islice(items, 2))
    if len(begun) < 2:
        yield from map(function, begun)
        return
    threads = min(CORES, MAX_THREADS)
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
