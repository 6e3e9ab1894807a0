"""OpenTelemetry: a span for each stage of a run, below that of the request, whose parent is the caller's `traceparent`.

BentoML makes the request's span and owns the exporter, by its own configuration. The engine process knows nothing of
traces: the stages are timed here, by what it tells of itself, and their spans are made when the run has ended. Nothing
is made for a request that is not sampled.
"""

from __future__ import annotations

import time
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode, Tracer

from sam3d_bento.errors import Sam3DError
from sam3d_bento.serving.worker.job import Job


class Traces:
    """Makes spans with the tracer; none without one. For any thread."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    def run_ended(self, process: str, job: Job, outcome: Any) -> None:
        """Make the spans `queue` and of each stage that the run came to. Arguments as of `Worker.run_ended`.

        That in which it failed has the error's code.
        """
        if self._tracer is None or not sampled(trace.get_current_span(job.context)):
            return
        epoch = time.time_ns() - time.monotonic_ns()
        attributes = {"sam3d.process": process, "sam3d.job": job.id, "sam3d.request_id": job.label}
        spent = {"queue": job.queue_seconds, **job.seconds}
        began = {"queue": job.submitted, **job.began}
        for stage, seconds in spent.items():
            start = epoch + int(began[stage] * 1e9)
            span = self._tracer.start_span(stage, job.context, attributes=attributes, start_time=start)
            if isinstance(outcome, Sam3DError) and stage == list(spent)[-1]:
                span.set_attribute("error.type", outcome.code)
                span.set_status(Status(StatusCode.ERROR, outcome.detail))
            span.end(start + int(seconds * 1e9))


def describe_request(method: str, route: str, request_id: str, outcome: str) -> None:
    """Say on the request's own span what it was. Its name becomes that of the route: BentoML's is the path as sent."""
    span = trace.get_current_span()
    if sampled(span):
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.route": route, "sam3d.request_id": request_id, "sam3d.outcome": outcome})


def sampled(span: trace.Span) -> bool:
    """Whether anybody will see the span. BentoML records also what it does not export."""
    return span.get_span_context().trace_flags.sampled
