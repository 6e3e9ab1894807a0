"""Compare the outline of a placed object with its mask."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float64, Indices, Int32
from sam3d_bento.camera import Camera
from sam3d_bento.export.rays import NOWHERE, Rays

# Longer side of the compared picture: a pixel is a quarter of a percent, and casting takes some ten milliseconds.
COMPARED_PIXELS = 384


def pixel_rays(camera: Camera) -> Float64:
    """Return the directions (H * W, 3) to all pixel centres, row by row, in glTF's camera frame; z is -1."""
    x = (np.arange(camera.width) + 0.5 - camera.cx) / camera.fx
    y = (camera.cy - np.arange(camera.height) - 0.5) / camera.fy
    across, up = np.meshgrid(x, y)
    directions: Float64 = np.stack([across, up, -np.ones_like(up)], -1).reshape(-1, 3)
    return directions


def reduced(camera: Camera, shape: tuple[int, ...], longer_side: int) -> tuple[Camera, tuple[Indices, ...]]:
    """Return the camera of a smaller picture, and which pixels of one of this shape (H, W) are its pixels.

    longer_side: the most that the smaller picture has, in pixels. The pixels index an array of the shape.
    """
    height, width = shape
    share = min(longer_side / max(height, width), 1.0)
    small = camera.resized(max(round(width * share), 1), max(round(height * share), 1))
    rows, columns = (
        ((np.arange(count) + 0.5) * size / count).astype(np.intp)
        for count, size in ((small.height, height), (small.width, width))
    )
    return small, np.ix_(rows, columns)


def silhouette(points: Float64, faces: Int32, camera: Camera) -> Bool:
    """Return the pixels (H, W) of the camera in which a mesh is seen. points (N, 3): in glTF's camera frame."""
    directions = pixel_rays(camera).astype(np.float32)
    # Embree computes in float32, so the mesh is brought to a distance of about 1.
    distance = max(float(np.abs(points).max()), 1e-12)
    met = Rays(points / distance, faces).faces_met(np.zeros_like(directions), directions)
    seen: Bool = (met != NOWHERE).reshape(camera.height, camera.width)
    return seen


def silhouette_iou(points: Float64, faces: Int32, mask: Bool, camera: Camera) -> float:
    """Return the intersection over union, 0..1, of a mesh's silhouette and a mask (H, W). points: as of `silhouette`.

    camera: of the mask's picture. Both are compared at COMPARED_PIXELS. Parts that another object covers count as
    missing in the mask.
    """
    camera, pixels = reduced(camera, mask.shape, COMPARED_PIXELS)
    seen, wanted = silhouette(points, faces, camera), mask[pixels]
    union = int((seen | wanted).sum())
    return float((seen & wanted).sum() / union) if union else 0.0
