"""Require an API key if SAM3D_API_KEYS_FILE names a file of keys: the ASGI middleware `Authentication`.

Every path that is not listed here needs a key. Open are the health routes (`/health`, `/livez`, `/readyz`), the
studio's page, the description of the API, and reading what an id names: a result's page and files and a job's state. An
id has 128 random bits, is sent only to whoever made the job, and is as good as a key for this single purpose. So links
can be passed on, and a browser can follow events, for which it cannot send a header. Creating, changing, keeping and
deleting need a key.

A service that names this one in `bentoml.depends`, in the same process group, needs none: see
`bentoml_seams.by_group_socket`.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from sam3d_bento.errors import Unauthorized
from sam3d_bento.serving import bentoml_seams, problems
from sam3d_bento.serving.assets import LINKED_KINDS
from sam3d_bento.serving.request_context import backend, note, request_id

# Paths that need no key, and the prefix of such paths.
OPEN = frozenset({"/", "/health", "/livez", "/readyz", "/healthz", "/docs", "/docs.json"})
OPEN_BELOW = "/studio/"
_SUFFIXES = "|".join(map(re.escape, LINKED_KINDS))
# A result's page holds nothing of the result, so a wrong id in its address is answered by the page too.
NAMED_BY_ID = re.compile(rf"/api/(assets/[0-9a-f]{{32}}(\.({_SUFFIXES}))?|jobs/[0-9a-f]{{32}}(/events)?)|/m/[^/]+")
METRICS = "/metrics"

CHALLENGE = 'Bearer realm="sam3d"'  # WWW-Authenticate of a refusal; RFC 6750, section 3


class Authentication:
    """ASGI middleware that refuses requests without a valid key. The body of a refused request is not read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._may_pass(scope):
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        note(request, outcome=Unauthorized.code)
        error = Unauthorized("A valid API key is required: send it as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'.")
        answer = problems.response(error, request_id(request))
        answer.headers["WWW-Authenticate"] = CHALLENGE
        answer.headers["Connection"] = "close"
        await answer(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        server = backend()
        if server.keys is None or bentoml_seams.by_group_socket(scope):
            return True
        if is_open(scope["method"], scope["path"], metrics=not server.settings.metrics_need_key):
            return True
        for key in _shown(Request(scope)):
            if (client := server.keys.identify(key)) is not None:
                scope["state"]["client_id"] = client
                return True
        return False


def is_open(method: str, path: str, *, metrics: bool) -> bool:
    """Return whether a request needs no key. metrics: whether /metrics is open."""
    if path in OPEN or path.startswith(OPEN_BELOW):
        return True
    if path == METRICS:
        return metrics
    return method in ("GET", "HEAD") and NAMED_BY_ID.fullmatch(path) is not None


def _shown(request: Request) -> list[str]:
    """Return the keys that the request sends."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    bearer = [credentials.strip()] if scheme.lower() == "bearer" else []
    return [*bearer, *request.headers.getlist("x-api-key")[:1]]
