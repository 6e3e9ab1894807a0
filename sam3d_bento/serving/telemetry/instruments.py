"""Keep Prometheus' own counters and histograms in the memory of this process.

`prometheus_client` (0.22 to 0.26) would write into memory-mapped files here: BentoML sets PROMETHEUS_MULTIPROC_DIR for
processes that count together, and the class of all values is chosen once, at import. In this service, one process
counts everything. Files would only bring their drawbacks: values of dead processes, and a SIGBUS on a full disk.

Labels must come from a bounded set: each new combination is kept for the life of the process.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram, disable_created_metrics, values

__all__ = ["SECONDS", "Counter", "Histogram"]

# Upper bounds of the buckets in seconds, from a small stage of the preview engine to a run at its deadline.
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 300.0)

values.ValueClass = values.MutexValue  # type: ignore[assignment, misc, unused-ignore]  # untyped: chosen at import
disable_created_metrics()  # type: ignore[no-untyped-call, unused-ignore]  # saves one series for each combination
