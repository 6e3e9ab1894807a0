"""Serve the description of the API: the OpenAPI document at `/docs.json`, and a page for people at `/docs`.

BentoML has a `/docs.json` of its own, which knows one route; ours stands before it. BentoML's client reads
`/schema.json`, which stays BentoML's.
"""

from __future__ import annotations

import json
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sam3d_bento.serving.openapi import document
from sam3d_bento.serving.request_context import backend
from sam3d_bento.serving.routes import studio
from sam3d_bento.serving.routes.handlers import link


async def description(request: Request) -> Response:
    """Return the OpenAPI document of this service."""
    server = backend()
    text = _written(link(""), server.keys is not None, server.settings.metrics_need_key)
    return Response(text, headers={"Cache-Control": studio.CACHING}, media_type="application/json")


@cache  # it costs 30 ms, and never changes while the service runs
def _written(base: str, keys: bool, metrics_need_key: bool) -> bytes:
    return json.dumps(document.build(base, keys=keys, metrics_need_key=metrics_need_key)).encode()


routes = [
    Route("/docs.json", description, middleware=studio.COMPRESSED),
    Route("/docs", studio.page_named("docs.html"), middleware=studio.COMPRESSED),
]
