"""Define the HTTP routes: what each accepts and returns.

`/api/inference`, `/api/inference/link`, `/api/mask` and POST to `/api/jobs` are API methods of the service
(sam3d_bento/service.py), so that BentoML's clients and its schema include them; they call the functions here and in
`jobs`. The other routes are the ASGI app that BentoML mounts. It lists the last three as well: metrics take the names
of routes from its table. Reading requests, the work and errors are in other modules. All routes find the one `Backend`
in the service instance.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sam3d_bento import formats
from sam3d_bento.errors import BadRequest
from sam3d_bento.options import EXPORT_OPTIONS, PRESETS, Options
from sam3d_bento.prompt import MAX_CANDIDATES, MAX_POINTS
from sam3d_bento.serving.assets import GLB_MEDIA_TYPE, StoredFile, download_name
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.reconstructor import log_fields
from sam3d_bento.serving.request_context import backend, note, request_id
from sam3d_bento.serving.routes import assets, description, jobs, metrics, result_page, studio, upload_form
from sam3d_bento.serving.routes.handlers import cancelled_when_gone, on_shortage, problem_responses, result, with_urls
from sam3d_bento.submission import SMALLER_DEPTH, STAGES, MaskImage, SceneInput, Submission, check_scene
from sam3d_bento.warning_codes import WarningCode


@problem_responses
async def inference(request: Request) -> Response:
    """Reconstruct the object in a photo; return its GLB, or a report with a link to it."""
    return await _reconstructed(request)


@problem_responses
async def inference_link(request: Request) -> Response:
    """Reconstruct the object in a photo; return the report with a link to its GLB."""
    return await _reconstructed(request, always_link=True)


async def _reconstructed(request: Request, *, always_link: bool = False) -> Response:
    """Answer as `inference`. always_link: answer the report; `response` is no known field then."""
    server = backend()
    server.worker.admit()
    given = await upload_form.read(request, delivery=not always_link)
    as_link = always_link or upload_form.wants_link(given, request.headers.get("accept", ""))
    job = server.reconstructor.submit(given.submission, request_id(request))
    del given  # only the job holds the upload, until its run ends
    async with cancelled_when_gone(job, request):
        made = await server.reconstructor.finish(job)
    report = with_urls(request, made.report)
    url = report["url"]
    seconds = report["seconds"]
    note(request, outcome="done", **log_fields(report))
    headers = {
        "X-Asset-Id": report["id"],
        "X-Engine": report["engine"],
        "X-Seed": str(report["seed"]),
        **mask_headers(report),
        "Link": f'<{url}>; rel="canonical"',
        "Server-Timing": ", ".join(f"{stage};dur={seconds[stage] * 1000:.1f}" for stage in ("queue", *STAGES)),
        "Cache-Control": "no-store",
    }
    if as_link:
        return JSONResponse(report, headers=headers)
    name = download_name.of_glb(made.glb[: download_name.HEAD_BYTES])
    headers["Content-Disposition"] = download_name.content_disposition("attachment", name, "glb")
    return Response(made.glb, headers=headers, media_type=GLB_MEDIA_TYPE)


async def called_directly(server: Backend, **fields: Any) -> Path:
    """Run `Sam3D().inference(image=path, ...)` without HTTP; return the path of the stored GLB.

    It waits until the engine has loaded. image, mask, depth, pointmap, labels: paths or bytes; masks: a list of them;
    objects: a text or a list of JSON values; the rest as in `Options`. Raises a Sam3DError; NotReady when the load
    fails.
    """
    scene = _scene_of_call(fields)
    files = {name: fields.pop(name, None) for name in ("image", "mask", "depth", "pointmap")}
    file_name = Path(files["image"]).name if isinstance(files["image"], (str, Path)) else None
    photo, uploaded, depth, pointmap = (
        Path(file).read_bytes() if isinstance(file, (str, Path)) else file for file in files.values()
    )
    if photo is None:
        raise BadRequest("The argument 'image' is missing. Pass the photo's path or bytes.")
    options = upload_form.checked_options({name: value for name, value in fields.items() if value is not None})
    options = options.named_after(file_name)
    check_scene(options, scene, has_mask=uploaded is not None)
    submission = Submission(photo, uploaded, options, depth, pointmap, scene)
    job = server.reconstructor.submit(submission, "direct", may_wait=True)
    made = await server.reconstructor.finish(job)
    stored = await server.assets.get(made.report["id"])
    if isinstance(stored, StoredFile):
        return stored.path
    # A result in a bucket has no path. The copy made here is deleted with the service's working directory.
    path = server.workdir.path / f"{stored.id}.glb"
    await anyio.to_thread.run_sync(path.write_bytes, made.glb)
    return path


def _scene_of_call(fields: dict[str, Any]) -> SceneInput | None:
    """Take the fields of a scene from the arguments of a direct call; return them, or None without any."""
    masks, labels, objects = (fields.pop(name, None) for name in ("masks", "labels", "objects"))
    if masks is None and labels is None and objects is None:
        return None
    files = [Path(file).read_bytes() if isinstance(file, (str, Path)) else file for file in (*(masks or ()), labels)]
    text = objects if isinstance(objects, str | None) else json.dumps(objects)
    return SceneInput(tuple(files[:-1]), files[-1], text)


@problem_responses
async def mask(request: Request) -> Response:
    """Return the mask that `inference` would use for this photo, as a PNG of the upright photo's size."""
    backend().mask_worker.admit()
    given = await upload_form.read(request, options=False)
    job = backend().mask_worker.submit(
        given.submission, request_id(request)
    )  # get the worker again: it may have been replaced during the upload
    del given  # as above
    image: MaskImage = await result(job, request)
    note(request, outcome="done", **{f"{stage}_seconds": spent for stage, spent in image.report["seconds"].items()})
    return Response(
        image.png,
        headers={
            **mask_headers(image.report),
            "X-Mask-Report": json.dumps(image.report["mask"], separators=(",", ":")),
            "Cache-Control": "no-store",
        },
        media_type="image/png",
    )


