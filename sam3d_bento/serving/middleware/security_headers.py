"""Set the headers by which browsers decide what a response may do, and which other sites' pages may read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Request headers that a page of an allowed origin may send, and response headers that it may read.
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
    "X-Mask-Report",
    "X-Mask-Source",
    "X-Request-Id",
    "X-Seed",
    "X-Warnings",
)

# Policy for everything but the studio's page, which sets its own: it loads nothing, and no page may frame it.
POLICY = "default-src 'none'; frame-ancestors 'none'"


class SecurityHeaders:
    """ASGI middleware that sets these headers where a response lacks them.

    shared: whether pages of other sites may embed responses.
    """

    def __init__(self, app: ASGIApp, *, shared: bool) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": POLICY,
            "Cross-Origin-Resource-Policy": "cross-origin" if shared else "same-origin",
            "Referrer-Policy": "no-referrer",  # the id in a link grants access to whoever has it
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
    """Return the arguments of starlette's CORSMiddleware. Cookies are not allowed: a key is sent in a header.

    The middleware must be outside everything that returns errors, so that a page can read those too. BentoML's own is
    inside.
    """
    return {
        "allow_origins": list(origins),
        "allow_methods": ["GET", "HEAD", "POST", "DELETE"],
        "allow_headers": list(ACCEPTED_HEADERS),
        "expose_headers": list(EXPOSED_HEADERS),
    }
