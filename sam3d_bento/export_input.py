"""Input of one export: what the first three steps of a run hand to the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sam3d_bento.options import Options
from sam3d_bento.reconstruction import Reconstruction


@dataclass(frozen=True)
class ExportInput:
    """Input of one export.

    extras: JSON values for the GLB's `asset.extras`. figures: JSON values for the report alone, on the engine and its
    run. seconds: of each stage so far.
    """

    reconstruction: Reconstruction
    options: Options
    extras: dict[str, Any]
    figures: dict[str, Any]
    seconds: dict[str, float]
