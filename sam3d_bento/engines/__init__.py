"""What turns a masked photo into a mesh: the interface that all engines share, and the choice between them."""

from __future__ import annotations

import logging
from typing import Protocol

from sam3d_bento.errors import NotReady
from sam3d_bento.options import Options
from sam3d_bento.progress import Tick
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
        """Changes when equal inputs may give another result, e.g. `preview-puff/1`."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu`, `cuda:0`."""

    def load(self) -> None:
        """Make ready; called once, before the first `reconstruct`. Ends with a tiny reconstruction as a warm-up."""

    def reconstruct(self, photo: Photo, mask: Mask, options: Options, seed: int, tick: Tick) -> Reconstruction:
        """The shape and colours of the masked object. `options.seed` is not read: `seed` is what was drawn from it.

        Raises NoObject when the mask holds nothing to reconstruct, and whatever `tick` raises.
        """


def choose(settings: Settings) -> Engine:
    """The engine that the settings ask for, not loaded yet. Raises NotReady when it cannot be had."""
    if settings.engine == "sam3d":
        raise NotReady("This version carries only the preview engine; the engine 'sam3d' cannot be used.")
    if settings.engine == "auto":
        logger.warning(
            "THE PREVIEW ENGINE IS USED: it inflates the silhouette, so thickness and back are guessed. "
            "Set SAM3D_ENGINE=preview if that is what you want."
        )
    # Imported here, because an engine may need libraries that the others do without.
    from sam3d_bento.engines.preview.engine import PreviewEngine

    return PreviewEngine()
