"""Model the camera that took a photo, and the frames of points before it.

Pixels are of the upright photo; the first one has its centre at (0.5, 0.5). The camera frame of this project is
PyTorch3D's: x to the left, y up, z forward.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from sam3d_bento.arrays import Float32, Floats

CameraSource = Literal["given", "exif", "fitted", "depth model", "assumed"]
CAMERA_SOURCES: tuple[CameraSource, ...] = get_args(CameraSource)

# Factors of x, y and z that turn a camera frame into PyTorch3D's. OpenCV: x right, y down, z forward. OpenGL, which is
# glTF's as well: x right, y up, z backward.
TO_PYTORCH3D = {"opencv": (-1, -1, 1), "opengl": (-1, 1, -1), "pytorch3d": (1, 1, 1)}

# Names of the camera frames of poses: SAM 3D's, which is PyTorch3D's, and the preview engine's, which is glTF's.
PYTORCH3D_FRAME = "pytorch3d"
GLTF_FRAME = "camera: x right, y up, looking along -z"

# Focal length of a photo without one, by its longer side: a field of view of 39 degrees, as of a phone's main camera.
USUAL_FOCAL_LENGTH = 1.4


@dataclass(frozen=True)
class Camera:
    """Pinhole camera without distortion. fx, fy, cx, cy, width and height in pixels; source: where it is from."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int
    source: CameraSource

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of the same photo in another number of pixels."""
        across, down = width / self.width, height / self.height
        return Camera(self.fx * across, self.fy * down, self.cx * across, self.cy * down, width, height, self.source)

    @classmethod
    def assumed(cls, width: int, height: int) -> Camera:
        """Return the camera of a photo of which nothing is known: the usual focal length, the middle as its centre."""
        focal = USUAL_FOCAL_LENGTH * max(width, height)
        return cls(focal, focal, width / 2, height / 2, width, height, "assumed")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, lengths rounded to thousandths of a pixel."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


def to_points(depth: Floats, camera: Camera) -> Float32:
    """Return the points (H, W, 3) float32 that a depth map (H, W) shows at the centres of its pixels.

    Depth is along the optical axis, not along the ray: x = -(u - cx) / fx · z, y = -(v - cy) / fy · z. NaN stays NaN.
    camera: of a picture of the depth map's size.
    """
    height, width = depth.shape
    x = -((np.arange(width) + 0.5 - camera.cx) / camera.fx) * depth
    y = -((np.arange(height) + 0.5 - camera.cy) / camera.fy)[:, None] * depth
    return np.stack((x, y, depth), -1).astype(np.float32)


def fit_camera(points: Float32) -> Camera | None:
    """Return the camera through which points (H, W, 3) are seen at their pixels; None without points to tell it.

    The principal point is the centre. The focal length is the least squares solution of (u - cx) = -f · x / z and
    (v - cy) = -f · y / z over all finite points.
    """
    height, width = points.shape[:2]
    finite = np.isfinite(points).all(-1) & (points[..., 2] > 0)
    row, column = np.nonzero(finite)
    seen = points[finite].astype(np.float64)
    slopes = -seen[:, :2] / seen[:, 2:]
    offsets = np.stack((column + 0.5 - width / 2, row + 0.5 - height / 2), 1)
    weight = float((slopes**2).sum())
    focal = float((slopes * offsets).sum()) / weight if weight > 0 else 0.0
    return Camera(focal, focal, width / 2, height / 2, width, height, "fitted") if focal > 0 else None
