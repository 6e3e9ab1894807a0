"""Input and output of a runner, and how it reports its progress.

A submission is what a caller sends. A job is one submission in a worker: queued, running or ended
(`serving.worker.job`). A run is the work of the engine process on one job (`serving.worker.run`).

The service process imports this module and never the pipeline, so nothing here needs an array library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from sam3d_bento.formats import Format, FormatOptions
from sam3d_bento.options import Options

# Stages of a run, in their order.
Stage = Literal["decode", "mask", "reconstruct", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# A runner calls this with the stage and its finished share, 0..1. The callback raises `errors.Cancelled` to end the
# run.
OnStageProgress = Callable[[Stage, float], None]


# What to do about an upload that is too large because of its depth.
SMALLER_DEPTH = (
    "A depth map or point map takes fewest bytes as float16 in a compressed .npz, or with 1024 pixels on its long side."
)


@dataclass(frozen=True)
class Submission:
    """Input of a reconstruction: the file of the photo, optionally that of a mask and of its depth, and the options."""

    photo: bytes
    mask: bytes | None = None
    options: Options = field(default_factory=Options)
    depth: bytes | None = None
    pointmap: bytes | None = None


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
class RunnerInfo:
    """Description of a runner: the engine's name and version, the device that it uses, the image formats that it reads.

    facts: JSON values, what else a user of /health should know about it.
    """

    name: str
    version: str
    device: str
    formats: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
