"""The pinhole camera that took the photo.

The camera frame: the camera at the origin, x to the right, y up, looking along -z; any unit of length.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, degrees, hypot, sqrt

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Floats
from sam3d_bento.reconstruction import Photo

FOCAL_LENGTH = 1.4  # by the photo's longer side: a field of view of 39 degrees, as of a phone's main camera


@dataclass(frozen=True)
class Camera:
    """focal_length, width and height in photo pixels; the photo's first pixel has its centre at (0.5, 0.5)."""

    focal_length: float
    width: int
    height: int

    @classmethod
    def of(cls, photo: Photo) -> Camera:
        """With the focal length that the photo tells, else the usual one."""
        height, width = photo.rgb.shape[:2]
        return cls(photo.focal_length or FOCAL_LENGTH * max(width, height), width, height)

    @property
    def field_of_view(self) -> float:
        """Degrees over the photo's longer side."""
        return 2 * degrees(atan(max(self.width, self.height) / 2 / self.focal_length))

    def rays(self, pixels: Floats) -> npt.NDArray[np.float64]:
        """Where the lines of sight of pixels (..., 2), x right and y down, cross the plane z = -1: (..., 3)."""
        x = (pixels[..., 0] - self.width / 2) / self.focal_length
        y = (self.height / 2 - pixels[..., 1]) / self.focal_length
        return np.stack([x, y, np.full_like(x, -1.0)], -1)

    def project(self, points: Floats) -> npt.NDArray[np.float64]:
        """The pixels (..., 2) at which points (..., 3) in front of the camera are seen."""
        scale = self.focal_length / -points[..., 2]
        x = self.width / 2 + scale * points[..., 0]
        return np.stack([x, self.height / 2 - scale * points[..., 1]], -1)


def looking_at(direction: Floats) -> npt.NDArray[np.float64]:
    """The frame (3, 3) of the camera turned to look along `direction` without rolling: its x, y and z as columns."""
    x, y, z = -np.asarray(direction, np.float64) / sqrt(float(np.dot(direction, direction)))
    across = hypot(x, z)
    return np.array([[z / across, -x * y / across, x], [0.0, across, y], [-x / across, -y * z / across, z]])


def tilted(elevation: float) -> npt.NDArray[np.float64]:
    """An upright frame (3, 3) seen by a camera that looks down on it by `elevation` radians: its axes as columns."""
    cosine, sine = np.cos(elevation), np.sin(elevation)
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
