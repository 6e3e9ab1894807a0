"""The HTTP routes: what each takes and answers. The reading of requests, the work and the errors live beside it.

`/api/inference` itself is BentoML's (service.py), so that its clients and its schema know it; it calls `inference`.
The other routes are the ASGI app that BentoML mounts. All of them find the one `Backend` in the service instance.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any

import anyio.to_thread
import bentoml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sam3d_bento.errors import BadRequest, Internal, Sam3DError
from sam3d_bento.notices import Notice
from sam3d_bento.options import Options
from sam3d_bento.serving import inputs, problems
from sam3d_bento.serving.assets import GLB_MEDIA_TYPE, StoredFile, StoredObject
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.job import Job
from sam3d_bento.serving.requests import note, request_id
from sam3d_bento.submission import STAGES, Asset, MaskImage, Submission

log = logging.getLogger("sam3d_bento.api")

Handler = Callable[[Request], Awaitable[Response]]


def backend() -> Backend:
    """The running service's backend."""
    found: Backend = bentoml.get_current_service().backend
    return found


def answers_errors(handler: Handler) -> Handler:
    """Turn an error of the tree into its problem document. BentoML would hide its sentence, or log it as a fault."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except Sam3DError as error:
            note(request, outcome=error.code, detail=error.detail)
            return problems.response(error, request_id(request))

    guarded.__name__ = handler.__name__
    guarded.__doc__ = handler.__doc__
    return guarded


@answers_errors
async def inference(request: Request) -> Response:
    """A photo in, a GLB out."""
    server = backend()
    server.worker.admit()
    given = await inputs.read(request)
    job = server.worker.submit(given.submission, request_id(request))
    asset: Asset = await result(job, request)
    try:
        asset_id = await server.assets.put(asset.glb)
    except OSError as exc:
        log.exception("request %s: the result could not be stored", request_id(request))
        raise Internal("The result could not be stored; the server's log says why.") from exc
    url = asset_url(request, asset_id)
    seconds = {"queue": round(job.queue_seconds, 4), **asset.report["seconds"]}
    report = {**asset.report, "id": asset_id, "url": url, "request_id": request_id(request), "seconds": seconds}
    figures = by_stage(seconds) | {"gpu_peak_bytes": report["gpu_peak_bytes"]}  # None, without a GPU, is not logged
    note(request, outcome="done", engine=report["engine"], asset=asset_id, **figures)
    headers = {
        "X-Asset-Id": asset_id,
        "X-Engine": report["engine"],
        "X-Seed": str(report["seed"]),
        **mask_headers(report),
        "Link": f'<{url}>; rel="canonical"',
        "Server-Timing": ", ".join(f"{stage};dur={seconds[stage] * 1000:.1f}" for stage in ("queue", *STAGES)),
        "Cache-Control": "no-store",
    }
    if inputs.wants_link(given, request.headers.get("accept", "")):
        return JSONResponse(report, headers=headers)
    headers["Content-Disposition"] = f'attachment; filename="{asset_id}.glb"'
    return Response(asset.glb, headers=headers, media_type=GLB_MEDIA_TYPE)


async def called_directly(server: Backend, **fields: Any) -> Path:
    """`Sam3D().inference(image=path, ...)` without HTTP: waits for the load, and gives the stored GLB's path.

    image, mask: paths or bytes; the others as in `Options`. Raises the tree's errors; NotReady when the load fails.
    """
    files = {name: fields.pop(name, None) for name in ("image", "mask")}
    photo, uploaded = (Path(file).read_bytes() if isinstance(file, (str, Path)) else file for file in files.values())
    if photo is None:
        raise BadRequest("The argument 'image' is missing: it takes the photo's file.")
    options = inputs.checked_options({name: value for name, value in fields.items() if value is not None})
    job = server.worker.submit(Submission(photo, uploaded, options), "direct", may_wait=True)
    try:
        asset: Asset = await asyncio.wrap_future(job.future)
    except asyncio.CancelledError:
        job.cancel()
        raise
    stored = await server.assets.get(await server.assets.put(asset.glb))
    if isinstance(stored, StoredFile):
        return stored.path
    path = (
        server.workdir.path / f"{stored.id}.glb"
    )  # what lies in a bucket has no path: a copy that goes with the service
    await anyio.to_thread.run_sync(path.write_bytes, asset.glb)
    return path


@answers_errors
async def mask(request: Request) -> Response:
    """The mask that `inference` would use for this photo, as a PNG of the upright photo's size."""
    worker = backend().mask_worker
    worker.admit()
    given = await inputs.read(request, options=False)
    image: MaskImage = await result(worker.submit(given.submission, request_id(request)), request)
    note(request, outcome="done", **by_stage(image.report["seconds"]))
    return Response(
        image.png, headers={**mask_headers(image.report), "Cache-Control": "no-store"}, media_type="image/png"
    )


