"""List the operations of the API: what each accepts and returns, and its own errors.

`document` adds what all operations have in common: the errors of the layers around the routes, and HEAD beside GET.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sam3d_bento.errors import (
    BadRequest,
    BadResult,
    Busy,
    Cancelled,
    DeadlineExceeded,
    EngineLost,
    GpuOutOfMemory,
    KeyReused,
    NoDepth,
    NoObject,
    NoRoomToKeep,
    NoScale,
    NotFound,
    Sam3DError,
    StorageFull,
    StorageUnavailable,
    TooLarge,
    UnsupportedMedia,
    UploadTimeout,
)
from sam3d_bento.formats import FILE_TYPES
from sam3d_bento.options import PROMPT_OPTIONS
from sam3d_bento.serving import problems
from sam3d_bento.serving.assets import GLB_MEDIA_TYPE, MEDIA_TYPES
from sam3d_bento.serving.jobs import IDEMPOTENCY_KEY
from sam3d_bento.serving.openapi import fields
from sam3d_bento.serving.openapi.responses import IDENTITY, Response, response, schema

TAGS = {
    "Reconstruction": "A photo in, a model out.",
    "Jobs": "The same work, followed from outside instead of waited for.",
    "Results": "Finished models, until they expire: the file, its picture, other formats.",
    "Service": "What the service can do, and how it is.",
}

JSON = "application/json"
FORM = "multipart/form-data"
EXPORT_BODIES = {
    JSON: "ExportOrder",
    FORM: "ExportForm",
    "application/x-www-form-urlencoded": "ExportUrlencodedForm",
}
RAW_PHOTO = {media_type: {"schema": fields.FILE} for media_type in ("image/*", "application/octet-stream")}
BYTES = fields.FILE

# Of the errors that a body can cause before its fields are looked at.
BODY_ERRORS = (BadRequest, UploadTimeout, TooLarge, UnsupportedMedia)
# Of a job in an engine process or in a helper.
RUN_ERRORS = (Busy, Cancelled, BadResult, EngineLost, DeadlineExceeded)
STORE_ERRORS = (NotFound, StorageUnavailable)

OBJECT_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The name of the object, as the report has it.",
    "schema": {"type": "string"},
}
ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The id, as the service gave it.",
    "schema": IDENTITY,
}


def _header(name: str, description: str, example: str, **limits: Any) -> dict[str, Any]:
    """Return a request header that may be left out."""
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string", **limits},
        "example": example,
    }


CONDITION = _header("If-None-Match", "The `ETag` of a copy: 304 where it is the same.", f'"{"0" * 32}"')
RANGE = _header("Range", "The bytes that are wanted.", "bytes=0-1023")


@dataclass(frozen=True)
class Operation:
    """Operation of the API.

    id: for names in generated clients. responses: those that are no errors, by status.
    errors: its own; those of the layers around the routes are added to them.
    """

    method: str
    path: str
    id: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[dict[str, Any], ...] = ()
    body: dict[str, Any] | None = None
    responses: dict[int, Response] = field(default_factory=dict)
    errors: tuple[type[Sam3DError], ...] = ()


def _photo_body(form: str) -> dict[str, Any]:
    """Return the request body with a photo: a form of the components, or the photo alone, options in the query."""
    return {"required": True, "content": {FORM: {"schema": schema(form)}, **RAW_PHOTO}}


MASK_HEADERS = ("X-Mask-Source", "X-Mask-Coverage", "X-Warnings")
RUN_HEADERS = ("X-Asset-Id", "X-Engine", "X-Seed", *MASK_HEADERS, "Link", "Server-Timing", "Cache-Control")

INFERENCE = Operation(
    "post",
    "/api/inference",
    "inference",
    "Reconstruction",
    "Turn a photo into a GLB",
    "The response is a binary glTF file, or with `response=link` or `Accept: application/json` a report with a link to"
    " it. It comes when the run is done; a client that goes away cancels it.",
    tuple(fields.query(delivery=True)),
    _photo_body("InferenceForm"),
    {
        200: response(
            "The model, or the report with a link to it.",
            {GLB_MEDIA_TYPE: BYTES, JSON: schema("Report")},
            (*RUN_HEADERS, "Content-Disposition"),
        )
    },
    (*BODY_ERRORS, *RUN_ERRORS, NoObject, NoDepth, NoScale, GpuOutOfMemory, StorageUnavailable, StorageFull),
)

INFERENCE_LINK = Operation(
    "post",
    "/api/inference/link",
    "inferenceLink",
    "Reconstruction",
    "Turn a photo into a GLB, and get the report with a link to it",
    "The same work as `/api/inference` with `response=link`, for clients that know one type of response an operation.",
    tuple(fields.query()),
    _photo_body("JobForm"),
    {200: response("The report with a link to the model.", {JSON: schema("Report")}, RUN_HEADERS)},
    INFERENCE.errors,
)

MASK = Operation(
    "post",
    "/api/mask",
    "previewMask",
    "Reconstruction",
    "Show the mask that would be used",
    "A PNG of the upright photo's size: white the object, dark grey (64) other objects that were left out. Which object"
    " is meant can be said by `points` and `box`; `X-Mask-Report` lists what else they may mean.",
    tuple(fields.query(PROMPT_OPTIONS)),
    _photo_body("MaskForm"),
    {200: response("The mask.", {"image/png": BYTES}, (*MASK_HEADERS, "X-Mask-Report", "Cache-Control"))},
    (*BODY_ERRORS, *RUN_ERRORS, NoObject),
)

JOB_JSON = {JSON: schema("Job")}

JOBS = (
    Operation(
        "post",
        "/api/jobs",
        "submitJob",
        "Jobs",
        "Turn a photo into a GLB, as a job",
        "The same work as `/api/inference`, without waiting for it.",
        (
            *fields.query(),
            _header(
                "Idempotency-Key",
                "Makes it safe to send the request again: the same key gives the same job.",
                "order-4711",
                pattern=f"^{IDEMPOTENCY_KEY.pattern}$",
            ),
        ),
        _photo_body("JobForm"),
        {
            200: response("The job of the `Idempotency-Key`, which has ended.", JOB_JSON, ("Location",)),
            202: response("The job.", JOB_JSON, ("Location", "Cache-Control")),
        },
        (*BODY_ERRORS, Busy, KeyReused),
    ),
    Operation(
        "get",
        "/api/jobs/{id}",
        "getJob",
        "Jobs",
        "See where a job stands",
        parameters=(ID,),
        responses={200: response("The job.", JOB_JSON, ("Cache-Control",))},
        errors=(NotFound,),
    ),
    Operation(
        "delete",
        "/api/jobs/{id}",
        "cancelJob",
        "Jobs",
        "Cancel a job",
        "At once when it waits, at the next step when it runs. One that has ended stays as it is.",
        (ID,),
        responses={
            200: response("The job, which has ended.", JOB_JSON, ("Cache-Control",)),
            202: response("The job, which ends at its next step.", JOB_JSON, ("Cache-Control",)),
        },
        errors=(NotFound,),
    ),
    Operation(
        "get",
        "/api/jobs/{id}/events",
        "followJob",
        "Jobs",
        "Follow a job until it ends",
        "Server-sent events `progress`, then `done`, `failed` or `cancelled`; the data of each is the job as JSON.",
        (ID, _header("Last-Event-ID", "The number of the last event that was seen.", "3")),
        responses={
            200: response("The events.", {"text/event-stream": {"type": "string"}}, ("Cache-Control",)),
            204: response("No event follows the one that was seen."),
        },
        errors=(NotFound, Busy),
    ),
)


def _file(media_type: str, content: dict[str, Any] = BYTES) -> dict[int, Response]:
    """Return the responses with a file of a result, of which clients may request a part."""
    described = ("ETag", "Cache-Control", "Content-Disposition", "Last-Modified", "Accept-Ranges")
    in_parts = {media_type: content, "multipart/byteranges": BYTES}
    return {
        200: response("The file.", {media_type: content}, described),
        206: response("The part that was asked for.", in_parts, (*described, "Content-Range")),
        304: response("The copy is still the file.", sent=("ETag", "Cache-Control")),
        307: response("The file is in the object store, at this signed address.", sent=("Location", "Cache-Control")),
        416: response("The file has no such part.", {problems.MEDIA_TYPE: schema("Problem")}, ("Content-Range",)),
    }


RESULTS = (
    Operation(
        "get",
        "/api/assets/{id}.glb",
        "getResult",
        "Results",
        "Fetch the GLB",
        parameters=(ID, RANGE, CONDITION),
        responses=_file(GLB_MEDIA_TYPE),
        errors=STORE_ERRORS,
    ),
    Operation(
        "delete",
        "/api/assets/{id}.glb",
        "deleteResult",
        "Results",
        "Delete a result with all its files",
        parameters=(ID,),
        responses={204: response("It is deleted.")},
        errors=STORE_ERRORS,
    ),
    Operation(
        "get",
        "/api/assets/{id}.webp",
        "getPicture",
        "Results",
        "Fetch a picture of the model",
        "512 px, before a transparent background; drawn when it is first asked for.",
        (ID, RANGE, CONDITION),
        responses=_file(MEDIA_TYPES["webp"]),
        errors=(*STORE_ERRORS, *RUN_ERRORS),
    ),
    *(
        Operation(
            "get",
            f"/api/assets/{{id}}.{kind.suffix}",
            f"getResultAs{fields.component_name(name.replace('-', '_'))}",
            "Results",
            f"Fetch the model as {kind.description}",
            "Made with the format's defaults when it is first asked for, then kept as long as the result. HEAD makes"
            " nothing.",
            (ID, RANGE, CONDITION),
            responses=_file(kind.media_type),
            errors=(*STORE_ERRORS, *RUN_ERRORS, UnsupportedMedia, *((NoScale,) if kind.needs_size else ())),
        )
        for name, kind in FILE_TYPES.items()
        if name != "glb"
    ),
    Operation(
        "get",
        "/api/assets/{id}",
        "describeResult",
        "Results",
        "See what there is of a result, and until when",
        parameters=(ID,),
        responses={200: response("The result.", {JSON: schema("Result")}, ("Cache-Control",))},
        errors=STORE_ERRORS,
    ),
    Operation(
        "post",
        "/api/assets/{id}/keep",
        "keepResult",
        "Results",
        "Keep a result, so that it does not expire",
        "Where SAM3D_KEEP_MAX_BYTES is set, until it is deleted or the keeping ends. To keep it again changes nothing.",
        (ID,),
        responses={200: response("The result, which is kept.", {JSON: schema("Result")}, ("Cache-Control",))},
        errors=(*STORE_ERRORS, NoRoomToKeep, StorageFull),
    ),
    Operation(
        "delete",
        "/api/assets/{id}/keep",
        "releaseResult",
        "Results",
        "End the keeping of a result",
        "It expires as if it had never been kept: at once, if its time is over.",
        (ID,),
        responses={204: response("It is not kept.")},
        errors=STORE_ERRORS,
    ),
    Operation(
        "get",
        "/api/assets/{id}/objects/{name}.glb",
        "getObject",
        "Results",
        "Fetch the GLB of one object of a scene",
        "In its own frame, as a run of this object alone gives it.",
        (ID, OBJECT_NAME),
        responses={200: response("The file.", {GLB_MEDIA_TYPE: BYTES}, ("Content-Disposition", "Cache-Control"))},
        errors=(*STORE_ERRORS, *RUN_ERRORS),
    ),
    Operation(
        "post",
        "/api/assets/{id}/export",
        "exportResult",
        "Results",
        "Make the model in another format, size or texture",
        "Without inference. What is left out stays as the result has it.",
        (ID,),
        {"content": {media_type: {"schema": schema(name)} for media_type, name in EXPORT_BODIES.items()}},
        {
            200: response(
                "The file.",
                dict.fromkeys(sorted({kind.media_type for kind in FILE_TYPES.values()}), BYTES),
                ("Content-Disposition", "Cache-Control"),
            )
        },
        (*BODY_ERRORS, *STORE_ERRORS, *RUN_ERRORS, NoScale),
    ),
)

PROBE = {200: response("Yes.", {"text/plain": {"type": "string"}})}
ANY_JSON = {"type": "object"}

SERVICE = (
    Operation(
        "get",
        "/api/options",
        "getOptions",
        "Service",
        "See the options, the formats, the limits and the warnings",
        responses={200: response("What this service can do.", {JSON: schema("Capabilities")})},
    ),
    Operation(
        "get",
        "/health",
        "getHealth",
        "Service",
        "See whether the engine is ready",
        responses={
            200: response("The engine is loaded and warm.", {JSON: schema("Health")}, ("Cache-Control",)),
            503: response(
                "No jobs are taken; the report says why.",
                {JSON: schema("Health"), problems.MEDIA_TYPE: schema("Problem")},
                ("Cache-Control", "Retry-After"),
            ),
        },
    ),
    Operation(
        "get",
        "/metrics",
        "getMetrics",
        "Service",
        "Read the metrics",
        "In Prometheus' text format.",
        responses={200: response("The metrics.", {"text/plain": {"type": "string"}}, ("Cache-Control",))},
    ),
    Operation("get", "/livez", "isAlive", "Service", "Ask whether a restart would help: no", responses=PROBE),
    Operation("get", "/healthz", "isHealthy", "Service", "The same as `/livez`", responses=PROBE),
    Operation("get", "/readyz", "isReady", "Service", "Ask whether the engine is ready", responses=PROBE),
    Operation(
        "get",
        "/docs.json",
        "getDescription",
        "Service",
        "Read this document",
        responses={200: response("The OpenAPI document.", {JSON: ANY_JSON})},
    ),
    Operation(
        "get",
        "/schema.json",
        "getBentomlSchema",
        "Service",
        "Read what BentoML's own client needs to know",
        responses={200: response("BentoML's schema of the service.", {JSON: ANY_JSON})},
    ),
)

OPERATIONS: tuple[Operation, ...] = (INFERENCE, INFERENCE_LINK, MASK, *JOBS, *RESULTS, *SERVICE)
