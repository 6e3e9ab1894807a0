"""Engines turn a masked photo into a mesh. Here are the interface that they share and the choice between them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress
from sam3d_bento.reconstruction import UNKNOWN_VIEW, Mask, Photo, Reconstruction, View
from sam3d_bento.settings import EngineName, Settings

logger = logging.getLogger("sam3d_bento")


class Engine(Protocol):
    """Turns masked photos into meshes. It is loaded once, and runs one reconstruction at a time."""

    @property
    def name(self) -> str:
        """`preview` or `sam3d`."""

    @property
    def version(self) -> str:
        """Version, e.g. `preview-silhouette/3`. It changes when equal inputs may give another result."""

    @property
    def device(self) -> str:
        """Device that computes: `cpu`, `cuda:0`."""

    @property
    def facts(self) -> dict[str, Any]:
        """JSON values that a user of /health should know about this engine, once it is loaded.

        `summary`: a sentence for people on what it does. `guesses`: whether it invents what the photo does not show.
        `seeded`: whether another seed gives another result. `splats`: whether its results have gaussians. `ignores`:
        the names of the options that change nothing.
        """

    @property
    def hands_over(self) -> bool:
        """Whether another process exports its results while it reconstructs the next one, so that a GPU never waits."""

    @property
    def gpu_peak_bytes(self) -> int | None:
        """Most bytes that the last `reconstruct` had allocated on the GPU; None without a GPU."""

    @property
    def retries(self) -> int:
        """Number of times that the last `reconstruct` was restarted because the GPU's memory did not suffice."""

    @property
    def shares_scale(self) -> bool:
        """Whether the poses of several objects of one photo are in one unit, also without the photo's depth."""

    def load(self) -> None:
        """Make the engine ready, and run a tiny reconstruction as a warm-up.

        Called once, before the first `reconstruct`.
        """

    def look(self, photo: Photo, view: View) -> View:
        """Find out once what `reconstruct` would find out about the space for each object of the photo.

        view: what is known already. Given to `reconstruct`, the result changes no bit of what it returns on a CPU.
        """

    def reconstruct(
        self,
        photo: Photo,
        mask: Mask,
        options: Options,
        seed: int,
        on_progress: OnProgress,
        *,
        splats: bool = False,
        view: View = UNKNOWN_VIEW,
    ) -> Reconstruction:
        """Reconstruct the shape and colours of the masked object.

        seed: the seed of this run. It is used instead of `options.seed`, which may be None for a random one.
        splats: also decode the gaussians, if the engine has them. view: the camera and the points of the pixels, as far
        as they are known; with points, the result's `measured` says how large the object is. `view.pixel_metres`
        decides about `measured` and the unit of the pose alone, never about the shape.
        Raises NoObject when the mask contains nothing to reconstruct, and whatever `on_progress` raises.
        """


@dataclass(frozen=True)
class EngineSpec:
    """Entry of an engine in ENGINES. Its module, which may be heavy, is imported only when one of these is called.

    why_not: returns a sentence on why the engine cannot be used with these settings, or None if it can.
    make: returns the engine before it is loaded.
    """

    why_not: Callable[[Settings], str | None]
    make: Callable[[Settings], Engine]


def _sam3d_why_not(settings: Settings) -> str | None:
    from sam3d_bento.engines.sam3d.engine import available

    return available(settings.checkpoint_dir)


def _make_sam3d(settings: Settings) -> Engine:
    from sam3d_bento.engines.sam3d.engine import Sam3dEngine

    return Sam3dEngine(settings.checkpoint_dir, settings.memory_profile, settings.kernels)


def _make_preview(settings: Settings) -> Engine:
    from sam3d_bento.engines.preview.engine import PreviewEngine

    return PreviewEngine()


# Every engine, in the order in which `auto` tries them. The last one can be used everywhere.
ENGINES: dict[EngineName, EngineSpec] = {
    "sam3d": EngineSpec(_sam3d_why_not, _make_sam3d),
    "preview": EngineSpec(lambda settings: None, _make_preview),
}
# The engine that can be used everywhere.
FALLBACK: EngineName = list(ENGINES)[-1]


def find(settings: Settings) -> tuple[EngineName, dict[EngineName, str]]:
    """Return the engine that the settings select here, and why each engine that `auto` prefers cannot be used.

    An engine that the settings name is returned without a check: its `load` reports what is missing.
    """
    if settings.engine != "auto":
        return settings.engine, {}
    reasons: dict[EngineName, str] = {}
    for name, spec in ENGINES.items():
        if (reason := spec.why_not(settings)) is None:
            return name, reasons
        reasons[name] = reason
    raise AssertionError("the last engine can be used everywhere")


def choose(settings: Settings) -> Engine:
    """Return the engine that the settings select here, before it is loaded. A fall-back is logged as a warning."""
    name, reasons = find(settings)
    if reasons:
        logger.warning(
            "The preview engine is used: it fits a simple shape to the silhouette, so thickness and back are guessed. "
            "%s Set SAM3D_ENGINE=preview if the preview is what you want.",
            " ".join(reasons.values()),
        )
    return ENGINES[name].make(settings)
