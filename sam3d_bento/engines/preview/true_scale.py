"""Measure how large a fitted mesh is, with the depth of the surface that the photo shows."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.visibility import find_visible_vertices
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh

MIN_VERTICES = 30  # with depth; a median of fewer may be the rim's or a hole's
# The standard deviation of a normal distribution in units of its median absolute deviation.
DEVIATION_PER_MAD = 1.4826


def measure_scale(mesh: PosedMesh, canvas: Canvas, mask: Bool, depth: Float32) -> tuple[float, float] | None:
    """Return the metres per unit of a mesh in the camera frame, and their relative error; None with too little depth.

    A mesh that looks like the photo does so in any size, if it is moved away accordingly. So its size is the median of
    depth / distance over the vertices that the camera sees. The error is the deviation of these ratios, which also
    contains how badly the shape fits. mask (H, W); depth (H, W) in metres along the optical axis, NaN where unknown.
    """
    seen = mesh.vertices[find_visible_vertices(mesh.vertices, mesh.faces, canvas, mesh.camera)]
    column, row = np.floor(mesh.camera.project(seen)).astype(np.int64).T
    height, width = mask.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    seen, row, column = seen[inside], row[inside], column[inside]
    metres = depth[row, column].astype(np.float64)
    known = mask[row, column] & np.isfinite(metres)
    if np.count_nonzero(known) < MIN_VERTICES:
        return None
    ratios = metres[known] / -seen[known, 2]
    scale = float(np.median(ratios))
    return scale, DEVIATION_PER_MAD * float(np.median(np.abs(ratios - scale))) / scale