async def options(request: Request) -> Response:
    """Return the engine, the options, the formats, the limits and the warnings, as JSON."""
    server = backend()
    settings, info = server.settings, server.worker.info
    fields = Options.model_json_schema()["properties"]
    of_formats = formats.FormatOptions.model_json_schema()["properties"]
    engine = {"name": info.name, "version": info.version, "device": info.device, "facts": info.facts} if info else None
    return JSONResponse(
        {
            "engine": engine,
            "options": fields | {"response": {"enum": ["file", "link"], "default": "file", "type": "string"}},
            "presets": PRESETS,
            "formats": info.formats if info else None,
            "export": {
                "formats": {
                    name: {
                        "media_type": kind.media_type,
                        "suffix": kind.suffix,
                        "description": kind.description,
                        "options": {option: of_formats[option] for option in kind.options},
                    }
                    for name, kind in formats.available().items()
                },
                "options": EXPORT_OPTIONS,
            },
            "prompts": {
                "model": info.prompt_model if info else None,
                "max_points": MAX_POINTS,
                "max_candidates": MAX_CANDIDATES,
                "memory_seconds": settings.prompt_memory_seconds,
            },
            "limits": {
                "max_upload_bytes": settings.max_upload_bytes,
                "max_pixels": settings.max_pixels,
                "max_objects": settings.max_objects,
                "queue_limit": settings.queue_limit,
                "deadline_seconds": settings.deadline_seconds,
                "output_ttl_seconds": settings.output_ttl_seconds,
            },
            "warnings": {str(code): code.sentence for code in WarningCode},
        }
    )


@cache
def _health_threads() -> CapacityLimiter:
    """Return the limit of threads for `/health`.

    It is separate, because files that hang may use up the usual limit.
    """
    return CapacityLimiter(4)


async def health(request: Request) -> Response:
    """Return status 200 when the service accepts jobs, or 503 with the reason when it does not."""
    server = backend()
    report = await anyio.to_thread.run_sync(server.health, limiter=_health_threads())
    ready = report["status"] == "ready"
    headers = {"Cache-Control": "no-store"} | ({} if ready else {"Retry-After": "5"})
    return JSONResponse(report, 200 if ready else 503, headers)


def mask_headers(report: dict[str, Any]) -> dict[str, str]:
    """Return the headers that describe the mask in the responses of `inference` and `mask`."""
    return {
        "X-Mask-Source": report["mask"]["source"],
        "X-Mask-Coverage": f"{report['mask']['coverage']:.4f}",
        "X-Warnings": ",".join(report["warnings"]),
    }


# Paths whose bodies are smaller than a photo, and their largest bodies in bytes (`UploadLimit`).
BODY_LIMITS = assets.BODY_LIMITS

# What those are told whose body is too large, on the paths that take depth (`UploadLimit`).
UPLOAD_ADVICE = {re.compile(r"/api/(inference|inference/link|jobs)/?"): SMALLER_DEPTH}

# A GET route answers HEAD as well.
app = Starlette(
    routes=[
        Route("/health", health),
        *metrics.routes,
        Route("/api/options", options),
        Route("/api/inference/link", inference_link, methods=["POST"]),
        Route("/api/mask", mask, methods=["POST"]),
        *assets.routes,
        *jobs.routes,
        *description.routes,
        *result_page.routes,
        *studio.routes,
    ],
    exception_handlers={OSError: on_shortage, RuntimeError: on_shortage},
)
