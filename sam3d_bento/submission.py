"""Input and output of a runner, and how it reports its progress.

A submission is what a caller sends. A job is one submission in a worker: queued, running or ended
(`serving.worker.job`). A run is the work of the engine process on one job (`serving.worker.run`).

The service process imports this module and never the pipeline, so nothing here needs an array library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from sam3d_bento.errors import BadRequest, Sam3DError
from sam3d_bento.formats import Format, FormatOptions
from sam3d_bento.options import Options

# Stages of a run, in their order.
Stage = Literal["decode", "mask", "reconstruct", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)

ObjectState = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class ObjectProgress:
    """How far an object of a scene is. stage_fraction: the finished share, 0..1, of its stage."""

    name: str
    state: ObjectState
    stage: Stage = "reconstruct"
    stage_fraction: float = 0.0


# A runner calls this with the stage and its finished share, 0..1, and in a scene with a tuple of `ObjectProgress`, one
# of each object. The callback raises `errors.Cancelled` to end the run.
OnStageProgress = Callable[..., None]


# What to do about an upload that is too large because of its depth.
SMALLER_DEPTH = (
    "A depth map or point map takes fewest bytes as float16 in a compressed .npz, or with 1024 pixels on its long side."
)


@dataclass(frozen=True)
class SceneInput:
    """Which objects of a photo make up a scene. At least one field is given.

    masks: a mask's file for each object, or for those items of `objects` that name it. labels: a picture's file whose
    values above 0 are an object each. objects: JSON, or `all` for whatever the mask model finds.

    Of a scene whose engine process may be replaced: finished: folder in which finished objects are kept, and those of
    the earlier process are. lost: the error of each object that cost a process, by its name.
    """

    masks: tuple[bytes, ...] = ()
    labels: bytes | None = None
    objects: str | None = None
    finished: Path | None = None
    lost: Mapping[str, Sam3DError] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """Input of a reconstruction: the file of the photo, optionally that of a mask and of its depth, and the options.

    scene: the objects, if there may be several; instead of `mask`.
    """

    photo: bytes
    mask: bytes | None = None
    options: Options = field(default_factory=Options)
    depth: bytes | None = None
    pointmap: bytes | None = None
    scene: SceneInput | None = None


def check_scene(options: Options, scene: SceneInput | object | None, *, has_mask: bool) -> None:
    """Raise BadRequest for options or a mask that do not go with a scene, or with a single object.

    scene: None for a single object.
    """
    if scene is None:
        if options.frame != "camera":
            raise BadRequest("The field 'frame' is that of a scene. Send 'masks', 'labels' or 'objects' with it.")
        if options.pose != "network":
            raise BadRequest("The field 'pose' is that of a scene. Send 'masks', 'labels' or 'objects' with it.")
        return
    if has_mask:
        raise BadRequest("The field 'mask' is that of a single object. Send its file in 'masks' in a scene.")
    if options.prompt is not None:
        raise BadRequest("The fields 'points' and 'box' are those of a single object. Put them into 'objects'.")
    for name in ("height", "longest_side", "origin"):
        if getattr(options, name) is not None:
            raise BadRequest(
                f"The field '{name}' is that of a single object. In a scene, 'frame' and 'scale' say where its objects "
                "stand and in which unit."
            )


@dataclass(frozen=True)
class Asset:
    """Result of a reconstruction.

    glb: binary glTF 2.0. report: JSON values; the content of `asset.extras`, and the figures of this run.
    """

    glb: bytes
    report: dict[str, Any]


@dataclass(frozen=True)
class MaskImage:
    """Mask that a run would use. png: 8-bit grey, 0 or 255, the size of the upright photo. report: JSON values."""

    png: bytes
    report: dict[str, Any]


@dataclass(frozen=True)
class ExportSubmission:
    """Request for a finished result as another file.

    glb, reconstruction: the files of the result; reconstruction is None when it was not kept.
    changes: values of the options that differ from those of the result. format_options: options of the format.
    """

    glb: Path
    reconstruction: Path | None
    format: Format
    changes: dict[str, Any] = field(default_factory=dict)
    format_options: FormatOptions = field(default_factory=FormatOptions)


@dataclass(frozen=True)
class ThumbnailSubmission:
    """Request for a picture of a finished result. glb: the file of the result."""

    glb: Path


@dataclass(frozen=True)
class ObjectSubmission:
    """Request for the file of one object of a finished scene. glb: the file of the scene. name: of the object."""

    glb: Path
    name: str


@dataclass(frozen=True)
class RunnerInfo:
    """Description of a runner: the engine's name and version, the device that it uses, the image formats that it reads.

    facts: JSON values, what else a user of /health should know about it.
    hands_over: whether another process exports what this runner reconstructs, while it reconstructs the next photo.
    prompt_model: the model that answers prompts; None if this runner takes none.
    """

    name: str
    version: str
    device: str
    formats: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    hands_over: bool = False
    prompt_model: str | None = None
