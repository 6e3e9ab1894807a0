"""Counters and histograms that live in this process's memory, in the shape that Prometheus scrapes.

`prometheus_client`'s own instruments write into memory-mapped files here: BentoML sets PROMETHEUS_MULTIPROC_DIR for
processes that count together, and the choice is made once, at import. One process knows everything in this service, so
files would only bring what files bring: values of dead processes, and a SIGBUS on a full disk.

Labels must come from a bounded set: each new combination is kept for the life of the process.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

# From a small stage of the preview engine to a run at its deadline, in seconds.
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 300.0)


class Tally:
    """A counter for each combination of labels. name: without `_total`. For any thread."""

    def __init__(self, name: str, documentation: str, labels: Sequence[str]) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._counts: dict[tuple[str, ...], int] = defaultdict(int)
        self._lock = threading.Lock()

    def add(self, *labels: str, count: int = 1) -> None:
        """Count up. labels: in the order of the constructor's."""
        with self._lock:
            self._counts[labels] += count

    def family(self) -> CounterMetricFamily:
        """The counts now."""
        found = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            counts = dict(self._counts)
        for labels, count in counts.items():
            found.add_metric(labels, count)
        return found


class Spread:
    """A histogram for each combination of labels. buckets: upper bounds, ascending. For any thread."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], buckets: Sequence[float] = SECONDS
    ) -> None:
        self._name, self._documentation, self._labels = name, documentation, labels
        self._bounds = (*buckets, math.inf)
        self._counts: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(self._bounds))
        self._sums: dict[tuple[str, ...], float] = defaultdict(float)
        self._lock = threading.Lock()

    def add(self, value: float, *labels: str) -> None:
        """Take in one value. labels: in the order of the constructor's."""
        with self._lock:
            self._counts[labels][bisect_left(self._bounds, value)] += 1
            self._sums[labels] += value

    def family(self) -> HistogramMetricFamily:
        """The buckets now, each with all below it, as Prometheus has them."""
        found = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            seen = {labels: (list(counts), self._sums[labels]) for labels, counts in self._counts.items()}
        for labels, (counts, total) in seen.items():
            buckets = zip(map(floatToGoString, self._bounds), accumulate(counts), strict=True)
            found.add_metric(labels, buckets=list(buckets), sum_value=total)
        return found
