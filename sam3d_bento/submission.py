"""What a runner is sent, what it returns, and how it reports its progress.

A submission is what a caller sends. A job is one submission on its way through a worker: queued, run, ended
(`serving.worker.job`). A run is the engine process at work on one job (`serving.worker.run`).

The service process imports this, never the pipeline: nothing here needs an array library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from sam3d_bento.formats import Format, FormatOptions
from sam3d_bento.options import Options

Stage = Literal["decode", "mask", "reconstruct", "export"]
STAGES: tuple[Stage, ...] = get_args(Stage)

# Called with the stage and its finished share, 0..1. Raises `errors.Cancelled` to end the run.
OnStageProgress = Callable[[Stage, float], None]


@dataclass(frozen=True)
class Submission:
    """What a caller sends: the photo's file, perhaps a mask's file, and the options."""

    photo: bytes
    mask: bytes | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True)
class Asset:
    """The finished product.

    glb: binary glTF 2.0. report: JSON values; what `asset.extras` holds, plus the figures of this run.
    """

    glb: bytes
    report: dict[str, Any]


@dataclass(frozen=True)
class MaskImage:
    """The mask that would be used. png: 8-bit grey, 0 or 255, the size of the upright photo; report: JSON values."""

    png: bytes
    report: dict[str, Any]


@dataclass(frozen=True)
class ExportSubmission:
    """A finished result as another file. glb, reconstruction: its files, the second None when it was not kept.

    changes: option values by which the export is to differ from that of the result. format_options: of the format.
    """

    glb: Path
    reconstruction: Path | None
    format: Format
    changes: dict[str, Any] = field(default_factory=dict)
    format_options: FormatOptions = field(default_factory=FormatOptions)


@dataclass(frozen=True)
class ThumbnailSubmission:
    """A picture of a finished result. glb: its file."""

    glb: Path


@dataclass(frozen=True)
class RunnerInfo:
    """What answers: the engine's name and version, the device that it computes on, the image formats that it reads.

    facts: JSON values, what else a user of /health should know of it.
    """

    name: str
    version: str
    device: str
    formats: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)
