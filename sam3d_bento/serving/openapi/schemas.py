"""Declare the JSON of responses, as types from which the schemas of the document are made.

The responses themselves are made elsewhere (`reconstructor`, `routes.jobs`, `backend`, `routes.api`). Tests compare
them with these types. Responses may get more fields, so clients must accept fields that they do not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from sam3d_bento.errors import by_code
from sam3d_bento.options import Frame, PresetName
from sam3d_bento.serving.assets import ASSET_ID
from sam3d_bento.serving.job_status import JobState
from sam3d_bento.serving.openapi.examples import EXAMPLES
from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.submission import ObjectState, Stage
from sam3d_bento.warning_codes import WarningCode

REFERENCE = "#/components/schemas/{model}"

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Identity = Annotated[str, Field(pattern=f"^{ASSET_ID.pattern}$")]
Objects = Annotated[dict[str, Any], Field(description="Facts that depend on the engine.")]
Deviation = Annotated[
    float | None,
    Field(description="Largest distance from the dense mesh, as a share of the longest side, if measured."),
]
Seconds = Annotated[
    dict[str, float], Field(description="Seconds of each stage so far: queue, decode, mask, reconstruct, export.")
]


class Problem(BaseModel):
    """Error (RFC 9457)."""

    type: Literal["about:blank"]
    title: Annotated[str, Field(description="The kind of error, in a few words.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="A sentence for people that says the next step.")]
    code: Annotated[str, Field(json_schema_extra={"enum": sorted(by_code())}, description="Stable code, for programs.")]
    retryable: Annotated[bool, Field(description="Whether the same request may succeed later.")]
    request_id: Annotated[str, Field(description="The id that the lines of the service's log carry.")]


Box = Annotated[
    list[Annotated[int, Field(ge=0)]],
    Field(min_length=4, max_length=4, description="Left, top, right, bottom, in pixels of the upright photo."),
]


class FoundObject(BaseModel):
    """Object that the mask model found."""

    box: Box
    coverage: Fraction


class MaskCandidate(BaseModel):
    """Mask that a prompt may mean."""

    box: Box
    coverage: Fraction
    score: Annotated[Fraction, Field(description="How sure the model is; comparable among these candidates only.")]


class MaskFacts(BaseModel):
    """Mask that was used."""

    # As in `reconstruction.MaskSource`, whose module needs numpy: the service process does without.
    source: Literal["alpha", "upload", "rembg", "prompt"]
    coverage: Annotated[Fraction, Field(description="Share of the photo's pixels that the mask covers.")]
    model: Annotated[str | None, Field(description="Model that understood the prompt; null without one.")]
    score: Annotated[Fraction | None, Field(description="Of the candidate that was used; null without a prompt.")]
    candidate: Annotated[Count | None, Field(description="Which of `candidates` was used; null without a prompt.")]
    candidates: Annotated[
        list[MaskCandidate], Field(description="What the prompt may mean, by size; empty without one.")
    ]
    objects: Annotated[
        list[FoundObject],
        Field(description="What the mask model found, the object that was used first; empty for other sources."),
    ]


class ObjectPose(BaseModel):
    """Where the object stands before the camera."""

    rotation: Annotated[list[float], Field(min_length=4, max_length=4, description="Quaternion, w x y z.")]
    translation: Annotated[list[float], Field(min_length=3, max_length=3)]
    scale: Annotated[list[float], Field(min_length=3, max_length=3)]
    frame: Annotated[str, Field(description="The frame of the pose.")]


class MeasuredScale(BaseModel):
    """Scale of the engine's vertices."""

    metres_per_unit: float
    source: Literal["depth", "estimated"]
    relative_error: float | None


class SizeFacts(BaseModel):
    """Size of the model, and where it comes from."""

    source: Annotated[
        Literal["unit", "given", "depth", "estimated"],
        Field(description="`unit`: the size is a convention; `given`: in the options; else measured."),
    ]
    metres: Annotated[list[float], Field(min_length=3, max_length=3, description="Width, height and depth of the box.")]
    relative_error: Annotated[float | None, Field(description="Of `metres`, one standard deviation.")]
    factor: Annotated[float, Field(description="What the engine's vertices were multiplied by.")]
    shift: Annotated[float, Field(description="What was added to y after that.")]
    measured: Annotated[MeasuredScale | None, Field(description="Null where nothing was measured.")]


