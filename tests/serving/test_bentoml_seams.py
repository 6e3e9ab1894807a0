"""What is private in BentoML and used all the same: these tests tell when a new version has moved it.

That every line of a real server's log is JSON then, tests/service/test_json_logs.py shows.
"""

import logging

from bentoml._internal import log as bentoml_log

from sam3d_bento import logs
from sam3d_bento.serving import bentoml_seams


def test_the_console_is_left_as_it_is(monkeypatch):
    before = dict(bentoml_log.SERVER_LOGGING_CONFIG["formatters"])
    bentoml_seams.adopt_logs("console")
    assert bentoml_log.SERVER_LOGGING_CONFIG["formatters"] == before


def test_json_reaches_what_is_configured_and_what_will_be(monkeypatch):
    monkeypatch.setitem(bentoml_log.SERVER_LOGGING_CONFIG, "formatters", {"traced": {"format": "x"}})
    handler = logging.StreamHandler()
    logging.getLogger("bentoml").addHandler(handler)
    others = [other for other in logging.getLogger("bentoml").handlers if other is not handler]
    formatters = [other.formatter for other in others]
    try:
        bentoml_seams.adopt_logs("json")
        assert isinstance(handler.formatter, logs.JsonFormatter)
        assert bentoml_log.SERVER_LOGGING_CONFIG["formatters"] == {"traced": {"()": logs.JsonFormatter}}
    finally:
        logging.getLogger("bentoml").removeHandler(handler)
        for other, formatter in zip(others, formatters, strict=True):
            other.setFormatter(formatter)


def test_the_tracer_makes_spans_that_bentoml_would_export():
    with bentoml_seams.tracer().start_as_current_span("one") as span:
        assert span.resource.attributes["telemetry.sdk.name"] == "opentelemetry"
        assert span.instrumentation_scope.name == "sam3d_bento"
