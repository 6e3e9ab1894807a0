"""Routes of finished results: the GLB, its picture, the model in other formats and sizes, and how long it lives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sam3d_bento import formats
from sam3d_bento.errors import NotFound, StorageFull
from sam3d_bento.formats import FILE_TYPES, FileType, Format
from sam3d_bento.serving.assets import (
    DISPOSITIONS,
    GONE,
    MEDIA_TYPES,
    Holding,
    Kind,
    StoredFile,
    StoredObject,
    download_name,
)
from sam3d_bento.serving.assets.download_name import content_disposition
from sam3d_bento.serving.request_context import backend, note, request_id
from sam3d_bento.serving.routes import export_form
from sam3d_bento.serving.routes.handlers import Handler, asset_url, page_url, problem_responses, result
from sam3d_bento.serving.routes.stored_file import StoredFileResponse
from sam3d_bento.submission import ExportSubmission, ObjectSubmission, ThumbnailSubmission


@problem_responses
async def asset(request: Request) -> Response:
    """Return a finished GLB, a range of it, or a redirect to it. DELETE removes it with its other files."""
    store = backend().assets
    asset_id = request.path_params["id"]
    if request.method == "DELETE":
        await store.delete(asset_id)
        return Response(status_code=204)
    return await _answer(request, await store.get(asset_id), "glb")


@problem_responses
async def thumbnail(request: Request) -> Response:
    """Return a picture of the result. It is drawn at the first request, and kept as long as the result."""

    async def draw() -> bytes:
        async with _files(request.path_params["id"], "glb") as files:
            return await _run(request, ThumbnailSubmission(files["glb"]))

    return await _made_once(request, "webp", backend().drawing, draw, ("glb",))


def in_format(name: Format) -> Handler:
    """Return the handler for a result in another format, with the format's default options.

    The file is made at the first request, and kept as long as the result. For each result, one file is made at a time.
    """
    kind = FILE_TYPES[name].suffix
    sources: tuple[Kind, ...] = ("glb", "npz") if FILE_TYPES[name].from_reconstruction else ("glb",)

    async def formatted(request: Request) -> Response:
        """Return the result in another format. It is made at the first request, and kept as long as the result."""
        asset_id = request.path_params["id"]
        formats.require(name)

        async def make() -> bytes:
            async with _files(asset_id, *sources) as files:
                return await _run(request, ExportSubmission(files["glb"], files.get("npz"), name))

        lock = _making.setdefault(asset_id, asyncio.Lock())
        return await _made_once(request, kind, lock, make, sources)

    return problem_responses(formatted)


# Lock of each result for which a file is being made. It disappears when nobody holds it or waits for it.
_making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


async def _made_once(
    request: Request, kind: Kind, lock: asyncio.Lock, make: Callable[[], Awaitable[bytes]], sources: tuple[Kind, ...]
) -> Response:
    """Return a further file of a result. If it does not exist yet, make it under the lock and store it.

    sources: the files that it is made from. HEAD does not make the file; it returns the media type if the sources
    exist.
    """
    store = backend().assets
    asset_id = request.path_params["id"]
    try:
        return await _answer(request, await store.get(asset_id, kind), kind)
    except NotFound:
        await store.get(asset_id)  # raises if the result does not exist
    if request.method == "HEAD":
        for source in sources:
            await store.get(asset_id, source)
        return _unmade(await store.name(asset_id), kind)
    async with lock:
        try:
            stored = await store.get(asset_id, kind)  # another request has made it in the meantime
        except NotFound:
            content = await make()
            note(request, outcome="done", asset=asset_id, kind=kind, bytes=len(content))
            try:
                await store.add(asset_id, kind, content)
                stored = await store.get(asset_id, kind)
            except StorageFull:  # return the file although it cannot be stored
                name = await store.name(asset_id)
                return Response(content, headers=_unkept(name, kind), media_type=MEDIA_TYPES[kind])
    return await _answer(request, stored, kind)


def _unmade(name: str, kind: Kind) -> Response:
    """Return the response to HEAD for a file that is not made yet: the headers of GET, without the length."""
    answer = Response(headers=_unkept(name, kind), media_type=MEDIA_TYPES[kind])
    del answer.headers["content-length"]
    return answer


def _unkept(name: str, kind: Kind) -> dict[str, str]:
    """Return the headers of a file that is not stored. name: of the result."""
    return {"Content-Disposition": content_disposition(DISPOSITIONS[kind], name, kind), "Cache-Control": "no-store"}


@asynccontextmanager
async def _files(asset_id: str, *kinds: Kind) -> AsyncIterator[dict[Kind, Path]]:
    """Provide a result's files as local files during the block. Raises NotFound if the GLB has expired."""
    async with backend().assets.local(asset_id, *kinds) as files:
        if "glb" not in files:
            raise NotFound(GONE)
        yield files


async def _run(request: Request, order: ExportSubmission | ThumbnailSubmission | ObjectSubmission) -> bytes:
    """Make a file in the helper process. Raises Busy at once if its queue is full."""
    content: bytes = await result(backend().postprocess_worker.submit(order, request_id(request)), request)
    return content


