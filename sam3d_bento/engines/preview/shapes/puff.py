"""Inflate any silhouette into a mesh that stands as the photo shows it."""

from __future__ import annotations

import numpy as np

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.surface import build_closed_surface, undo_perspective


def build_puff(canvas: Canvas, camera: Camera) -> PosedMesh:
    """Inflate all components of the mask; its holes stay open."""
    square = compute_squared_height(canvas.distance)
    drawn, faces = build_closed_surface(square)
    colours = paint(canvas, drawn, faces)
    return PosedMesh(undo_perspective(drawn, canvas, camera), faces, colours, np.eye(3), camera)