@answers_errors
async def asset(request: Request) -> Response:
    """A finished GLB, or the way to it: whole or a range of it; DELETE removes it."""
    store = backend().assets
    asset_id = request.path_params["id"]
    if request.method == "DELETE":
        await store.delete(asset_id)
        return Response(status_code=204)
    stored = await store.get(asset_id)
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
        media_type=GLB_MEDIA_TYPE,
        filename=f"{stored.id}.glb",
        stat_result=stored.stat,
    )


async def options(request: Request) -> Response:
    """What may be asked for, and what is refused."""
    server = backend()
    settings, info = server.settings, server.worker.info
    fields = Options.model_json_schema()["properties"]
    engine = {"name": info.name, "version": info.version, "device": info.device, "facts": info.facts} if info else None
    return JSONResponse(
        {
            "engine": engine,
            "options": fields | {"response": {"enum": ["file", "link"], "default": "file", "type": "string"}},
            "formats": info.formats if info else None,
            "limits": {
                "max_upload_bytes": settings.max_upload_bytes,
                "max_pixels": settings.max_pixels,
                "queue_limit": settings.queue_limit,
                "deadline_seconds": settings.deadline_seconds,
                "output_ttl_seconds": settings.output_ttl_seconds,
            },
            "warnings": {str(notice): notice.sentence for notice in Notice},
        }
    )


async def health(request: Request) -> Response:
    """200 when jobs are taken, 503 with the reason otherwise."""
    server = backend()
    report = await anyio.to_thread.run_sync(server.health)
    ready = report["status"] == "ready"
    headers = {"Cache-Control": "no-store"} | ({} if ready else {"Retry-After": "5"})
    return JSONResponse(report, 200 if ready else 503, headers)


async def page(request: Request) -> Response:
    """A form to try the service with."""
    return HTMLResponse((resources.files(__package__) / "web" / "index.html").read_text("utf-8"))


async def result(job: Job, request: Request) -> Any:
    """The job's result. A client that goes away cancels the job; so does a cancelled await."""
    done = asyncio.wrap_future(job.future)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({done, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            job.cancel()
        return await done
    except asyncio.CancelledError:
        job.cancel()
        raise
    finally:
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def by_stage(seconds: dict[str, float]) -> dict[str, float]:
    """Stage seconds as fields of a log line."""
    return {f"{stage}_seconds": spent for stage, spent in seconds.items()}


def mask_headers(report: dict[str, Any]) -> dict[str, str]:
    """What both the GLB's and the mask's answer say of the mask."""
    return {
        "X-Mask-Source": report["mask"]["source"],
        "X-Mask-Coverage": f"{report['mask']['coverage']:.4f}",
        "X-Warnings": ",".join(report["warnings"]),
    }


def asset_url(request: Request, asset_id: str) -> str:
    """The absolute link to an asset: below SAM3D_PUBLIC_URL, else below the address that the client used."""
    base = backend().settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/api/assets/{asset_id}.glb"


# A GET route answers HEAD as well.
app = Starlette(
    routes=[
        Route("/", page),
        Route("/health", health),
        Route("/api/options", options),
        Route("/api/mask", mask, methods=["POST"]),
        Route("/api/assets/{id}.glb", asset, methods=["GET", "DELETE"]),
    ]
)
