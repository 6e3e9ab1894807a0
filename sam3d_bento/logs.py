"""Log lines of this package: text for a console, or one JSON object a line.

A line is an event with fields: `logs.event(log, "inference done", request_id=..., seconds=...)`. Work for a request
runs in a `bound` block with the request id, so that every line of it has the id, also a line of a library that has no
fields.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

# Name of the parent logger of this package.
ROOT = "sam3d_bento"


_bound: ContextVar[dict[str, Any] | None] = ContextVar("bound", default=None)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add these fields (JSON values) to every line that any code logs within the block in this thread or task."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def event(log: logging.Logger, message: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log `message` with `fields` (JSON values). A field that is None is omitted."""
    log.log(level, message, extra={"fields": {k: v for k, v in fields.items() if v is not None}})


def configure(log_format: Literal["console", "json"]) -> None:
    """Send this package's log to standard error, each line once.

    Other loggers keep their levels and handlers. With `json`, the root logger's handlers write JSON as well, and
    Python's warnings are logged.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else ConsoleFormatter())
    if log_format == "json":
        logging.captureWarnings(True)
        root = logging.getLogger()
        if not root.handlers:
            root.addHandler(handler)
        for other in root.handlers:
            other.setFormatter(JsonFormatter())
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {**(_bound.get() or {}), **getattr(record, "fields", {})}


class ConsoleFormatter(logging.Formatter):
    """Formats a line as `2026-01-31T12:00:00.000Z INFO inference done request_id=ab12 seconds=3.4`."""

    def format(self, record: logging.LogRecord) -> str:
        pairs = "".join(f" {name}={_plain(value)}" for name, value in _fields(record).items())
        line = f"{_time(record)} {record.levelname} {record.getMessage()}{pairs}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """Formats a line as one JSON object: time, level, logger, message, then the event's fields."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": _time(record), "level": record.levelname, "logger": record.name}
        entry |= {"message": record.getMessage(), **_fields(record)}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> str:
    """Return a value as text without bare line breaks or spaces, which would hide where the field ends."""
    text = json.dumps(value, default=str) if not isinstance(value, str) else value
    return text if text.isprintable() and " " not in text else json.dumps(text)
