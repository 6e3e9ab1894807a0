"""The BentoML service: a photo in, a textured GLB out. Wiring only; the rooms are in sam3d_bento/."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from sam3d_bento import malloc
from sam3d_bento.serving import bentoml_seams, request_context, shortage
from sam3d_bento.serving.admission import Budget
from sam3d_bento.serving.assets import GLB_MEDIA_TYPE
from sam3d_bento.serving.backend import Backend
from sam3d_bento.serving.connections import acceptor, limits
from sam3d_bento.serving.connections.downloads import SlowDownloads
from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.middleware.authentication import Authentication
from sam3d_bento.serving.middleware.content_encoding import ContentEncoding
from sam3d_bento.serving.middleware.open_requests import OpenRequests
from sam3d_bento.serving.middleware.problem_details import ProblemDetails
from sam3d_bento.serving.middleware.request_metrics import RequestMetrics
from sam3d_bento.serving.middleware.security_headers import SecurityHeaders, cors
from sam3d_bento.serving.middleware.upload_limit import UploadLimit
from sam3d_bento.serving.routes import api
from sam3d_bento.serving.routes.upload_form import InferenceInput, incoming
from sam3d_bento.serving.shutdown import Shutdown
from sam3d_bento.settings import Settings

bentoml_seams.end_with_supervisor()
settings = Settings.from_environ()
bentoml_seams.adopt_logs(settings.log_format)
limits.adopt()
acceptor.adopt(
    # Those that are refused, and the probes, are there for a moment beside the requests.
    most_open=2 * settings.max_requests,
    probes={
        "/livez": lambda: request_context.backend().alive,
        "/readyz": lambda: request_context.backend().ready,
    },
)
malloc.keep_small()

# BentoML counts a request's time from its arrival, queueing included, and a request that it gives up runs on. So its
# limit lies where only a fault of ours can reach it: the longest wait of a job, its own run, and an hour.
TRAFFIC_TIMEOUT_SECONDS = int(settings.queue_seconds + settings.deadline_seconds) + 3600


@bentoml.service(
    name="sam3d",
    workers=1,  # one process, one queue, one GPU; more throughput is more of these, with nothing shared
    resources={"gpu": 1},
    traffic={"timeout": TRAFFIC_TIMEOUT_SECONDS},
    http={"port": 8000},
    logging={"access": {"enabled": False}},  # AccessLog logs, with the request id
    metrics={"enabled": False},  # routes/metrics.py answers; telemetry/counts.py says why
)
@bentoml.asgi_app(api.app, path="/")
class Sam3D:
    """Turns a photo of an object into a textured 3D model."""

    def __init__(self) -> None:
        # Returns at once: the engine loads in its own process, and /health says 503 until it is warm.
        self.backend = Backend(settings, tracer=bentoml_seams.tracer())
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # called as a class, without a server
            return
        shortage.watch_loop(loop)
        connections = bentoml_seams.on_stop(lambda: self._stop_soon(loop))
        if connections is not None:
            self._shutdown = Shutdown(connections, self.backend.end_work, settings.shutdown_limit_seconds)
            self._watch = loop.create_task(SlowDownloads(connections).watch())

    def _stop_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        self._shutdown.bound()
        loop.call_soon_threadsafe(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        self._shutdown.begin(at_once=bentoml_seams.supervisor_is_gone())

    @bentoml.on_shutdown
    def stop(self) -> None:
        """End the engine process and remove what is short-lived."""
        self.backend.stop()

    async def __is_ready__(self) -> bool:
        return self.backend.ready

    # async: BentoML would call a plain `def` in a thread, and files that hang may hold all of those.
    async def __is_alive__(self) -> bool:
        return self.backend.alive

    # async: a plain `def` would be queued by BentoML's threads=1 before our queue sees it, and 429 could never fire.
    @bentoml.api(route="/api/inference", input_spec=InferenceInput)
    async def inference(self, **fields: object) -> Annotated[Path, ContentType(GLB_MEDIA_TYPE)]:
        """Reconstruct the object in a photo. The answer is a binary glTF file, or a report with a link to it."""
        request = incoming.get(None)
        if request is None:  # called as a method, in this process
            return await api.called_directly(self.backend, **fields)
        response: Response = await api.inference(request)
        return response  # type: ignore[return-value]  # the annotation is what clients receive


Sam3D.add_asgi_middleware(AccessLog)
Sam3D.add_asgi_middleware(OpenRequests, limit=settings.max_requests)
Sam3D.add_asgi_middleware(RequestMetrics, routes=api.app.routes)
Sam3D.add_asgi_middleware(SecurityHeaders, shared=bool(settings.cors_origins))
if settings.cors_origins:
    Sam3D.add_asgi_middleware(CORSMiddleware, **cors(settings.cors_origins))
Sam3D.add_asgi_middleware(ProblemDetails)
Sam3D.add_asgi_middleware(Authentication)
Sam3D.add_asgi_middleware(
    UploadLimit,
    max_bytes=settings.max_upload_bytes,
    budget=Budget(settings.upload_room_bytes),
    route_limits=api.BODY_LIMITS,
)
Sam3D.add_asgi_middleware(ContentEncoding, max_bytes=settings.max_upload_bytes)
