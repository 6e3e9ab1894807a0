"""Who may use the API, where SAM3D_API_KEYS_FILE names a file of keys: the ASGI wrapper `Authentication`.

Closed unless it is named here. Open are what says whether the service works (`/health`, `/livez`, `/readyz`), the
studio's page, the description of the API, and reading what an id names: a result's files and a job's state. An id has
128 random bits, is told only to whoever made the job, and is as good as a key for this one thing; so links can be
handed on, and a browser can follow events, for which it cannot send a header. Making, changing and deleting need a key.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from sam3d_bento.errors import Unauthorized
from sam3d_bento.serving import problems
from sam3d_bento.serving.assets import KINDS
from sam3d_bento.serving.request_context import backend, note, request_id

OPEN = frozenset({"/", "/health", "/livez", "/readyz", "/healthz", "/docs.json"})
OPEN_BELOW = "/studio/"
# Of a result, the files that a link names; not its reconstruction.
LINKED_KINDS = "|".join(re.escape(kind) for kind in KINDS if kind != "npz")
NAMED_BY_ID = re.compile(rf"/api/(assets/[0-9a-f]{{32}}\.({LINKED_KINDS})|jobs/[0-9a-f]{{32}}(/events)?)")
METRICS = "/metrics"

CHALLENGE = 'Bearer realm="sam3d"'


class Authentication:
    """See the module's docstring. A refused request's body is not read."""

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
        if server.keys is None or is_open(scope["method"], scope["path"], metrics=not server.settings.metrics_need_key):
            return True
        return any(server.keys.know(key) for key in _shown(Request(scope)))


def is_open(method: str, path: str, *, metrics: bool) -> bool:
    """Whether a request needs no key. metrics: whether /metrics is open."""
    if path in OPEN or path.startswith(OPEN_BELOW):
        return True
    if path == METRICS:
        return metrics
    return method in ("GET", "HEAD") and NAMED_BY_ID.fullmatch(path) is not None


def _shown(request: Request) -> list[str]:
    """The keys that the request shows."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    bearer = [credentials.strip()] if scheme.lower() == "bearer" else []
    return [*bearer, *request.headers.getlist("x-api-key")[:1]]
