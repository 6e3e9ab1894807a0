"""Serve the page of a result, `/m/{id}`, which anybody who knows the id can open."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sam3d_bento.errors import NotFound, StorageUnavailable
from sam3d_bento.serving.request_context import backend
from sam3d_bento.serving.routes.handlers import asset_url, page_url
from sam3d_bento.serving.routes.studio import COMPRESSED, page_response

PAGE = "result.html"


async def result_page(request: Request) -> Response:
    """Return the page, with the name and the picture of the result for programs that preview links.

    The status is 404 where there is no such result any more. The page then says so, and asks for nothing else.
    """
    asset_id = request.path_params["id"]
    try:
        name = await backend().assets.name(asset_id)
    except NotFound:
        return page_response(request, PAGE, 404)
    except StorageUnavailable:
        return page_response(request, PAGE)  # it asks again, and shows this problem
    return page_response(request, PAGE, preview=_preview(request, asset_id, name))


def _preview(request: Request, asset_id: str, name: str) -> dict[str, str]:
    """Return the properties of the Open Graph protocol (ogp.me) that describe a result."""
    return {
        "og:type": "website",
        "og:title": name,
        "og:url": page_url(request, asset_id),
        "og:image": asset_url(request, asset_id).removesuffix(".glb") + ".webp",
    }


routes = [Route("/m/{id}", result_page, middleware=COMPRESSED)]
