"""Any silhouette as a model: inflated, and standing as the photo shows it."""

from __future__ import annotations

import numpy as np

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.height import squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.surface import closed_surface, undo_perspective


def puff_mesh(canvas: Canvas, camera: Camera) -> PosedMesh:
    """All components of the mask are inflated, and its holes stay open."""
    square = squared_height(canvas.distance)
    drawn, faces = closed_surface(square)
    colours = paint(canvas, square, drawn)
    return PosedMesh(undo_perspective(drawn, canvas, camera), faces, colours, np.eye(3), camera)
