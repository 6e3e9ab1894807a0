"""The spans of real requests, as BentoML's own provider hands them to an exporter."""

import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.support.fake_runner import photo

CALLER = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def exporter():
    """In the place of the one that BentoML's configuration would name."""
    exporter = InMemorySpanExporter()
    BentoMLContainer.tracer_provider.get().add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def spans(exporter):
    """The spans of one trace that were exported, by their names."""
    exporter.clear()

    def named(trace=CALLER):
        return {
            span.name: span
            for span in exporter.get_finished_spans()
            if f"{span.context.trace_id:032x}" == trace and not span.name.endswith(("http send", "http receive"))
        }

    return named


def traced(flags="01"):
    return {"traceparent": f"00-{CALLER}-{CALLERS_SPAN}-{flags}", "X-Request-Id": "traced"}


def test_the_callers_span_has_the_request_below_it_and_the_stages_below_that(serve, spans):
    http = serve()
    assert http.post("/api/inference", files=photo("nap:0.2"), headers=traced()).status_code == 200
    found = spans()
    request = found.pop("POST /api/inference")
    assert f"{request.parent.span_id:016x}" == CALLERS_SPAN
    assert request.attributes["http.route"] == "/api/inference"
    assert request.attributes["sam3d.outcome"] == "done"
    assert request.attributes["sam3d.request_id"] == "traced"
    assert list(found) == ["queue", "decode", "reconstruct", "export"], "those that the fake runner tells of"
    for span in found.values():
        assert span.parent.span_id == request.context.span_id
        assert span.attributes["sam3d.request_id"] == "traced"
        assert span.attributes["sam3d.process"] == "engine"
        assert request.start_time <= span.start_time <= span.end_time <= request.end_time
    nap = found["reconstruct"]
    assert 0.15 < (nap.end_time - nap.start_time) / 1e9 < 5
    assert found["queue"].end_time <= nap.start_time


def test_the_stages_of_a_job_belong_to_the_request_that_submitted_it(serve, spans):
    http = serve()
    job = http.post("/api/jobs", files=photo("nap:0.1"), headers=traced()).json()
    with http.stream("GET", job["links"]["events"]) as events:
        assert "event: done" in list(events.iter_lines())
    found = spans()
    assert found["reconstruct"].parent.span_id == found["POST /api/jobs"].context.span_id
    assert found["reconstruct"].attributes["sam3d.job"] == job["id"]


def test_the_stage_that_failed_says_so(serve, spans):
    http = serve()
    assert http.post("/api/inference", files=photo("refuse"), headers=traced()).status_code == 422
    found = spans()
    assert found["decode"].status.status_code is StatusCode.ERROR
    assert found["decode"].attributes["error.type"] == "no_object"
    assert found["queue"].status.status_code is not StatusCode.ERROR
    assert found["POST /api/inference"].attributes["sam3d.outcome"] == "no_object"


def test_names_are_bounded(serve, spans):
    serve().get(f"/api/assets/{'0' * 32}.glb", headers=traced())
    assert set(spans()) == {"GET /api/assets/{id}.glb"}


@pytest.mark.parametrize("headers", [{}, traced(flags="00")])
def test_unsampled_request_makes_no_spans(serve, exporter, spans, headers):
    http = serve()
    assert http.post("/api/inference", files=photo("nap:0"), headers=headers).status_code == 200
    assert not exporter.get_finished_spans()
