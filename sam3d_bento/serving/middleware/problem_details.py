"""Return problem documents for errors of other packages: the ASGI middleware `ProblemDetails`.

It changes every response with a status of 400 or more that is not a problem document (BentoML's own JSON and plain
text, the router's 404 and 405) to the common wire shape.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
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
from sam3d_bento.serving import problems
from sam3d_bento.serving.request_context import request_id

KEPT_HEADERS = {"allow", "content-range", "www-authenticate"}  # they are part of the meaning of their status
# Status and path of a response with a different shape: it describes the state of the service, not the fault of a
# request.
HEALTH_REPORT = (503, "/health")
# Status and folder of a page for people, which says itself that there is no such result.
RESULT_PAGES = (404, "/m/")

# Details by status. Errors of other packages come with a text for developers; these texts are for users.
GENERIC_ERRORS: dict[int, Sam3DError] = {
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


class ProblemDetails:
    """ASGI middleware that replaces every error response that is not a problem document by one."""

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
        error = GENERIC_ERRORS.get(status) or GENERIC_ERRORS[400 if status < 500 else 500]
        replacement = problems.response(error, request_id(Request(scope)), status)
        original = Headers(raw=message["headers"])
        for name in KEPT_HEADERS & set(original):
            replacement.headers[name] = original[name]
        await replacement(scope, receive, send)


def _is_foreign_error(message: Message, path: str) -> bool:
    status, media_type = message["status"], Headers(raw=message["headers"]).get("content-type", "")
    if status < 400 or (status, path) == HEALTH_REPORT:
        return False
    if (status, path[: len(RESULT_PAGES[1])]) == RESULT_PAGES and media_type.startswith("text/html"):
        return False
    return not media_type.startswith(problems.MEDIA_TYPE)