class CameraFacts(BaseModel):
    """Camera of the photo, in pixels of the upright photo."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: Count
    height: Count
    source: Literal["given", "exif", "fitted", "depth model", "assumed"]


class ObjectProblem(BaseModel):
    """Why an object of a scene is missing."""

    code: Annotated[str, Field(json_schema_extra={"enum": sorted(by_code())}, description="Stable code, for programs.")]
    title: str
    detail: str
    retryable: bool


class NormalMapFacts(BaseModel):
    """Whether the file has a normal map."""

    included: bool
    reason: Annotated[
        Literal["exact_surface", "no_gain"] | None,
        Field(description="Why it was left out: the mesh has the normals of a formula, or shades as well without it."),
    ]
    own_degrees: Annotated[
        float | None, Field(description="Root mean square angle between the normals of the mesh and of the dense one.")
    ]
    map_degrees: Annotated[float | None, Field(description="The same with the map, between its texels.")]


class SceneObject(BaseModel):
    """Object of a scene. Figures are null for one that failed."""

    name: Annotated[str, Field(description="Name of its node, its mesh and its material.")]
    url: Annotated[str | None, Field(json_schema_extra={"format": "uri"}, description="Where its own GLB is.")] = None
    seed: Count
    mask: MaskFacts | None
    faces: Count | None
    deviation: Deviation = None
    normal_map: Annotated[NormalMapFacts | None, Field(description="Null if none was asked for.")] = None
    pose: Annotated[ObjectPose | None, Field(description="Where it stands, in the frame of glTF's cameras.")]
    pose_source: Annotated[
        Literal["network", "refined", "guessed"] | None, Field(description="Where its pose is from.")
    ]
    network_iou: Annotated[
        Fraction | None, Field(description="Overlap with the network's pose, where it was tried to refine it.")
    ]
    size: Annotated[list[float] | None, Field(description="Along its own axes, in the unit of the scene.")]
    silhouette_iou: Annotated[
        Fraction | None, Field(description="Overlap of its mask and of its silhouette where it stands.")
    ]
    warnings: list[WarningCode]
    problem: ObjectProblem | None
    times: Annotated[dict[Stage, list[float]], Field(description="Begin and end of its stages, in seconds.")]


class Report(BaseModel):
    """Report about a result."""

    id: Annotated[Identity, Field(description="Id of the result.")]
    url: Annotated[str, Field(json_schema_extra={"format": "uri"}, description="Where the GLB is, until it expires.")]
    request_id: str
    engine: str
    engine_version: str
    engine_facts: Objects
    seed: Count
    name: Annotated[str, Field(description="What the result is called.")]
    options: Annotated[dict[str, Any], Field(description="The options of the run, without the seed and the name.")]
    mask: MaskFacts
    warnings: list[WarningCode]
    details: Objects
    faces: Count
    vertices: Count
    holes_filled: Annotated[Count, Field(description="Ragged holes of the engine's mesh that were filled.")]
    holes_kept: Annotated[Count, Field(description="Openings that were left: clean rims, and holes too large to fill.")]
    deviation: Deviation = None
    watertight: Annotated[bool, Field(description="Whether the surface is closed.")]
    texture_size: Annotated[Count, Field(description="Edge of the texture in pixels.")]
    colour_source: Annotated[str, Field(description="What the texture was painted from.")]
    normal_map: Annotated[
        NormalMapFacts | None, Field(description="Null if none was asked for; absent of a scene: its objects have it.")
    ] = None
    scale: SizeFacts
    camera: Annotated[CameraFacts | None, Field(description="Null where the engine knows none.")]
    pose: Annotated[ObjectPose | None, Field(description="Absent where the engine knows none.")] = None
    objects: Annotated[list[SceneObject] | None, Field(description="Of a scene; absent otherwise.")] = None
    frame: Annotated[Frame | None, Field(description="Of a scene; absent otherwise.")] = None
    seconds: Seconds
    gpu_peak_bytes: Annotated[int | None, Field(description="Most memory that the run had on the GPU.")]
    retries: Count
    prompt_encodes: Annotated[Count, Field(description="Photos that the prompt model encoded in this run.")]
    bytes: Annotated[Count, Field(description="Size of the GLB.")]


class ResultFile(BaseModel):
    """File of a result, which GET gives."""

    url: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    media_type: str
    bytes: Annotated[Count | None, Field(description="Null for one that is made when it is first asked for.")]


class Result(BaseModel):
    """What there is of a result, and until when."""

    id: Identity
    name: Annotated[str, Field(description="What the result is called.")]
    page: Annotated[str, Field(json_schema_extra={"format": "uri"}, description="Its page for people.")]
    expires_in_seconds: Annotated[float | None, Field(description="Null for a result that is kept.")]
    kept: Annotated[bool, Field(description="Whether a client keeps it, so that it does not expire.")]
    keepable: Annotated[bool, Field(description="Whether this service keeps results.")]
    exportable: Annotated[bool, Field(description="Whether it can be exported with other faces and colours.")]
    files: Annotated[dict[str, ResultFile], Field(description="By format: those that the result can be had in.")]


class JobLinks(BaseModel):
    """Paths on this host."""

    self: str
    events: str
    asset: Annotated[str | None, Field(description="The GLB; null while there is none, and when it is gone.")]


class JobObject(BaseModel):
    """How far an object of a scene is."""

    name: str
    state: ObjectState
    fraction: Fraction


class Job(BaseModel):
    """Where a job stands."""

    id: Identity
    state: JobState
    stage: Annotated[Stage | None, Field(description="Stage of a running job.")]
    stage_fraction: Annotated[Fraction, Field(description="Share of the stage that is done.")]
    fraction: Annotated[Fraction, Field(description="Share of the run that is done.")]
    position: Annotated[int | None, Field(description="Jobs before it in the queue.")]
    estimated_seconds: Annotated[float | None, Field(description="Seconds until its end, from past runs.")]
    created: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    seconds: Seconds
    objects: Annotated[list[JobObject], Field(description="Those of a scene while it runs; empty otherwise.")]
    warnings: list[WarningCode]
    report: Annotated[Report | None, Field(description="The result's, once it is done.")]
    result: Annotated[
        Literal["kept", "gone"] | None,
        Field(
            description="Whether the result can be fetched; null before the end, or when the store does not respond."
        ),
    ]
    problem: Annotated[Problem | None, Field(description="What it ended with, when it failed or was cancelled.")]
    links: JobLinks


class GpuMemory(BaseModel):
    """Memory of the GPU."""

    name: str
    used_bytes: Count
    total_bytes: Count


class Queue(BaseModel):
    """Queue of reconstructions."""

    running: Count
    exporting: Annotated[Count, Field(description="Jobs that another process exports, or is about to.")]
    waiting: Count
    limit: Count


class Run(BaseModel):
    """Run that is under way, or the oldest export if none is."""

    stage: Stage
    fraction: Fraction


class ProcessState(BaseModel):
    """State of an engine process or of a helper."""

    state: WorkerState
    reason: str | None
    loads: Count
    losses: Annotated[Count, Field(description="Losses in a row.")]


class Health(BaseModel):
    """State of the service."""

    status: Annotated[WorkerState, Field(description="`ready`, or the state in which no jobs are taken.")]
    reason: str | None
    engine: str | None
    engine_version: str | None
    device: str | None
    engine_facts: dict[str, Any] | None
    gpu_memory: GpuMemory | None
    queue: Queue
    run: Run | None
    loads: Count
    losses: Count
    processes: dict[str, ProcessState]


class Engine(BaseModel):
    """Engine that is loaded."""

    name: str
    version: str
    device: str
    facts: Objects


class ExportFormat(BaseModel):
    """File format of exports."""

    media_type: str
    suffix: str
    description: str
    options: Annotated[dict[str, dict[str, Any]], Field(description="JSON schemas of the format's own options.")]


class ExportCapabilities(BaseModel):
    """What an export may ask for."""

    formats: dict[str, ExportFormat]
    options: list[str]


class Limits(BaseModel):
    """Limits of this service."""

    max_upload_bytes: Count
    max_pixels: Count
    max_objects: Annotated[Count, Field(description="Objects that a scene may have.")]
    queue_limit: Count
    deadline_seconds: float
    output_ttl_seconds: float


class PromptCapabilities(BaseModel):
    """What `points` and `box` may ask for."""

    model: Annotated[str | None, Field(description="Model that understands them; null while the engine loads.")]
    max_points: Count
    max_candidates: Count
    memory_seconds: Annotated[float, Field(description="How long a photo that was pointed at is remembered; 0: not.")]


class Capabilities(BaseModel):
    """What this service can do."""

    engine: Annotated[Engine | None, Field(description="Null while the engine loads.")]
    options: Annotated[dict[str, dict[str, Any]], Field(description="JSON schemas of the options, by their names.")]
    presets: Annotated[dict[PresetName, dict[str, Any]], Field(description="Options that each preset stands for.")]
    formats: Annotated[list[str] | None, Field(description="Image formats that are read; null while it loads.")]
    export: ExportCapabilities
    prompts: PromptCapabilities
    limits: Limits
    warnings: Annotated[dict[str, str], Field(description="Sentences of the warnings, by their codes.")]


class _Untitled(GenerateJsonSchema):
    """Schemas without the titles that pydantic makes of the fields' names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def of_responses() -> dict[str, JsonSchemaValue]:
    """Return the schemas of all JSON responses, by their names in the document's components."""
    types: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (kind.__name__, "validation", TypeAdapter(kind))
        for kind in (Report, Result, Job, Health, Capabilities, Problem)
    ]
    _, found = TypeAdapter.json_schemas(types, ref_template=REFERENCE, schema_generator=_Untitled)
    definitions: dict[str, JsonSchemaValue] = found["$defs"]
    for name, definition in definitions.items():
        definition.pop("title", None)
        if name in EXAMPLES:
            definition["examples"] = [EXAMPLES[name]]
    return definitions
