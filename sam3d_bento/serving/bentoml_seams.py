"""Where this service reaches into BentoML 1.4.39, which has no setting or public name for it: its log, its tracer."""

from __future__ import annotations

import logging
from typing import Literal

from bentoml._internal import log as bentoml_log
from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.trace import Tracer

import sam3d_bento
from sam3d_bento.logs import JsonFormatter


def adopt_logs(log_format: Literal["console", "json"]) -> None:
    """Let BentoML's supervisor, its server and uvicorn log as this package does. Does nothing for the console.

    The command reads BentoML's dictionary after it has imported the service, the server before: so the dictionary is
    changed, and what was made of it.
    """
    if log_format != "json":
        return
    bentoml_log.SERVER_LOGGING_CONFIG["formatters"]["traced"] = {"()": JsonFormatter}
    for name in bentoml_log.SERVER_LOGGING_CONFIG["loggers"]:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonFormatter())


def tracer() -> Tracer:
    """A tracer of the provider that BentoML has configured and makes the spans of requests with.

    To be called when the server's app has been made: the provider takes the service's name from it.
    """
    found: Tracer = BentoMLContainer.tracer_provider.get().get_tracer("sam3d_bento", sam3d_bento.__version__)
    return found
