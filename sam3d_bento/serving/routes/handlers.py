"""Helpers of the route handlers: errors as problem documents, waiting for a job, links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from sam3d_bento.errors import Sam3DError
from sam3d_bento.serving import problems, shortage
from sam3d_bento.serving.reconstructor import ended
from sam3d_bento.serving.request_context import backend, note, request_id
from sam3d_bento.serving.worker.job import Job

Handler = Callable[[Request], Awaitable[Response]]


def problem_responses(handler: Handler) -> Handler:
    """Wrap a handler so that it returns errors as problem documents. BentoML would hide or log their sentences.

    A shortage of descriptors or threads in the handler becomes a 503.
    """

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except Sam3DError as error:
            return refused(request, error)
        except (OSError, RuntimeError) as exc:
            return await on_shortage(request, exc)

    guarded.__name__ = handler.__name__
    guarded.__doc__ = handler.__doc__
    return guarded


def refused(request: Request, error: Sam3DError) -> Response:
    """Return the error's problem document, and note the error for the log."""
    note(request, outcome=error.code, detail=error.detail)
    return problems.response(error, request_id(request))


async def on_shortage(request: Request, exc: Exception) -> Response:
    """Return a 503 for a shortage of descriptors or threads; raise every other exception. For any route."""
    if shortage.is_shortage(exc):
        return refused(request, shortage.refusal())
    raise exc


async def result(job: Job, request: Request) -> Any:
    """Wait for the job and return its result. A disconnected client or a cancelled wait cancels the job."""
    async with cancelled_when_gone(job, request):
        return await ended(job)


@asynccontextmanager
async def cancelled_when_gone(job: Job, request: Request) -> AsyncIterator[None]:
    """Cancel the job if the client disconnects during the block. The request must already have been read."""

    async def listen() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        job.cancel()

    listening = asyncio.ensure_future(listen())
    try:
        yield
    finally:
        listening.cancel()


def asset_url(request: Request, asset_id: str) -> str:
    """Return the absolute link to an asset, below SAM3D_PUBLIC_URL or else the address that the client used."""
    base = backend().settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/api/assets/{asset_id}.glb"


def page_url(request: Request, asset_id: str) -> str:
    """Return the absolute link to the page of a result, below the same address as `asset_url`."""
    base = backend().settings.public_url or str(request.base_url)
    return f"{base.rstrip('/')}/m/{asset_id}"


def with_urls(request: Request, report: dict[str, Any]) -> dict[str, Any]:
    """Return the report of a stored result with the links to its GLB, and to those of the objects of a scene."""
    url = asset_url(request, report["id"])
    linked = {**report, "url": url}
    if "objects" in report:
        folder = f"{url.removesuffix('.glb')}/objects"
        linked["objects"] = [
            {**each, "url": f"{folder}/{quote(each['name'], safe='')}.glb"} if each["problem"] is None else each
            for each in report["objects"]
        ]
    return linked


def link(path: str) -> str:
    """Return a path of the service as a client must send it: below the path of SAM3D_PUBLIC_URL, if it has one."""
    return urlsplit(backend().settings.public_url or "").path.rstrip("/") + path
