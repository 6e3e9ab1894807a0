"""The studio: the page at `/`, and what it consists of below `/studio/`. Static files; all it does, the API does.

Browsers are told to load nothing from another host, and to send nothing there. One exception: with a bucket for results
a link to a model leads to it, so that the page may fetch from there too. (The bucket must allow that as well, by a CORS
rule for GET from the studio's address; without one the page cannot show the model, only link to it.)
"""

from __future__ import annotations

from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sam3d_bento.serving.request_context import backend

COMPRESSION = 6  # three.js shrinks to a quarter in some 20 ms

CACHING = "no-cache"  # kept, but asked for again: a new version's files fit together


def content_security_policy(store: str | None) -> str:
    """What the page may load. store: the origin of the bucket that links to results lead to."""
    results = "'self'" if store is None else f"'self' {store}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",  # WebAssembly: the decoder of compressed meshes
            "style-src 'self'",
            f"img-src {results} blob: data:",  # blob: the photo that was chosen
            f"connect-src {results} blob:",  # blob: the texture inside a GLB
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


class WebFiles(StaticFiles):
    """The files of web/."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """As StaticFiles."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = CACHING
        return response


files = WebFiles(directory=Path(__file__).parents[1] / "web")


async def page(request: Request) -> Response:
    """The studio's page."""
    response = await files.get_response("index.html", request.scope)
    response.headers["Content-Security-Policy"] = content_security_policy(backend().assets.origin)
    return response


routes = [
    Route("/", page),
    Mount("/studio", GZipMiddleware(files, compresslevel=COMPRESSION)),
]
