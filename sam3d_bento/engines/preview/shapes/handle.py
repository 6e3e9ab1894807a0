"""What sticks out of one side of a body of revolution: inflated, in the plane through the axis facing the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import THINNEST_RADIUS, Canvas
from sam3d_bento.engines.preview.height import squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.shapes.lathe import Lathe
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.surface import closed_surface

SLIVER = 1.5  # cells beyond the body that are no handle but its rough edge
ATTACHED = 6.0  # cells around the handle in which it, and not the photo's background, ends the body
ROOT = 0.07  # how deep the handle reaches into the body, by the body's largest radius


def handle_mesh(lathe: Lathe, canvas: Canvas, camera: Camera) -> tuple[PosedMesh, Canvas] | None:
    """The part of the silhouette at `lathe.handle_side`, closed in itself; its root lies within the body.

    And the canvas without it: there the body ends as on its other side. None where nothing sticks out there that is
    thicker than a rough edge or a hair.
    """
    view = lathe.view
    rows, columns = np.indices(canvas.distance.shape)
    seen = camera.rays(np.stack([columns, rows], -1) * canvas.cell + np.array(canvas.origin)) @ view.axes
    across, height = lathe.handle_side * seen[..., 0] / -seen[..., 2], seen[..., 1] / -seen[..., 2]
    half_width = np.interp(height, view.heights, view.half_widths)
    cell = canvas.cell / camera.focal_length

    outside = np.minimum(canvas.distance, (across - half_width) / cell - SLIVER)
    pieces, count = ndimage.label(outside > 0)
    if not count:
        return None
    handle = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    reach = height[handle]
    root = (across - half_width) / cell + ROOT * float(view.half_widths.max()) / cell
    beside = np.minimum(height - reach.min(), reach.max() - height) / cell
    distance = np.minimum.reduce([canvas.distance, root, beside]).astype(np.float32)

    if distance.max() < THINNEST_RADIUS:  # it would slip through the grid
        return None
    part = replace(canvas, distance=distance)
    square = squared_height(distance)
    drawn, faces = closed_surface(square)
    colours = paint(part, square, drawn)
    rays = camera.rays(drawn[:, :2] * canvas.cell + np.array(canvas.origin))
    front = lathe.axes[:, 2]
    depth = (lathe.centre @ front) / (rays @ front)[:, None]  # where the ray meets the plane through the axis
    # Thick along the line of sight, so that everything is seen where the photo has it.
    mesh = PosedMesh(rays * depth * (1 - drawn[:, 2:] * cell), faces, colours, lathe.axes, camera)
    attached = ndimage.distance_transform_edt(~handle) < ATTACHED
    without = np.where(attached, np.minimum(canvas.distance, (half_width - across) / cell), canvas.distance)
    return mesh, replace(canvas, distance=without.astype(np.float32))
