"""The routes of finished results: the GLB, its picture, the same model in other formats and sizes."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from sam3d_bento.errors import NotFound
from sam3d_bento.formats import FILE_TYPES
from sam3d_bento.serving.assets import DISPOSITIONS, GONE, MEDIA_TYPES, Kind, StoredFile, StoredObject
from sam3d_bento.serving.request_context import backend, note, request_id
from sam3d_bento.serving.routes import export_form
from sam3d_bento.serving.routes.handlers import problem_responses, result
from sam3d_bento.submission import ExportSubmission, ThumbnailSubmission


@problem_responses
async def asset(request: Request) -> Response:
    """A finished GLB, or the way to it: whole or a range of it; DELETE removes it and all that lies beside it."""
    store = backend().assets
    asset_id = request.path_params["id"]
    if request.method == "DELETE":
        await store.delete(asset_id)
        return Response(status_code=204)
    return _answer(request, await store.get(asset_id), "glb")


@problem_responses
async def thumbnail(request: Request) -> Response:
    """A picture of the result. Drawn at the first request, and kept as long as the result."""
    store = backend().assets
    asset_id = request.path_params["id"]
    try:
        return _answer(request, await store.get(asset_id, "webp"), "webp")
    except NotFound:
        await store.get(asset_id)  # without a result there is nothing to draw
    async with backend().drawing:
        try:
            stored = await store.get(asset_id, "webp")  # somebody was quicker
        except NotFound:
            await store.add(asset_id, "webp", await _draw(request, asset_id))
            stored = await store.get(asset_id, "webp")
    return _answer(request, stored, "webp")


async def _draw(request: Request, asset_id: str) -> bytes:
    """Draw the picture of a result in the helper process."""
    async with backend().assets.local(asset_id, "glb") as files:
        if "glb" not in files:
            raise NotFound(GONE)  # it has expired since it was found
        job = backend().postprocess_worker.submit(ThumbnailSubmission(files["glb"]), request_id(request))
        picture: bytes = await result(job, request)
    return picture


@problem_responses
async def export(request: Request) -> Response:
    """The result as another file: another format, size or texture, without inference."""
    server = backend()
    asset_id = request.path_params["id"]
    await server.assets.get(asset_id)
    wanted, changes = await export_form.read(request)
    server.postprocess_worker.admit()
    async with server.assets.local(asset_id, "glb", "npz") as files:
        if "glb" not in files:
            raise NotFound(GONE)  # it has expired since it was found
        order = ExportSubmission(files["glb"], files.get("npz"), wanted, changes)
        job = server.postprocess_worker.submit(order, request_id(request))
        content: bytes = await result(job, request)
    kind = FILE_TYPES[wanted]
    note(request, outcome="done", asset=asset_id, format=wanted, bytes=len(content))
    name = f'attachment; filename="{asset_id}.{kind.suffix}"'
    return Response(
        content, headers={"Content-Disposition": name, "Cache-Control": "no-store"}, media_type=kind.media_type
    )


def _answer(request: Request, stored: StoredFile | StoredObject, kind: Kind) -> Response:
    if isinstance(stored, StoredObject):  # ranges and validation are the object store's part
        return RedirectResponse(stored.links[request.method], 307, {"Cache-Control": "no-store"})
    etag = f'"{stored.id}"'  # an asset never changes under its id
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={int(stored.expires_in_seconds)}, immutable"}
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in tags or "*" in tags:
        return Response(status_code=304, headers=headers)
    return FileResponse(
        stored.path,
        headers=headers,
        media_type=MEDIA_TYPES[kind],
        filename=f"{stored.id}.{kind}",
        stat_result=stored.stat,
        content_disposition_type=DISPOSITIONS[kind],
    )


# An order names a format and a handful of options. JSON of megabytes would hold the event loop for seconds.
MAX_ORDER_BYTES = 64_000
BODY_LIMITS = {re.compile(r"/api/assets/[^/]*/export/?"): MAX_ORDER_BYTES}

routes = [
    Route("/api/assets/{id}.glb", asset, methods=["GET", "DELETE"]),
    Route("/api/assets/{id}.webp", thumbnail),
    Route("/api/assets/{id}/export", export, methods=["POST"]),
]
