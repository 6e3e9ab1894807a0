"""Make OpenTelemetry spans: one for each stage of a run.

Their parent is the request's span, whose parent is the caller's `traceparent`. BentoML makes the request's span and
owns the exporter, which its own configuration sets up. The engine process does not know about traces. The stages are
timed here, from the progress that it reports, and their spans are made after the run has ended. No spans are made for a
request that is not sampled.
"""

from __future__ import annotations

import time
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode, Tracer

from sam3d_bento.errors import Sam3DError
from sam3d_bento.serving.worker.job import Job


class Traces:
    """Maker of spans with a tracer; without a tracer it makes none. Any thread may call it."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    def run_ended(self, process: str, job: Job, outcome: Any) -> None:
        """Make the spans of `queue` and of each stage that the run reached. Arguments as of `Worker.run_ended`.

        The stage in which the run failed gets the error's code.
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
    """Set the name and the attributes of the request's own span.

    The name becomes that of the route, because BentoML's name is the path as the client sent it.
    """
    span = trace.get_current_span()
    if sampled(span):
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.route": route, "sam3d.request_id": request_id, "sam3d.outcome": outcome})


def sampled(span: trace.Span) -> bool:
    """Return whether the span will be exported. BentoML also records spans that it does not export."""
    return span.get_span_context().trace_flags.sampled
