"""Define the BentoML service `Sam3D`: a photo in, a textured GLB out. Wiring only; the work is in the other modules.

To import it changes nothing in the process: a service that depends on this one imports it too. What it changes in the
processes that serve it, it does when they start (`Sam3D.prepare`, `Sam3D.__init__`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

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
from sam3d_bento.serving.routes import api, api_methods, jobs
from sam3d_bento.serving.routes.api_methods import InferenceInput, JobInput, MaskInput
from sam3d_bento.serving.shutdown import Shutdown
from sam3d_bento.settings import Settings, SettingsError

# A setting that cannot be used is an error of the service when it starts, and not of every program that imports it.
unusable: SettingsError | None = None
try:
    settings = Settings.from_environ()
except SettingsError as error:
    settings, unusable = Settings(), error

if bentoml_seams.is_worker_process():
    acceptor.prepare()  # before uvicorn starts; without effect where this process serves another service

# BentoML counts a request's time from its arrival, queueing included, and a request that it gives up runs on. So its
# limit lies where only a fault of ours can reach it: the longest wait of a job, its own run, and an hour.
TRAFFIC_TIMEOUT_SECONDS = int(settings.queue_seconds + settings.longest_run_seconds) + 3600


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

    @bentoml.on_deployment
    def prepare() -> None:
        """Prepare the supervisor, before it starts the process that serves. BentoML makes this a static method.

        Raises SettingsError.
        """
        if unusable is not None:
            raise unusable
        bentoml_seams.end_with_supervisor()
        bentoml_seams.adopt_logs(settings.log_format)

    def __init__(self) -> None:
        if unusable is not None:
            raise unusable
        if bentoml_seams.is_worker_process():
            bentoml_seams.end_with_supervisor()
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

    # All are async: a plain `def` would be queued by BentoML's threads=1 before our queue sees it, and 429 could never
    # fire. The annotations are what clients receive.
    @bentoml.api(route="/api/inference", input_spec=InferenceInput)
    async def inference(self, **fields: object) -> Annotated[Path, ContentType(GLB_MEDIA_TYPE)]:
        """Reconstruct the object in a photo. The answer is a binary glTF file, or a report with a link to it."""
        request = api_methods.request()
        if request is None:
            return await api.called_directly(self.backend, **fields)
        response: Response = await api.inference(request)
        return response  # type: ignore[return-value]

    # BentoML's clients have one type of answer for each method, and that of `inference` is a file.
    @bentoml.api(route="/api/inference/link", input_spec=JobInput)
    async def inference_link(self, **fields: object) -> dict[str, Any]:
        """Reconstruct the object in a photo. The answer is the report, with a link to the binary glTF file."""
        response = await api.inference_link(api_methods.only_request())
        return api_methods.for_caller(response)  # type: ignore[return-value]

    @bentoml.api(route="/api/mask", input_spec=MaskInput)
    async def mask(self, **fields: object) -> Annotated[Path, ContentType("image/png")]:
        """Find the object in a photo. The answer is the mask that `inference` would use, as a PNG file."""
        response: Response = await api.mask(api_methods.only_request())
        return response  # type: ignore[return-value]

    @bentoml.api(route="/api/jobs", input_spec=JobInput)
    async def jobs(self, **fields: object) -> dict[str, Any]:
        """Take in a photo as a job. The answer is the job, with links to follow it."""
        response = await jobs.submit(api_methods.only_request())
        return api_methods.for_caller(response)  # type: ignore[return-value]


# BentoML's decorator has made a `Service` of the class, which it does not say in its types.
_service: Any = Sam3D
_service.add_asgi_middleware(AccessLog)
_service.add_asgi_middleware(OpenRequests, limit=settings.max_requests)
_service.add_asgi_middleware(RequestMetrics, routes=api.app.routes)
_service.add_asgi_middleware(SecurityHeaders, shared=bool(settings.cors_origins))
if settings.cors_origins:
    _service.add_asgi_middleware(CORSMiddleware, **cors(settings.cors_origins))
_service.add_asgi_middleware(ProblemDetails)
_service.add_asgi_middleware(Authentication)
_service.add_asgi_middleware(
    UploadLimit,
    max_bytes=settings.max_upload_bytes,
    budget=Budget(settings.upload_room_bytes),
    route_limits=api.BODY_LIMITS,
    advice=api.UPLOAD_ADVICE,
)
_service.add_asgi_middleware(ContentEncoding, max_bytes=settings.max_upload_bytes, advice=api.UPLOAD_ADVICE)
