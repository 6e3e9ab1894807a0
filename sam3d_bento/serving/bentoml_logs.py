"""BentoML's own log lines as JSON: those of its supervisor, of its server and of uvicorn."""

from __future__ import annotations

import logging
from typing import Literal

# bentoml 1.4.39: there is no setting for it. Its command reads this dictionary after it has imported the service, its
# server before; so the dictionary is changed, and what was made of it.
from bentoml._internal import log as bentoml_log

from sam3d_bento.serving.logs import JsonFormatter


def adopt(log_format: Literal["console", "json"]) -> None:
    """Let BentoML's loggers write as this package's do. Does nothing for the console."""
    if log_format != "json":
        return
    bentoml_log.SERVER_LOGGING_CONFIG["formatters"]["traced"] = {"()": JsonFormatter}
    for name in bentoml_log.SERVER_LOGGING_CONFIG["loggers"]:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonFormatter())
