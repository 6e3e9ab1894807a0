"""Serve the studio: the page at `/`, and its files below `/studio/`. All the page does, the API does.

A policy allows browsers to load data only from this host, and to send data only here. There is one exception: if
results are stored in a bucket, the link to a model leads there, so the page may also fetch from the bucket. The bucket
must allow this as well, by a CORS rule for GET from the studio's address. Without such a rule the page cannot show the
model, only link to it.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from sam3d_bento.serving.localized_pages import (
    LANGUAGE_COOKIE,
    THEME_COOKIE,
    WEB,
    language_of,
    localized,
    theme_of,
)
from sam3d_bento.serving.request_context import backend
from sam3d_bento.serving.routes.handlers import Handler

COMPRESSION = 6  # gzip level from 1 to 9; at this one, three.js shrinks to a quarter in some 20 ms

CACHING = "no-cache"  # browsers keep files but revalidate them, so that the files of a new version fit together


def content_security_policy(store: str | None) -> str:
    """Return the policy for what the page may load.

    store: the origin of the bucket that links to results lead to; None without a bucket.
    """
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
    """Static files of the folder web/, without the templates of pages."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the response of StaticFiles, with a Cache-Control header."""
        if path.endswith(".html"):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = CACHING
        return response


files = WebFiles(directory=WEB)
# What answers a page: it is several times as long without.
COMPRESSED = [Middleware(GZipMiddleware, compresslevel=COMPRESSION)]


def page_named(name: str) -> Handler:
    """Return the handler that answers this page of the folder web/pages/: see `page_response`."""

    async def page(request: Request) -> Response:
        """Return the page."""
        return page_response(request, name)

    return page


def page_response(
    request: Request, name: str, status_code: int = 200, preview: Mapping[str, str] | None = None
) -> Response:
    """Return a page of the folder web/pages/, with the policy for what it may load.

    The page is in the language that the query's `lang` names, otherwise in the visitor's: see `localized_pages`.
    preview: as of `localized`.
    """
    language = language_of(
        request.query_params.get("lang"),
        request.cookies.get(LANGUAGE_COOKIE),
        request.headers.get("accept-language", ""),
    )
    found = localized(name, language, theme_of(request.cookies.get(THEME_COOKIE)), preview)
    headers = {
        "Cache-Control": CACHING,
        "Content-Language": language,
        "Content-Security-Policy": content_security_policy(backend().assets.origin),
        "ETag": found.etag,
        "Vary": "Accept-Language, Cookie",
    }
    if status_code == 200 and found.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, status_code, headers, media_type="text/html")


routes = [
    Route("/", page_named("index.html"), middleware=COMPRESSED),
    Mount("/studio", GZipMiddleware(files, compresslevel=COMPRESSION)),
]
