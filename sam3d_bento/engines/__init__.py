"""What turns a masked photo into a mesh: the interface that all engines share, and the choice between them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction
from sam3d_bento.settings import EngineName, Settings

logger = logging.getLogger("sam3d_bento")


class Engine(Protocol):
    """Loaded once, then asked for one reconstruction after the other, never for two at a time."""

    @property
    def name(self) -> str:
        """`preview` or `sam3d`."""

    @property
    def version(self) -> str:
        """Changes when equal inputs may give another result, e.g. `preview-silhouette/2`."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu`, `cuda:0`."""

    @property
    def facts(self) -> dict[str, Any]:
        """What a user of /health should know of this engine, once it is loaded; JSON values.

        `summary`: a sentence for people on what it does. `guesses`: whether it makes up what the photo does not show.
        """

    @property
    def gpu_peak_bytes(self) -> int | None:
        """Most bytes that the last `reconstruct` had allocated on the GPU; None without one."""

    @property
    def retries(self) -> int:
        """How often the last `reconstruct` was begun again because the GPU's memory did not suffice."""

    def load(self) -> None:
        """Make ready; called once, before the first `reconstruct`. Ends with a tiny reconstruction as a warm-up."""

    def reconstruct(
        self, photo: Photo, mask: Mask, options: Options, seed: int, on_progress: OnProgress, *, splats: bool = False
    ) -> Reconstruction:
        """The shape and colours of the masked object. `options.seed` is not read: `seed` is what was drawn from it.

        splats: also decode the gaussians, if the engine has them.
        Raises NoObject when the mask holds nothing to reconstruct, and whatever `on_progress` raises.
        """


@dataclass(frozen=True)
class EngineSpec:
    """One engine, as `choose` sees it. Its module is imported when one of these is called: it may need much.

    why_not: returns why the engine cannot be used with these settings, as a sentence; None when it can.
    make: returns the engine, not loaded yet.
    """

    why_not: Callable[[Settings], str | None]
    make: Callable[[Settings], Engine]


def _sam3d_why_not(settings: Settings) -> str | None:
    from sam3d_bento.engines.sam3d.engine import available

    return available(settings.checkpoint_dir)


def _make_sam3d(settings: Settings) -> Engine:
    from sam3d_bento.engines.sam3d.engine import Sam3dEngine

    return Sam3dEngine(settings.checkpoint_dir, settings.memory_profile)


def _make_preview(settings: Settings) -> Engine:
    from sam3d_bento.engines.preview.engine import PreviewEngine

    return PreviewEngine()


# Every engine, in the order in which `auto` tries them. The last one can be used everywhere.
ENGINES: dict[EngineName, EngineSpec] = {
    "sam3d": EngineSpec(_sam3d_why_not, _make_sam3d),
    "preview": EngineSpec(lambda settings: None, _make_preview),
}
FALLBACK: EngineName = list(ENGINES)[-1]


def find(settings: Settings) -> tuple[EngineName, dict[EngineName, str]]:
    """Return the engine that the settings come to here, and why each one that `auto` prefers cannot be used.

    An engine that the settings name is returned unseen: its `load` says what it lacks.
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
    """Return the engine that the settings come to here, not loaded yet. A fall-back is logged loudly."""
    name, reasons = find(settings)
    if reasons:
        logger.warning(
            "THE PREVIEW ENGINE IS USED: it fits a simple shape to the silhouette, so thickness and back are guessed. "
            "%s Set SAM3D_ENGINE=preview if the preview is what you want.",
            " ".join(reasons.values()),
        )
    return ENGINES[name].make(settings)
