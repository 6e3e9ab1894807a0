"""Give every request an id, and log its start and its end: the ASGI middleware `AccessLog`, our outermost.

It takes the client's `X-Request-Id` or generates an id, and returns it with every response.
"""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sam3d_bento import logs

HEADER = "X-Request-Id"
ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")  # ids of clients that are kept: safe in a header and in a log line
LOGGED_PREFIX = "/api/"  # other requests, such as probes and metrics, come every few seconds and are not worth a line

log = logging.getLogger("sam3d_bento.requests")


class AccessLog:
    """ASGI middleware that sets the request id and writes the log lines."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get(HEADER, "")
        identity = given if ACCEPTABLE_ID.fullmatch(given) else secrets.token_hex(8)
        # The server shares one `state` between requests. This copy belongs to this request alone.
        scope["state"] = {**scope.get("state", {}), "request_id": identity, "log_fields": {}}
        status = 0

        async def labelled(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = identity
            await send(message)

        logged = scope["path"].startswith(LOGGED_PREFIX)
        where = {"request_id": identity, "method": scope["method"], "path": scope["path"]}
        if logged:
            logs.event(log, "request start", **where, content_length=request.headers.get("content-length"))
        started = time.perf_counter()
        try:
            await self.app(scope, receive, labelled)
        finally:
            if logged:
                seconds = round(time.perf_counter() - started, 4)
                # There is no status if the client left before a response began.
                fields = {"status": status or "none", "seconds": seconds, **scope["state"]["log_fields"]}
                logs.event(log, "request done", **where, **fields)
