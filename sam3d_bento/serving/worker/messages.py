"""What the service process and its engine process say to each other over their pipe.

    service ► Start                  ► engine process     once
    service ◄ Alive*                 ◄ engine process     while it loads
    service ◄ Ready | LoadFailed     ◄ engine process     once
    service ► RunJob, then Cancel?   ► engine process     job after job
    service ◄ Progress*, Done|Failed ◄ engine process     for each task exactly one end

The pipe's end is closed to say "stop"; either side takes a closed pipe for the other's death. What the service says is
pickled; what the engine process says is data (`wire_format`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sam3d_bento.errors import Sam3DError
from sam3d_bento.settings import Settings
from sam3d_bento.submission import OnStageProgress, RunnerInfo, Stage

RECONSTRUCTION_NAME = "reconstruction.npz"


class Runner(Protocol):
    """What an engine process runs: `Pipeline`, `MaskPreview` and `Postprocessor`."""

    info: RunnerInfo

    def run(
        self, submission: Any, on_progress: OnStageProgress, on_reconstruction: OnReconstruction | None = None, /
    ) -> Any:
        """Do one job. Raises from the tree in `errors`; lets Cancelled from `on_progress` pass.

        on_reconstruction: called with the reconstruction, when the message asks for it to be kept.
        """


class Saveable(Protocol):
    """What `on_reconstruction` is called with: a `reconstruction.Reconstruction`, which this process need not know."""

    def save(self, path: Path) -> None:
        """Write it to a file."""


OnReconstruction = Callable[[Saveable], None]


@dataclass(frozen=True)
class Start:
    """Load. loader: "module:attribute" of a callable that takes the settings and returns a Runner."""

    loader: str
    settings: Settings


@dataclass(frozen=True)
class Alive:
    """The load gets on."""


@dataclass(frozen=True)
class Ready:
    """The load is done, the warm-up passed."""

    info: RunnerInfo


@dataclass(frozen=True)
class LoadFailed:
    """The load failed; the process ends after this."""

    error: Sam3DError


@dataclass(frozen=True)
class RunJob:
    """Run this. directory: exists, is the job's own, and takes every file that the job must write.

    label: the request id, for logs. keep_reconstruction: whether it is to be saved there, under RECONSTRUCTION_NAME.
    """

    job_id: str
    submission: Any
    directory: Path
    keep_reconstruction: bool = False
    label: str = ""


@dataclass(frozen=True)
class Cancel:
    """Nobody wants the result of this job any more. May arrive after the job has ended."""

    job_id: str


@dataclass(frozen=True)
class Progress:
    """The finished share of a stage, 0..1."""

    job_id: str
    stage: Stage
    fraction: float


@dataclass(frozen=True)
class Done:
    """The job succeeded. result: an Asset, a MaskImage, or the bytes of a file."""

    job_id: str
    result: Any


@dataclass(frozen=True)
class Failed:
    """The job ended with an error."""

    job_id: str
    error: Sam3DError


EngineMessage = Alive | Ready | LoadFailed | Progress | Done | Failed
ServiceMessage = Start | RunJob | Cancel
