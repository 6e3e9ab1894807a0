"""Count every request by its route: the ASGI middleware `RequestMetrics`, inside `AccessLog`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

from starlette.requests import Request
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3d_bento.errors import Sam3DError
from sam3d_bento.serving.request_context import backend, request_id
from sam3d_bento.serving.telemetry import traces
from sam3d_bento.serving.telemetry.counts import DONE

# Methods that are counted by name. Any other counts as "other", so that the label has bounds.
METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "OPTIONS"})
# BentoML's own routes. Ours are in the route table of the app that it mounts.
BENTOML_ROUTES = frozenset({"/api/inference", "/livez", "/readyz", "/healthz", "/schema.json"})
# Labels of a request that matched no route, and of one that was never answered.
NO_ROUTE = "none"
NO_STATUS = "none"


class RequestMetrics:
    """ASGI middleware that counts requests. routes: of the app that BentoML mounts; requests are counted by them."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0
        method = scope["method"] if scope["method"] in METHODS else "other"
        route = template(scope["path"], self.routes)

        def ended() -> str:
            return scope["state"]["log_fields"].get("outcome") or outcome(status)

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Do this here: the request's span ends with the last byte of the response, before this middleware does.
                traces.describe_request(method, route, request_id(Request(scope)), ended())
            await send(message)

        started = time.perf_counter()
        try:
            await self.app(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            backend().telemetry.request_ended(method, route, str(status or NO_STATUS), ended(), seconds)


def template(path: str, routes: Sequence[BaseRoute]) -> str:
    """Return the route that matches the path, as written in the route table; never the path, which has no bounds."""
    if path in BENTOML_ROUTES:
        return path
    for route in routes:
        if isinstance(route, Mount) and path.startswith(f"{route.path}/"):
            return f"{route.path}/"
        if isinstance(route, Route) and route.path_regex.match(path):
            return route.path
    return NO_ROUTE


def outcome(status: int) -> str:
    """Return the outcome that follows from a status alone: done, gone, or the code of an error.

    It is for requests that noted no outcome. status: 0 if the client left before the response began.
    """
    if status == 0:
        return "gone"
    return DONE if status < 400 else _codes().get(status, f"status_{status // 100}xx")


@cache
def _codes() -> dict[int, str]:
    """Return the codes of Sam3DError's classes by status.

    Where classes share a status, the first counts: requests note the others' codes themselves.
    """
    codes: dict[int, str] = {}

    def visit(kind: type[Sam3DError]) -> None:
        for child in kind.__subclasses__():
            if "status" in vars(child):
                codes.setdefault(child.status, child.code)
            visit(child)

    visit(Sam3DError)
    return codes
