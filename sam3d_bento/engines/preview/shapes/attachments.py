"""Part handles, spouts and bows from the body that they stick out of, and mesh them.

They are inflated in the plane through the body's axis that faces the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Float64
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import MIN_RADIUS_CELLS, PADDING_CELLS, Canvas
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.shapes.exact import Sides
from sam3d_bento.engines.preview.shapes.lathe import Lathe
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh
from sam3d_bento.engines.preview.surface import build_closed_surface, compute_normals

# Radius of the widest disc that fits into an attachment, by that of the widest one that fits into the silhouette.
THIN_SHARE = 0.28

# Distance by which an attachment sticks out of what a disc of that radius can fill, in such radii. A corner of 70
# degrees sticks out by 0.75; the handle of a cup that is seen from its side by 0.8.
STICK_OUT_RADII = 0.8

MAX_PIECES = 3  # a handle, a spout and the knob of a lid
MAX_SHARE = 0.35  # of the silhouette that all attachments may take
# Faces of an attachment in the file, those of a surface over one cell of its silhouette, and the radius that its
# thickest part then has at least.
MAX_FACES = 4000
FACES_PER_CELL = 5
FEWEST_RADIUS_CELLS = 3.0

ROOT_SLOPE = 1.25  # by the depth below the body's outline: beside the attachment, a root would bulge out of the body
ROOT_CELLS = 1.5  # so that root and attachment hang together
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
        away = ndimage.distance_transform_edt(~piece)
        rooted = inside & (away < np.minimum(ROOT_SHARE * widest, np.maximum(body, 0) * ROOT_SLOPE + ROOT_CELLS))
        distance = np.minimum(canvas.distance, _measure_distance(rooted))
        if distance.max() >= MIN_RADIUS_CELLS:  # else it is too thin for the grid
            cut.append(_crop(canvas, distance))
    return Parts(replace(canvas, distance=body), tuple(cut))


def build_attachment(canvas: Canvas, lathe: Lathe, camera: Camera) -> PosedMesh:
    """Build an attachment of a body as a closed mesh, which is also there in fewer faces."""
    drawn, faces = build_closed_surface(compute_squared_height(canvas.distance))
    colours = paint(canvas, drawn, faces)
    few = _coarsen(canvas)
    few_drawn, few_faces = build_closed_surface(compute_squared_height(few.distance))
    vertices = _place(few_drawn, few, lathe, camera)
    exact = Sides(vertices, np.arange(len(vertices), dtype=np.int32), few_faces, compute_normals(vertices, few_faces))
    return PosedMesh(_place(drawn, canvas, lathe, camera), faces, colours, lathe.axes, camera, exact)


def _place(drawn: Float32, canvas: Canvas, lathe: Lathe, camera: Camera) -> Float64:
    """Move vertices (V, 3) from the canvas frame to the plane through the lathe's axis; return (V, 3)."""
    rays = camera.unproject(drawn[:, :2] * canvas.cell + np.array(canvas.origin))
    front = lathe.axes[:, 2]
    depth = (lathe.centre @ front) / (rays @ front)[:, None]  # where the ray meets the plane
    # It is thick along the line of sight, so that all of it is seen where the photo shows it.
    placed: Float64 = rays * depth * (1 - drawn[:, 2:] * canvas.cell / camera.focal_length)
    return placed


def _coarsen(canvas: Canvas) -> Canvas:
    """Return the canvas of an attachment with larger cells, so that its surface has about MAX_FACES."""
    step = max(1.0, np.sqrt(FACES_PER_CELL * np.count_nonzero(canvas.distance > 0) / MAX_FACES))
    step = min(step, max(1.0, float(canvas.distance.max()) / FEWEST_RADIUS_CELLS))
    # Two more than fit, so that the surface closes beyond the last one.
    rows, columns = (int(count / step) + 3 for count in canvas.distance.shape)
    row, column = np.meshgrid(step * (np.arange(rows) - 1), step * (np.arange(columns) - 1), indexing="ij")
    distance = ndimage.map_coordinates(canvas.distance, [row, column], np.float32, order=1, cval=-PADDING_CELLS)
    origin = (canvas.origin[0] - step * canvas.cell, canvas.origin[1] - step * canvas.cell)
    return Canvas(np.zeros((rows, columns, 3), np.float32), distance / np.float32(step), step * canvas.cell, origin)


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
