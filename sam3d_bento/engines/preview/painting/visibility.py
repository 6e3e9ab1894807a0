"""Find the part of a mesh that the camera sees: it gets the photo's colours, and only the rest is guessed."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float64, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas

BIN_CELLS = 1.5  # edge of the bins in which the nearest vertex is sought: vertices lie about one cell apart

# Distance behind the nearest vertex of its bin up to which a vertex is visible, in square roots of the object's area: a
# surface seen edge-on is deep in one bin.
MAX_BEHIND = 0.06


def classify_sides(vertices: Float64, faces: Int32) -> tuple[Bool, Bool]:
    """Find which vertices lie in faces seen from outside, and which in faces seen from inside; both (V,) bool.

    vertices (V, 3) of the camera frame, faces (F, 3) int32. Vertices of the contour lie in both.
    """
    corners = [vertices[faces[:, corner]] for corner in range(3)]
    normals = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    towards = np.einsum("fk,fk->f", normals, corners[0]) < 0
    front, back = (np.bincount(faces[side].ravel(), minlength=len(vertices)) > 0 for side in (towards, ~towards))
    return front, back


def find_visible_vertices(vertices: Float64, faces: Int32, canvas: Canvas, camera: Camera) -> Bool:
    """Find which vertices (V, 3) of the camera frame are visible; (V,) bool.

    They face the camera and have nothing far in front of them.
    """
    front, _ = classify_sides(vertices, faces)
    index = np.flatnonzero(front)
    bins = ((camera.project(vertices[index]) - canvas.origin) / (BIN_CELLS * canvas.cell)).astype(np.int64)
    bins -= bins.min(0)
    number = bins[:, 0] * (bins[:, 1].max() + 1) + bins[:, 1]
    depth = -vertices[index, 2]
    nearest = np.full(number.max() + 1, np.inf)
    np.minimum.at(nearest, number, depth)
    size = float(np.sqrt(np.count_nonzero(canvas.distance > 0))) * canvas.cell / camera.focal_length
    visible = np.zeros(len(vertices), bool)
    visible[index] = depth < nearest[number] * (1 + MAX_BEHIND * size)
    return visible
