"""Serve the page of a result, `/m/{id}`, which anybody who knows the id can open."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sam3d_bento.errors import NotFound, StorageUnavailable
from sam3d_bento.serving.request_context import backend
from sam3d_bento.serving.routes.studio import page_named

_page = page_named("result.html")


async def result_page(request: Request) -> Response:
    """Return the page. It is the same for every result; the status is 404 where there is no such result any more."""
    response = await _page(request)
    try:
        await backend().assets.get(request.path_params["id"])
    except NotFound:
        response.status_code = 404
    except StorageUnavailable:
        pass  # the page asks again, and shows this problem
    return response


routes = [Route("/m/{id}", result_page)]
