"""One wire shape for every error: `application/problem+json` (RFC 9457) with `code`, `retryable` and `request_id`.

`response` makes it from an error of the tree; the ASGI wrapper `Problems` makes it from everything else that leaves
the service with a status of 400 or more (BentoML's own JSON and plain text, the router's 404 and 405).
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3d_bento.errors import (
    BadRequest,
    Busy,
    DeadlineExceeded,
    Internal,
    MethodNotAllowed,
    NotFound,
    NotReady,
    Sam3DError,
    TooLarge,
    Unauthorized,
    UnsupportedMedia,
)
from sam3d_bento.serving.requests import request_id

MEDIA_TYPE = "application/problem+json"
KEPT_HEADERS = {"allow", "content-range", "www-authenticate"}  # part of what their status means
HEALTH_REPORT = (503, "/health")  # has a shape of its own: the state of the service, not the fault of a request

# Errors that were not made by this package come with a text for developers; these are for people.
FOREIGN: dict[int, Sam3DError] = {
    error.status: error
    for error in (
        BadRequest("The request is not understood."),
        Unauthorized("A valid API key is required."),
        NotFound("There is nothing at this address."),
        MethodNotAllowed("This address does not answer to this method."),
        TooLarge("The request is too large."),
        UnsupportedMedia("The request's media type is not supported."),
        Busy("The service is busy. Try again later.", retry_after_seconds=5),
        Internal("The service failed; its log says why."),
        NotReady("The service is not ready; /health says why.", retry_after_seconds=5),
        DeadlineExceeded("The request took too long and was given up."),
    )
}


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


class Problems:
    """Gives every error response that is not a problem document yet the one shape."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        replaced = False

        async def shape(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_foreign_error(message, scope["path"]):
                replaced = True
                await self._replace(message, scope, receive, send)
            elif not replaced:
                await send(message)

        await self.app(scope, receive, shape)

    async def _replace(self, message: Message, scope: Scope, receive: Receive, send: Send) -> None:
        status = message["status"]
        error = FOREIGN.get(status) or FOREIGN[400 if status < 500 else 500]
        replacement = response(error, request_id(Request(scope)), status)
        original = Headers(raw=message["headers"])
        for name in KEPT_HEADERS & set(original):
            replacement.headers[name] = original[name]
        await replacement(scope, receive, send)


def _is_foreign_error(message: Message, path: str) -> bool:
    if message["status"] < 400 or (message["status"], path) == HEALTH_REPORT:
        return False
    return not Headers(raw=message["headers"]).get("content-type", "").startswith(MEDIA_TYPE)
