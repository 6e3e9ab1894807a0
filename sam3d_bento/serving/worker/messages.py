"""Messages between the service process and its engine process.

    service ► Start                  ► engine process     once
    service ◄ Alive*                 ◄ engine process     while it loads
    service ◄ Ready | LoadFailed     ◄ engine process     once
    service ► RunJob, then Cancel?   ► engine process     job after job
    service ◄ Progress*, then an end ◄ engine process     for each task exactly one of Done, Failed, HandedOver

The service closes the pipe to stop the engine process. Each side takes a closed pipe for the end of the other.
Messages of the service are pickled; those of the engine process are plain data (`wire_format`).

A runner that hands over does not export: it writes what the export needs into the job's shared memory. The service
sends that memory to another process of the same kind, the exporter (`handover`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from sam3d_bento.errors import Sam3DError
from sam3d_bento.settings import Settings
from sam3d_bento.submission import ObjectProgress, OnStageProgress, RunnerInfo, Stage

# File name of a saved reconstruction in the job's directory.
RECONSTRUCTION_NAME = "reconstruction.npz"


class Runner(Protocol):
    """Object that an engine process runs jobs with: `Pipeline`, `Exporter`, `MaskPreview` or `Postprocessor`."""

    info: RunnerInfo

    def run(
        self, submission: Any, on_progress: OnStageProgress, on_reconstruction: OnReconstruction | None = None, /
    ) -> Any:
        """Run one job and return its result. Raises errors from `errors`, also Cancelled from `on_progress`.

        on_reconstruction: called with the reconstruction, if it is to be kept.
        """


class SplitRunner(Runner, Protocol):
    """Runner whose `info.hands_over` is true: another process exports what it reconstructs."""

    def hand_over(
        self,
        submission: Any,
        on_progress: OnStageProgress,
        memory: BinaryIO,
        on_reconstruction: OnReconstruction | None = None,
        /,
    ) -> Any | None:
        """Run a job up to its export, write into `memory` what the exporter's runner reads, and return None.

        Return the result, as `run` does, for a job that cannot be split. Raises like `run`. on_reconstruction: given if
        the reconstruction is to be kept, with its splats; called by the process that exports.
        """


class Saveable(Protocol):
    """Reconstruction that can be saved. The service process need not import `reconstruction.Reconstruction`."""

    def save(self, path: Path) -> None:
        """Write the reconstruction to a file."""


OnReconstruction = Callable[[Saveable], None]


@dataclass(frozen=True)
class Start:
    """Order to load a runner. loader: "module:attribute" of a callable that takes the settings and returns a Runner."""

    loader: str
    settings: Settings


@dataclass(frozen=True)
class Alive:
    """Heartbeat: the load makes progress."""


@dataclass(frozen=True)
class Ready:
    """Outcome of a load, warm-up included, that succeeded."""

    info: RunnerInfo


@dataclass(frozen=True)
class LoadFailed:
    """Outcome of a load that failed. The process ends after this message."""

    error: Sam3DError


@dataclass(frozen=True)
class RunJob:
    """Order to run a job. directory: existing folder of this job, for all files that the job writes.

    label: request id, for logs. keep_reconstruction: whether to save the reconstruction there as RECONSTRUCTION_NAME.
    memory: descriptor of the job's shared memory, for a job of two processes. The first one gets a submission and
    writes to the memory. The exporter gets None for a submission and reads the memory.
    """

    job_id: str
    submission: Any
    directory: Path
    keep_reconstruction: bool = False
    label: str = ""
    memory: int | None = None

    @property
    def hands_over(self) -> bool:
        """Whether this is the first part of a job of two processes."""
        return self.memory is not None and self.submission is not None


@dataclass(frozen=True)
class Cancel:
    """Order to cancel a job. It may arrive after the job has ended."""

    job_id: str


@dataclass(frozen=True)
class Progress:
    """Progress of a job. fraction: finished share of the stage, 0..1. objects: of a scene."""

    job_id: str
    stage: Stage
    fraction: float
    objects: tuple[ObjectProgress, ...] = ()


@dataclass(frozen=True)
class Done:
    """Outcome of a job that succeeded. result: an Asset, a MaskImage, or the bytes of a file."""

    job_id: str
    result: Any


@dataclass(frozen=True)
class Failed:
    """Outcome of a job that failed."""

    job_id: str
    error: Sam3DError


@dataclass(frozen=True)
class HandedOver:
    """Outcome of a job up to its export: the job's shared memory holds what the exporter needs."""

    job_id: str


EngineMessage = Alive | Ready | LoadFailed | Progress | Done | Failed | HandedOver
ServiceMessage = Start | RunJob | Cancel
