"""Bounds the number of requests that are open at once: the ASGI wrapper `OpenRequests`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from sam3d_bento.errors import Busy
from sam3d_bento.serving import problems
from sam3d_bento.serving.request_context import note, request_id

# A request that is refused costs a millisecond; those that are open end within seconds, or are runs.
RETRY_AFTER_SECONDS = 2
# What asks whether the service lives must be answered whatever the load is.
PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})


class OpenRequests:
    """Answers 429 to a request beyond `limit` open ones; a request is open until its answer has been sent.

    Each open request takes some 50 kB of memory, a connection and its place in the event loop. `PROBES` are not
    counted and never refused.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        if self._open >= self.limit:
            await self._refuse(scope, receive, send)
            return
        self._open += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._open -= 1

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        error = Busy("Too many requests are open. Try again later.", retry_after_seconds=RETRY_AFTER_SECONDS)
        note(request, outcome=error.code, detail=error.detail)
        answer = problems.response(error, request_id(request))
        answer.headers["Connection"] = "close"  # the body is not read
        await answer(scope, receive, send)
