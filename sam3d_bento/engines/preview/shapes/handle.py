"""Mesh and colour a handle: inflated, in the plane through the body's axis that faces the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import MIN_RADIUS_CELLS, Canvas
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.shapes.lathe import Lathe
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.surface import build_closed_surface

SLIVER_CELLS = 1.5  # height above the body up to which something is its rough edge, and no handle
ROOT_RADII = 0.07  # depth by which the handle reaches into the body, by the body's largest radius

# Distance around the handle within which the body ends as it does on its other side, instead of at the silhouette.
ATTACHED_CELLS = 6.0


def build_handle(lathe: Lathe, canvas: Canvas, camera: Camera) -> tuple[PosedMesh, Canvas] | None:
    """Build what sticks out of the body at `lathe.handle_side`, as a closed mesh whose root lies in the body.

    Returns also the canvas without the handle: there the body ends as on its other side. Returns None where nothing
    sticks out that is thicker than a rough edge or a hair.
    """
    view = lathe.view
    rows, columns = np.indices(canvas.distance.shape)
    seen = camera.unproject(np.stack([columns, rows], -1) * canvas.cell + np.array(canvas.origin)) @ view.axes
    across, height = lathe.handle_side * seen[..., 0] / -seen[..., 2], seen[..., 1] / -seen[..., 2]
    half_width = np.interp(height, view.heights, view.half_widths)
    cell = canvas.cell / camera.focal_length

    outside = np.minimum(canvas.distance, (across - half_width) / cell - SLIVER_CELLS)
    pieces, count = ndimage.label(outside > 0)
    if not count:
        return None
    handle = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    reach = height[handle]
    root = (across - half_width) / cell + ROOT_RADII * float(view.half_widths.max()) / cell
    beside = np.minimum(height - reach.min(), reach.max() - height) / cell
    distance = np.minimum.reduce([canvas.distance, root, beside]).astype(np.float32)

    if distance.max() < MIN_RADIUS_CELLS:  # too thin for the grid
        return None
    part = replace(canvas, distance=distance)
    square = compute_squared_height(distance)
    drawn, faces = build_closed_surface(square)
    colours = paint(part, drawn, faces)
    rays = camera.unproject(drawn[:, :2] * canvas.cell + np.array(canvas.origin))
    front = lathe.axes[:, 2]
    depth = (lathe.centre @ front) / (rays @ front)[:, None]  # where the ray meets the plane through the axis
    # The handle is thick along the line of sight, so that all of it is seen where the photo shows it.
    mesh = PosedMesh(rays * depth * (1 - drawn[:, 2:] * cell), faces, colours, lathe.axes, camera)
    attached = ndimage.distance_transform_edt(~handle) < ATTACHED_CELLS
    without = np.where(attached, np.minimum(canvas.distance, (half_width - across) / cell), canvas.distance)
    return mesh, replace(canvas, distance=without.astype(np.float32))
