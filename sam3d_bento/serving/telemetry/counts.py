"""Count requests, runs and stages since the start, each where it happens. `routes/metrics.py` returns the counts.

BentoML's own metrics are off (service.py). Their label `endpoint` is the path as the client sent it, so that each link
to a result, and each address that a stranger makes up, adds two dozen series for the life of the service.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry

from sam3d_bento.errors import GpuOutOfMemory, Sam3DError
from sam3d_bento.serving.telemetry.instruments import SECONDS, Counter, Histogram
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Asset, MaskImage

# Outcome of a request or a run without an error.
DONE = "done"


class Telemetry:
    """Counts of one service process, in a separate registry. Any thread may call it."""

    def __init__(self) -> None:
        self.gpu_peak_bytes: int | None = None
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sam3d_requests",
            "Requests answered. status: none when the client went away first; outcome: done or the error's code.",
            ("method", "route", "status", "outcome"),
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "sam3d_request_seconds",
            "Seconds from a request's arrival to the end of its answer.",
            ("method", "route"),
            registry=self.registry,
            buckets=SECONDS,
        )
        self._runs = Counter(
            "sam3d_runs",
            "Jobs that an engine process was given, at their end. outcome: done or the error's code.",
            ("process", "outcome"),
            registry=self.registry,
        )
        self._stage_seconds = Histogram(
            "sam3d_stage_seconds",
            "Seconds that a run spent in a stage. queue: its wait before it started.",
            ("process", "stage"),
            registry=self.registry,
            buckets=SECONDS,
        )
        self._out_of_memory = Counter(
            "sam3d_gpu_out_of_memory",
            "Runs for which the GPU's memory did not suffice at first. result: recovered or failed.",
            ("result",),
            registry=self.registry,
        )
        self._retries = Counter(
            "sam3d_run_retries",
            "Runs that were made a second time, in a leaner memory profile, and succeeded.",
            registry=self.registry,
        )
        self._prompt_encodes = Counter(
            "sam3d_prompt_encodes",
            "Photos that a prompt model has encoded. A photo that is pointed at again within minutes is not.",
            ("process",),
            registry=self.registry,
        )
        for result in ("recovered", "failed"):
            self._out_of_memory.labels(result)  # create both series at the start: a rate needs a value to rise from

    def request_ended(self, method: str, route: str, status: str, outcome: str, seconds: float) -> None:
        """Count a request and its seconds. All arguments but `seconds` come from bounded sets.

        The seconds of files (a route that ends in `/`) are not counted: 17 series that tell nothing.
        """
        self._requests.labels(method, route, status, outcome).inc()
        if route == "/" or not route.endswith("/"):
            self._request_seconds.labels(method, route).observe(seconds)

    def run_ended(self, process: str, job: Job, outcome: Any) -> None:
        """Count a run. process: the worker's name. outcome: the runner's result, or a Sam3DError."""
        self._runs.labels(process, outcome.code if isinstance(outcome, Sam3DError) else DONE).inc()
        for stage, seconds in {"queue": job.queue_seconds, **job.seconds}.items():
            self._stage_seconds.labels(process, stage).observe(seconds)
        if isinstance(outcome, Asset | MaskImage) and (encodes := outcome.report.get("prompt_encodes")):
            self._prompt_encodes.labels(process).inc(encodes)
        if isinstance(outcome, GpuOutOfMemory):
            self._out_of_memory.labels("failed").inc()
        elif isinstance(outcome, Asset):
            if retries := outcome.report.get("retries"):
                self._out_of_memory.labels("recovered").inc()
                self._retries.inc(retries)
            if peak := outcome.report.get("gpu_peak_bytes"):
                self.gpu_peak_bytes = max(peak, self.gpu_peak_bytes or 0)
