"""Model the pinhole camera that took the photo.

The camera frame: the camera at the origin, x to the right, y up, looking along -z; any unit of length.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, degrees, hypot, sqrt

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Floats
from sam3d_bento.camera import USUAL_FOCAL_LENGTH
from sam3d_bento.reconstruction import Photo


@dataclass(frozen=True)
class Camera:
    """Pinhole camera.

    focal_length, width and height in photo pixels; the photo's first pixel has its centre at (0.5, 0.5).
    """

    focal_length: float
    width: int
    height: int

    @classmethod
    def from_photo(cls, photo: Photo) -> Camera:
        """Make the camera of a photo, with the photo's focal length if it has one, else the usual one."""
        height, width = photo.rgb.shape[:2]
        return cls(photo.focal_length or USUAL_FOCAL_LENGTH * max(width, height), width, height)

    @property
    def field_of_view(self) -> float:
        """Field of view in degrees over the photo's longer side."""
        return 2 * degrees(atan(max(self.width, self.height) / 2 / self.focal_length))

    def unproject(self, pixels: Floats) -> npt.NDArray[np.float64]:
        """Return where the lines of sight of pixels (..., 2) cross the plane z = -1: (..., 3) float64.

        Pixels have x to the right and y down.
        """
        x = (pixels[..., 0] - self.width / 2) / self.focal_length
        y = (self.height / 2 - pixels[..., 1]) / self.focal_length
        return np.stack([x, y, np.full_like(x, -1.0)], -1)

    def project(self, points: Floats) -> npt.NDArray[np.float64]:
        """Return the pixels (..., 2) at which points (..., 3) in front of the camera are seen."""
        scale = self.focal_length / -points[..., 2]
        x = self.width / 2 + scale * points[..., 0]
        return np.stack([x, self.height / 2 - scale * points[..., 1]], -1)


def look_at(direction: Floats) -> npt.NDArray[np.float64]:
    """Return the frame (3, 3) of the camera turned to look along `direction` (3,) without rolling.

    Its columns are the turned camera's x, y and z.
    """
    x, y, z = -np.asarray(direction, np.float64) / sqrt(float(np.dot(direction, direction)))
    across = hypot(x, z)
    return np.array([[z / across, -x * y / across, x], [0.0, across, y], [-x / across, -y * z / across, z]])


def tilt(elevation: float) -> npt.NDArray[np.float64]:
    """Return the axes (3, 3), as columns, of an upright frame on which the camera looks down by `elevation` radians."""
    cosine, sine = np.cos(elevation), np.sin(elevation)
    return np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
