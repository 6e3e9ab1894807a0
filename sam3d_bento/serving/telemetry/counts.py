"""What was counted since the start (requests, runs, stages), each where it happens. `routes/metrics.py` gives it out.

BentoML's own metrics are off (service.py). Their label `endpoint` is the path as it was sent, so that each link to a
result, and each address that a stranger makes up, adds two dozen series for the life of the service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import Metric

from sam3d_bento.errors import GpuOutOfMemory, Sam3DError
from sam3d_bento.serving.telemetry.instruments import Spread, Tally
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Asset

DONE = "done"


class Telemetry:
    """The counts of one service process. For any thread."""

    def __init__(self) -> None:
        self.gpu_peak_bytes: int | None = None
        self._requests = Tally(
            "sam3d_requests",
            "Requests answered. status: none when the client went away first; outcome: done or the error's code.",
            ("method", "route", "status", "outcome"),
        )
        self._request_seconds = Spread(
            "sam3d_request_seconds", "Seconds from a request's arrival to the end of its answer.", ("method", "route")
        )
        self._runs = Tally(
            "sam3d_runs",
            "Jobs that an engine process was given, at their end. outcome: done or the error's code.",
            ("process", "outcome"),
        )
        self._stage_seconds = Spread(
            "sam3d_stage_seconds",
            "Seconds that a run spent in a stage. queue: its wait before it started.",
            ("process", "stage"),
        )
        self._out_of_memory = Tally(
            "sam3d_gpu_out_of_memory",
            "Runs for which the GPU's memory did not suffice at first. result: recovered or failed.",
            ("result",),
        )
        self._retries = Tally(
            "sam3d_run_retries", "Runs that were made a second time, in a leaner memory profile, and succeeded.", ()
        )
        self._retries.add(count=0)
        for result in ("recovered", "failed"):
            self._out_of_memory.add(result, count=0)  # there from the start: a rate needs a value to rise from

    def request_ended(self, method: str, route: str, status: str, outcome: str, seconds: float) -> None:
        """Count a request. All but the seconds from bounded sets."""
        self._requests.add(method, route, status, outcome)
        self._request_seconds.add(seconds, method, route)

    def run_ended(self, process: str, job: Job, outcome: Any) -> None:
        """Count a run. process: the worker's name. outcome: the runner's result, or an error of the tree."""
        self._runs.add(process, outcome.code if isinstance(outcome, Sam3DError) else DONE)
        for stage, seconds in {"queue": job.queue_seconds, **job.seconds}.items():
            self._stage_seconds.add(seconds, process, stage)
        if isinstance(outcome, GpuOutOfMemory):
            self._out_of_memory.add("failed")
        elif isinstance(outcome, Asset):
            if retries := outcome.report.get("retries"):
                self._out_of_memory.add("recovered")
                self._retries.add(count=retries)
            if peak := outcome.report.get("gpu_peak_bytes"):
                self.gpu_peak_bytes = max(peak, self.gpu_peak_bytes or 0)

    def counts(self) -> Iterator[Metric]:
        """What was counted."""
        for instrument in (
            self._requests,
            self._request_seconds,
            self._runs,
            self._stage_seconds,
            self._out_of_memory,
            self._retries,
        ):
            yield instrument.family()
