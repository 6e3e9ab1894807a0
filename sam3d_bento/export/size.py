"""Place a model in its file: its size in metres, and the point that is the origin.

The engine's mesh has a longest side of about 1. A placement is what the exporter does to its vertices, and undoes to
the object's pose, so that the pose fits the vertices of the file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from sam3d_bento.arrays import Float32, Float64
from sam3d_bento.errors import NoScale
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import MeasuredScale, Splats

SMALLEST_EXTENT = 1e-12  # units; it avoids a division by zero, so that a model that is a single point stays one

NO_SCALE = (
    "This model's size in metres is not known. Send the photo's depth in 'depth', or the size in 'height' or"
    " 'longest_side'. A service that has the weights 'size' estimates it in a run with scale=metric."
)


@dataclass(frozen=True)
class Placement:
    """What is done to the engine's vertices: they are multiplied by `factor`, then `shift` is added to y."""

    factor: float = 1.0
    shift: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Whether the vertices stay as they are, bit for bit."""
        return self.factor == 1 and self.shift == 0

    def place(self, positions: npt.NDArray[Any]) -> Float32:
        """Return the engine's positions (N, 3) as they are in the file, float32."""
        if self.is_identity:
            return np.asarray(positions, np.float32)
        placed: Float32 = (positions.astype(np.float64) * self.factor + [0, self.shift, 0]).astype(np.float32)
        return placed

    def undo(self, positions: npt.NDArray[Any]) -> Float64:
        """Return positions (N, 3) of the file as the engine has made them, float64."""
        return (positions.astype(np.float64) - [0, self.shift, 0]) / self.factor

    def inverse(self) -> Placement:
        """Return the placement that undoes this one."""
        return Placement(1 / self.factor, -self.shift / self.factor)

    def place_splats(self, splats: Splats) -> Splats:
        """Return the splats where the mesh is."""
        if self.is_identity:
            return splats
        scale = (splats.scale.astype(np.float64) * self.factor).astype(np.float32)
        return replace(splats, positions=self.place(splats.positions), scale=scale)

    def place_pose(self, pose: dict[str, Any]) -> dict[str, Any]:
        """Return a pose, as JSON values, that does to the file's vertices what `pose` does to the engine's.

        A pose moves a vertex v to R(s v) + t. The vertex is (w - (0, shift, 0)) / factor for the file's w, hence
        s' = s / factor and t' = t - R(s' (0, shift, 0)).
        """
        if self.is_identity:
            return pose
        scale = np.array(pose["scale"]) / self.factor
        turn = Rotation.from_quat(pose["rotation"], scalar_first=True)
        translation = np.array(pose["translation"]) - turn.apply(scale * (0, self.shift, 0))
        return {**pose, "translation": rounded(translation), "scale": rounded(scale)}


def choose_placement(positions: npt.NDArray[Any], options: Options, measured: MeasuredScale | None) -> Placement:
    """Return the placement that the options ask for, of a model whose vertices (N, 3) the engine has made.

    measured: the model's scale, if it is known. Raises NoScale for `scale=metric` if it is not, and no size is given.
    """
    require_scale(options, measured is not None)
    low, extents = positions.min(0).astype(np.float64), np.ptp(positions.astype(np.float64), axis=0)
    factor = 1.0
    if options.height is not None:
        factor = options.height / max(extents[1], SMALLEST_EXTENT)
    elif options.longest_side is not None:
        factor = options.longest_side / max(extents.max(), SMALLEST_EXTENT)
    elif options.scale == "metric" and measured is not None:
        factor = measured.metres_per_unit
    # Adding 0 turns -0 into 0.
    return Placement(float(factor), float(-low[1] * factor) + 0.0 if options.origin == "bottom" else 0.0)


def require_scale(options: Options, is_measured: bool) -> None:
    """Raise NoScale if the options ask for metres that neither they nor a measurement give."""
    if options.scale == "metric" and not options.has_size and not is_measured:
        raise NoScale(NO_SCALE)


def describe(
    placed: npt.NDArray[Any], placement: Placement, options: Options, measured: MeasuredScale | None
) -> dict[str, Any]:
    """Return the JSON values of `asset.extras.scale` for positions (N, 3) as they are in the file.

    source: `unit` (one unit is one metre by convention alone), `given` (in the options), `depth` or `estimated`.
    metres: width, height and depth of the box. relative_error: of `metres`, where it is known. factor, shift: the
    placement. measured: the scale of the engine's vertices, if it is known.
    """
    source, error = "unit", None
    if options.has_size:
        source = "given"
    elif options.scale == "metric" and measured is not None:
        source, error = measured.source, measured.relative_error
    return {
        "source": source,
        "metres": rounded(np.ptp(placed.astype(np.float64), axis=0)),
        "relative_error": error,
        "factor": placement.factor,
        "shift": placement.shift,
        "measured": None if measured is None else measured.to_json(),
    }


def read_description(extras: dict[str, Any]) -> tuple[Placement, MeasuredScale | None]:
    """Return the placement and the measured scale from `asset.extras` of a file; files before this had neither."""
    scale = extras.get("scale") or {}
    measured = scale.get("measured")
    placement = Placement(float(scale.get("factor", 1)), float(scale.get("shift", 0)))
    return placement, None if measured is None else MeasuredScale(**measured)


def is_sized(extras: dict[str, Any]) -> bool:
    """Return whether the file's units are metres that were given or measured. extras: of the file."""
    return bool((extras.get("scale") or {}).get("source", "unit") != "unit")


def rounded(vector: npt.NDArray[Any]) -> list[float]:
    """Return a vector as JSON numbers of six digits after the point: float32 holds hardly more."""
    return [round(float(number), 6) for number in vector]
