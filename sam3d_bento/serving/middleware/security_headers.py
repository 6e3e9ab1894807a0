"""What browsers are told of every answer: what it may do, and which pages of other sites may read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What a page of an allowed origin may send, and read of the answers.
ACCEPTED_HEADERS = (
    "Authorization",
    "Content-Encoding",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Range",
    "X-API-Key",
    "X-Request-Id",
)
EXPOSED_HEADERS = (
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Link",
    "Location",
    "Retry-After",
    "Server-Timing",
    "WWW-Authenticate",
    "X-Asset-Id",
    "X-Engine",
    "X-Mask-Coverage",
    "X-Mask-Source",
    "X-Request-Id",
    "X-Seed",
    "X-Warnings",
)

# For all that is no page of ours: it loads nothing, and nobody frames it. The studio's page brings its own.
POLICY = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    """Sets them where an answer does not say otherwise. shared: whether pages of other sites may embed answers."""

    def __init__(self, app: ASGIApp, *, shared: bool) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": POLICY,
            "Cross-Origin-Resource-Policy": "cross-origin" if shared else "same-origin",
            "Referrer-Policy": "no-referrer",  # the id in a link is what lets its holder in
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, hardened)


def cors(origins: Sequence[str]) -> dict[str, Any]:
    """The arguments of starlette's CORSMiddleware. No cookies: a key travels in a header.

    It stands outside of all that answers errors, so that a page can read those too; BentoML's own stands inside.
    """
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "HEAD", "POST", "DELETE"],
        "allow_headers": list(ACCEPTED_HEADERS),
        "expose_headers": list(EXPOSED_HEADERS),
    }
