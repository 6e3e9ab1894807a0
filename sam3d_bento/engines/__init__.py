"""What turns a masked photo into a mesh: the interface that all engines share, and the choice between them."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction
from sam3d_bento.settings import Settings

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
        """What a user of /health should know of this engine, once it is loaded; JSON values."""

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


def choose(settings: Settings) -> Engine:
    """The engine that the settings ask for, not loaded yet: what it lacks, its `load` says."""
    # Imported here, because an engine may need libraries that the others do without.
    if settings.engine != "preview":
        from sam3d_bento.engines.sam3d.engine import Sam3dEngine, available

        why_not = available(settings.checkpoint_dir) if settings.engine == "auto" else None
        if why_not is None:
            return Sam3dEngine(settings.checkpoint_dir, settings.memory_profile)
        logger.warning(
            "THE PREVIEW ENGINE IS USED: it fits a simple shape to the silhouette, so thickness and back are guessed. "
            "%s Set SAM3D_ENGINE=preview if the preview is what you want.",
            why_not,
        )
    from sam3d_bento.engines.preview.engine import PreviewEngine

    return PreviewEngine()