@problem_responses
async def export(request: Request) -> Response:
    """Export the result again without inference: in another format, size or texture."""
    server = backend()
    asset_id = request.path_params["id"]
    await server.assets.get(asset_id)
    given = await export_form.read(request)
    server.postprocess_worker.admit()
    async with _files(asset_id, "glb", "npz") as files:
        order = ExportSubmission(files["glb"], files.get("npz"), given.format, given.changes, given.format_options)
        content = await _run(request, order)
    kind = FILE_TYPES[given.format]
    note(request, outcome="done", asset=asset_id, format=given.format, bytes=len(content))
    name = given.changes.get("name") or await server.assets.name(asset_id)
    disposition = content_disposition("attachment", name, kind.suffix)
    return Response(
        content, headers={"Content-Disposition": disposition, "Cache-Control": "no-store"}, media_type=kind.media_type
    )


async def _answer(request: Request, stored: StoredFile | StoredObject, kind: Kind) -> Response:
    if isinstance(stored, StoredObject):  # the object store handles ranges and validation
        return RedirectResponse(stored.links[request.method], 307, {"Cache-Control": "no-store"})
    etag = f'"{stored.id}"'  # an asset never changes under its id
    headers = {"ETag": etag, "Cache-Control": f"private, max-age={int(stored.expires_in_seconds)}, immutable"}
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if etag in tags or "*" in tags:
        return Response(status_code=304, headers=headers)
    name = await backend().assets.name(stored.id)
    headers["Content-Disposition"] = content_disposition(DISPOSITIONS[kind], name, kind)
    return StoredFileResponse(stored, headers=headers, media_type=MEDIA_TYPES[kind])


@problem_responses
async def scene_object(request: Request) -> Response:
    """Return the GLB of an object of a scene. It is taken out of the scene's GLB at each request."""
    name = request.path_params["name"]
    async with _files(request.path_params["id"], "glb") as files:
        content = await _run(request, ObjectSubmission(files["glb"], name))
    disposition = content_disposition("attachment", name, "glb")
    return Response(
        content,
        headers={"Content-Disposition": disposition, "Cache-Control": "no-store"},
        media_type=MEDIA_TYPES["glb"],
    )


@problem_responses
async def description(request: Request) -> Response:
    """Return what there is of a result: its files, and until when."""
    return await _described(request)


@problem_responses
async def keeping(request: Request) -> Response:
    """Keep a result, so that it does not expire. DELETE ends that."""
    store = backend().assets
    asset_id = request.path_params["id"]
    if request.method == "DELETE":
        await store.release(asset_id)
        return Response(status_code=204)
    await store.keep(asset_id)
    note(request, outcome="kept", asset=asset_id)
    return await _described(request)


async def _described(request: Request) -> Response:
    server = backend()
    found = await server.assets.look_up(request.path_params["id"])
    url = asset_url(request, found.id)
    left = found.expires_in_seconds
    listed = {
        name: {
            "url": f"{url.removesuffix('.glb')}.{kind.suffix}",
            "media_type": kind.media_type,
            "bytes": found.sizes.get(kind.suffix),
        }
        for name, kind in formats.available().items()
        if _can_give(found, kind)
    }
    return JSONResponse(
        {
            "id": found.id,
            "name": download_name.cleaned_name(found.extras),
            "page": page_url(request, found.id),
            "expires_in_seconds": None if left is None else round(left, 1),
            "kept": left is None,
            "keepable": server.assets.keep_max_bytes is not None,
            "exportable": "npz" in found.sizes,
            "files": listed,
        },
        headers={"Cache-Control": "no-store"},
    )


def _can_give(found: Holding, kind: FileType) -> bool:
    """Return whether GET gives a result in a format. A size that is missing can be given to `/export`."""
    if kind.from_reconstruction and "npz" not in found.sizes:
        return False
    if kind.of_splats:
        info = backend().worker.info  # None while the engine loads
        return info is not None and bool(info.facts.get("splats"))
    return not (kind.one_object and "objects" in found.extras)


# Largest body of an export, which has a format and a few options. JSON of megabytes would block the loop for seconds.
MAX_ORDER_BYTES = 64_000
BODY_LIMITS = {re.compile(r"/api/assets/[^/]*/export/?"): MAX_ORDER_BYTES}


def _file_route(suffix: str, handler: Handler, methods: Sequence[str] = ("GET",)) -> Route:
    """Return the route of a file of a result. An id has no dot, so `.splats.ply` is not the `.ply` of another id."""
    route = Route(f"/api/assets/{{id}}.{suffix}", handler, methods=list(methods))
    route.path_regex = re.compile(rf"^/api/assets/(?P<id>[^/.]+)\.{re.escape(suffix)}$")
    return route


_RESULT = Route("/api/assets/{id}", description)
_RESULT.path_regex = re.compile(r"^/api/assets/(?P<id>[^/.]+)$")  # with a dot it is a file's

routes = [
    _file_route("glb", asset, ("GET", "DELETE")),
    _file_route("webp", thumbnail),
    *(_file_route(kind.suffix, in_format(name)) for name, kind in FILE_TYPES.items() if name != "glb"),
    _RESULT,
    Route("/api/assets/{id}/keep", keeping, methods=["POST", "DELETE"]),
    Route("/api/assets/{id}/objects/{name}.glb", scene_object),
    Route("/api/assets/{id}/export", export, methods=["POST"]),
]
