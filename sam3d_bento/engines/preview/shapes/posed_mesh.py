"""Hold what every shape class makes of a photo: a closed coloured mesh in front of the camera that took it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Int32, UInt8
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.shapes.exact import Sides


@dataclass(frozen=True)
class PosedMesh:
    """Closed coloured mesh in the camera frame.

    vertices (V, 3) float64 in the camera frame, any unit.
    faces (F, 3) int32, counter-clockwise from outside.
    colours (V, 3) uint8 sRGB.
    axes: (3, 3), the object's right, up and front in the camera frame, as columns.
    camera: the one through which the mesh looks like the photo.
    exact: the same surface in few faces by its formula, where it has one.
    """

    vertices: npt.NDArray[np.float64]
    faces: Int32
    colours: UInt8
    axes: npt.NDArray[np.float64]
    camera: Camera
    exact: Sides | None = None

    def measure_observed_fraction(self) -> float:
        """Return the share of the surface's area that faces the camera."""
        corners = self.vertices[self.faces]
        # The length of these normals is twice the area.
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        areas = np.linalg.norm(normals, axis=1)
        return float(areas[np.einsum("fk,fk->f", normals, corners[:, 0]) < 0].sum() / areas.sum())

    def scale(self, factor: float) -> PosedMesh:
        """Return the mesh with all lengths multiplied by `factor`."""
        exact = self.exact and replace(self.exact, vertices=self.exact.vertices * factor)
        return replace(self, vertices=self.vertices * factor, exact=exact)

    def join(self, other: PosedMesh) -> PosedMesh:
        """Join two meshes into one of several closed surfaces."""
        return PosedMesh(
            np.concatenate([self.vertices, other.vertices]),
            np.concatenate([self.faces, other.faces + len(self.vertices)]),
            np.concatenate([self.colours, other.colours]),
            self.axes,
            self.camera,
            self.exact.join(other.exact) if self.exact and other.exact else None,
        )
