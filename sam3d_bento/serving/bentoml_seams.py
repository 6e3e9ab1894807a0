"""Reach into BentoML 1.4.39 where it has no setting or public name: its log and its tracer."""

from __future__ import annotations

import logging
from typing import Literal

from bentoml._internal import log as bentoml_log
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.trace import Tracer

import sam3d_bento
from sam3d_bento.logs import JsonFormatter


def adopt_logs(log_format: Literal["console", "json"]) -> None:
    """Make BentoML's supervisor, its server and uvicorn log as this package does. Does nothing for the console format.

    BentoML's command reads its logging dictionary after it has imported the service, but its server reads it before. So
    both the dictionary and the handlers that were made from it are changed.
    """
    if log_format != "json":
        return
    bentoml_log.SERVER_LOGGING_CONFIG["formatters"]["traced"] = {"()": JsonFormatter}
    for name in bentoml_log.SERVER_LOGGING_CONFIG["loggers"]:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonFormatter())


def tracer() -> Tracer:
    """Return a tracer of the provider that BentoML has configured and with which it makes the spans of requests.

    Call it only after the server's app has been made: the provider takes the service's name from the app.
    """
    found: Tracer = BentoMLContainer.tracer_provider.get().get_tracer("sam3d_bento", sam3d_bento.__version__)
    return found
