"""Part handles, spouts and bows from the body that they stick out of, and mesh them.

They are inflated in the plane through the body's axis that faces the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import MIN_RADIUS_CELLS, PADDING_CELLS, Canvas
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.shapes.lathe import Lathe
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.surface import build_closed_surface

# Radius of the widest disc that fits into an attachment, by that of the widest one that fits into the silhouette.
THIN_SHARE = 0.28

# Distance by which an attachment sticks out of what a disc of that radius can fill, in such radii. A corner of 70
# degrees sticks out by 0.75; the handle of a cup that is seen from its side by 0.8.
STICK_OUT_RADII = 0.8

MAX_PIECES = 3  # a handle, a spout and the knob of a lid
MAX_SHARE = 0.35  # of the silhouette that all attachments may take
ROOT_SHARE = 0.15  # depth to which an attachment reaches into the body, by the radius of the widest disc in it


@dataclass(frozen=True)
class Parts:
    """Silhouette in two: the canvas of the body alone, and those of the attachments, whose roots lie in the body."""

    body: Canvas
    attachments: tuple[Canvas, ...]


def find_attachments(canvas: Canvas) -> Parts | None:
    """Part a silhouette into a compact body and the thin pieces that stick out of it; None where nothing does."""
    inside = canvas.distance > 0
    widest = float(canvas.distance.max())
    radius = THIN_SHARE * widest
    filled = inside & (ndimage.distance_transform_edt(canvas.distance <= radius) < radius)
    pieces, count = ndimage.label(inside & ~filled)
    if not count:
        return None
    out = ndimage.maximum(ndimage.distance_transform_edt(~filled), pieces, np.arange(1, count + 1))
    sticking = 1 + np.flatnonzero(np.asarray(out) > STICK_OUT_RADII * radius)
    thin = np.isin(pieces, sticking)
    if not 0 < len(sticking) <= MAX_PIECES or np.count_nonzero(thin) > MAX_SHARE * np.count_nonzero(inside):
        return None
    body = np.minimum(canvas.distance, _measure_distance(inside & ~thin))
    cut = []
    for number in sticking:
        piece = pieces == number
        rooted = inside & (ndimage.distance_transform_edt(~piece) < ROOT_SHARE * widest)
        distance = np.minimum(canvas.distance, _measure_distance(rooted))
        if distance.max() >= MIN_RADIUS_CELLS:  # else it is too thin for the grid
            cut.append(_crop(canvas, distance))
    return Parts(replace(canvas, distance=body), tuple(cut))


def build_attachment(canvas: Canvas, lathe: Lathe, camera: Camera) -> PosedMesh:
    """Build an attachment of a body as a closed mesh."""
    square = compute_squared_height(canvas.distance)
    drawn, faces = build_closed_surface(square)
    colours = paint(canvas, drawn, faces)
    rays = camera.unproject(drawn[:, :2] * canvas.cell + np.array(canvas.origin))
    front = lathe.axes[:, 2]
    depth = (lathe.centre @ front) / (rays @ front)[:, None]  # where the ray meets the plane through the axis
    # It is thick along the line of sight, so that all of it is seen where the photo shows it.
    cell = canvas.cell / camera.focal_length
    return PosedMesh(rays * depth * (1 - drawn[:, 2:] * cell), faces, colours, lathe.axes, camera)


def _crop(canvas: Canvas, distance: Float32) -> Canvas:
    """Crop the canvas to what lies within the zero level of a distance (R, C), which it gets instead of its own."""
    rows, columns = (np.flatnonzero((distance > 0).any(axis)) for axis in (1, 0))
    top, left = int(rows[0]) - PADDING_CELLS, int(columns[0]) - PADDING_CELLS
    window = (slice(top, int(rows[-1]) + PADDING_CELLS + 1), slice(left, int(columns[-1]) + PADDING_CELLS + 1))
    origin = (canvas.origin[0] + left * canvas.cell, canvas.origin[1] + top * canvas.cell)
    return Canvas(canvas.rgb[window], distance[window], canvas.cell, origin)


def _measure_distance(region: Bool) -> Float32:
    """Measure the signed distance (R, C) to the rim of a region (R, C) in cells, positive inside."""
    within, beyond = ndimage.distance_transform_edt(region), ndimage.distance_transform_edt(~region)
    distance: Float32 = np.where(region, within - 0.5, 0.5 - beyond).astype(np.float32)
    return distance
