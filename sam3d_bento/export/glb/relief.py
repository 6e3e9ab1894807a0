"""Hold the normal map of a mesh, with the tangents that it needs."""

from __future__ import annotations

from dataclasses import dataclass

from sam3d_bento.arrays import Float32, UInt8


@dataclass(frozen=True)
class Relief:
    """Normal map of a mesh. image (S, S, 3) uint8: as of `NormalPainter`. tangents (N, 4): as of `add_tangents`."""

    image: UInt8
    tangents: Float32
