"""One wire shape for every error: `application/problem+json` (RFC 9457) with `code`, `retryable` and `request_id`.

`response` makes it from an error of the tree; `middleware.problem_details` makes it from everything else that leaves
the service with a status of 400 or more.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from sam3d_bento.errors import Sam3DError

MEDIA_TYPE = "application/problem+json"


def document(error: Sam3DError, identity: str, status: int | None = None) -> dict[str, Any]:
    """The error as a problem document, JSON values. Arguments as of `response`."""
    return {
        "type": "about:blank",
        "title": error.title,
        "status": status or error.status,
        "detail": error.detail,
        "code": error.code,
        "retryable": error.retryable,
        "request_id": identity,
    }


def response(error: Sam3DError, identity: str, status: int | None = None) -> JSONResponse:
    """The error as a response, Retry-After included.

    identity: the request id. status: where the tree has no leaf for it (416, say).
    """
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return JSONResponse(document(error, identity, status), status or error.status, headers, media_type=MEDIA_TYPE)
