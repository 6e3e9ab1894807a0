"""Give every error the same wire shape: `application/problem+json` (RFC 9457).

Its members include `code`, `retryable` and `request_id`. `response` makes it from a Sam3DError.
`middleware.problem_details` makes it from every other response with a status of 400 or more.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from sam3d_bento.errors import Sam3DError

MEDIA_TYPE = "application/problem+json"


def document(error: Sam3DError, identity: str, status: int | None = None) -> dict[str, Any]:
    """Return the error as a problem document of JSON values. Arguments: as of `response`."""
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
    """Return the error as a response, with Retry-After if the error has one.

    identity: the request id. status: replaces the error's own status, for a status without an error class, such as 416.
    """
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    return JSONResponse(document(error, identity, status), status or error.status, headers, media_type=MEDIA_TYPE)
