"""What Prometheus scrapes of this service beside BentoML's own metrics: the load, by which copies of it are scaled.

The gauges are read from the worker when they are scraped, so they cannot be stale: not after a job ended, an engine
was lost or a process was killed. Prometheus' multiprocess files, which BentoML uses for what several processes count
together, keep the last value that was set; here one process knows, and it is the one that is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from sam3d_bento.serving.worker import Worker


class QueueCollector:
    """`sam3d_queue_waiting` and `sam3d_queue_running`: jobs of this worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The metrics as they are now."""
        yield GaugeMetricFamily("sam3d_queue_waiting", "Jobs that wait for their run.", self._worker.waiting)
        running = int(self._worker.running is not None)
        yield GaugeMetricFamily("sam3d_queue_running", "Jobs that run now: 0 or 1.", running)


def exposition(worker: Worker) -> str:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(QueueCollector(worker))
    return generate_latest(registry).decode()
