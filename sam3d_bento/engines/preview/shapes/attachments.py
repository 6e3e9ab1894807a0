"""Part handles, spouts and bows from the body that they stick out of, and mesh them.

They are inflated in a plane through the body's axis. One that the photo shows in front of the body points towards the
camera, as far as it reaches over the body. Any other lies in the plane that faces the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import cos, pi, radians, sin

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Float64, Floats
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import MIN_RADIUS_CELLS, PADDING_CELLS, Canvas
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.painting.texture import measure_fringe, sample
from sam3d_bento.engines.preview.shapes.exact import Sides
from sam3d_bento.engines.preview.shapes.lathe import Lathe
from sam3d_bento.engines.preview.shapes.overlap import find_overlap
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

# Angle from the line of sight below which an attachment would not stick out far enough to be found. A smaller one is an
# error of the overlap.
MIN_AZIMUTH = radians(30)

TIP_PERCENT = 2.0  # of the overlap that may reach farther over the body than what is taken as its end: stray cells
MIN_OVERLAP_SHARE = 0.02  # of an attachment; less is the blur of the photo along the body's outline
SURFACE_STEPS = 4  # of the fixed-point iteration for the place at which a ray meets the body


@dataclass(frozen=True)
class Parts:
    """Silhouette in two: the canvas of the body alone, and the cells (R, C) bool of what sticks out of it."""

    body: Canvas
    pieces: tuple[Bool, ...]


@dataclass(frozen=True)
class Attachment:
    """Piece that sticks out of a body, and where it stands.

    shown: (R, C) bool, the cells that show it. overlap: (R, C) bool, those of them that lie in front of the body. root:
    (R, C) bool, the cells in which it continues into the body.
    azimuth: angle in radians about the body's axis of the half plane in which it lies; 0 towards the camera.
    """

    shown: Bool
    overlap: Bool
    root: Bool
    azimuth: float


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
    return Parts(replace(canvas, distance=body), tuple(pieces == number for number in sticking))


def place_attachment(piece: Bool, canvas: Canvas, body: Canvas, lathe: Lathe, camera: Camera) -> Attachment:
    """Find where a piece (R, C) bool that sticks out of a body stands, and which cells in front of the body show it.

    canvas: of the whole silhouette. body: of the body alone.
    """
    rays = _look_through_cells(canvas, camera)
    angle, height, _ = _meet_body(rays, lathe, canvas.cell / camera.focal_length)
    side = np.isfinite(angle) & (height > lathe.heights[0]) & (height < lathe.heights[-1])
    within = body.distance > 0
    # What parts them, a disc, reaches into the root of a wide piece.
    piece = piece | (within & np.isnan(angle) & (ndimage.distance_transform_edt(~piece) < _reach(canvas)))
    overlap = find_overlap(canvas.rgb, within & ~piece, piece, float(body.distance.max())) & side
    turns = angle[overlap]
    if np.count_nonzero(overlap) < MIN_OVERLAP_SHARE * np.count_nonzero(piece) or np.ptp(np.sign(turns)):
        return Attachment(piece, np.zeros_like(piece), _find_root(piece, body.distance, canvas), pi / 2)
    # Its middle is farther from the camera than its edge, by half its thickness.
    half = float(canvas.distance[piece].max() / body.distance.max())
    azimuth = float(np.clip(np.percentile(np.abs(turns), TIP_PERCENT) + half, MIN_AZIMUTH, pi / 2) * np.sign(turns[0]))
    depth = _measure_depth(rays * _meet_plane(rays, azimuth, lathe)[..., None], lathe)
    root = _find_root(piece | overlap, depth * camera.focal_length / canvas.cell, canvas)
    return Attachment(piece | overlap, overlap, root, azimuth)


def build_attachment(attachment: Attachment, canvas: Canvas, lathe: Lathe, camera: Camera) -> PosedMesh | None:
    """Build an attachment of a body as a closed mesh, which is also there in fewer faces; None if it is too thin.

    canvas: of the whole silhouette.
    """
    distance = np.minimum(canvas.distance, _measure_distance(attachment.shown | attachment.root))
    if distance.max() < MIN_RADIUS_CELLS:
        return None
    # Its root has its own colours and not those of the body in front of it.
    nearest = ndimage.distance_transform_edt(~attachment.shown, return_distances=False, return_indices=True)
    own = _crop(replace(canvas, rgb=canvas.rgb[tuple(nearest)]), distance)
    drawn, faces = build_closed_surface(compute_squared_height(own.distance))
    colours = paint(own, drawn, faces)
    few = _coarsen(own)
    few_drawn, few_faces = build_closed_surface(compute_squared_height(few.distance))
    before = _crop(replace(canvas, rgb=attachment.overlap[:, :, None].astype(np.float32)), distance)
    vertices = _place(few_drawn, few, before, attachment.azimuth, lathe, camera)
    exact = Sides(vertices, np.arange(len(vertices), dtype=np.int32), few_faces, compute_normals(vertices, few_faces))
    placed = _place(drawn, own, before, attachment.azimuth, lathe, camera)
    return PosedMesh(placed, faces, colours, lathe.axes, camera, exact)


def uncover(body: Canvas, attachments: Sequence[Attachment]) -> tuple[Canvas, Bool]:
    """Return the body's canvas without the cells that show something else, and these (R, C) bool.

    body: canvas of the body alone. Some cells more at the edge of what lies in front of it are mixed with its colour.
    """
    within = body.distance > 0
    shown = np.any([attachment.shown for attachment in attachments], 0) if attachments else np.zeros_like(within)
    if not (within & shown).any():
        return body, np.zeros_like(within)
    bare = replace(body, distance=np.minimum(body.distance, _measure_distance(within & ~shown)))
    return bare, ndimage.distance_transform_edt(~(within & shown)) <= measure_fringe(body)


def _look_through_cells(canvas: Canvas, camera: Camera) -> Float64:
    """Return the rays (R, C, 3), in the camera frame, through the cells of the canvas."""
    rows, columns = np.indices(canvas.distance.shape)
    return _look(np.stack([columns, rows], -1), canvas, camera)


def _look(places: Floats, canvas: Canvas, camera: Camera) -> Float64:
    """Return the rays (..., 3), in the camera frame, through places (..., 2) of the canvas frame."""
    rays: Float64 = camera.unproject(places * canvas.cell + np.array(canvas.origin))
    return rays


def _meet_body(rays: Float64, lathe: Lathe, margin: float) -> tuple[Float64, Float64, Float64]:
    """Find where rays (..., 3) of the camera frame meet the body's side.

    Returns the angle (...) about its axis in radians, 0 towards the camera, the height (...), and the factor (...) of
    the ray. The angle is nan where the ray passes the body by more than `margin`.
    """
    x, y, z = np.moveaxis(rays @ lathe.axes, -1, 0)
    eye = -lathe.centre @ lathe.axes
    across = x**2 + z**2
    middle = -(eye[0] * x + eye[2] * z) / across  # where the ray is nearest to the axis
    nearest = np.hypot(eye[0] + middle * x, eye[2] + middle * z)
    reached, radius = middle, nearest
    for _ in range(SURFACE_STEPS):
        radius = np.interp(eye[1] + reached * y, lathe.heights, lathe.radii)
        reached = middle - np.sqrt(np.maximum(radius**2 - nearest**2, 0) / across)
    angle = np.arctan2(eye[0] + reached * x, eye[2] + reached * z)
    return np.where(nearest > radius + margin, np.nan, angle), eye[1] + reached * y, reached


def _reach(canvas: Canvas) -> float:
    """Return the depth in cells to which an attachment reaches into the body."""
    return ROOT_SHARE * float(canvas.distance.max())


def _find_root(shown: Bool, depth: Float32 | Float64, canvas: Canvas) -> Bool:
    """Find the cells (R, C) bool in which what is `shown` (R, C) bool continues into the body.

    depth (R, C): of the cells below the body's surface, in cells.
    """
    reach = np.minimum(_reach(canvas), np.maximum(depth, 0) * ROOT_SLOPE + ROOT_CELLS)
    root: Bool = (canvas.distance > 0) & (ndimage.distance_transform_edt(~shown) < reach)
    return root


def _measure_depth(places: Float64, lathe: Lathe) -> Float64:
    """Measure how far places (..., 3) of the camera frame are below the body's surface, negative above it; (...)."""
    right, up, front = np.moveaxis((places - lathe.centre) @ lathe.axes, -1, 0)
    inwards = np.interp(up, lathe.heights, lathe.radii) - np.hypot(right, front)
    depth: Float64 = np.minimum(inwards, np.minimum(up - lathe.heights[0], lathe.heights[-1] - up))
    return depth


def _meet_plane(rays: Float64, azimuth: float, lathe: Lathe) -> Float64:
    """Find where rays (..., 3) meet the plane through the lathe's axis at that azimuth; return their factors (...)."""
    normal = lathe.axes @ np.array([-cos(azimuth), 0.0, sin(azimuth)])
    factors: Float64 = (lathe.centre @ normal) / (rays @ normal)
    return factors


def _place(drawn: Float32, canvas: Canvas, before: Canvas, azimuth: float, lathe: Lathe, camera: Camera) -> Float64:
    """Move vertices (V, 3) from the canvas frame to the plane through the lathe's axis at that azimuth; return (V, 3).

    before: canvas with 1 where the attachment lies in front of the body; nothing there sinks into the body.
    """
    rays = _look(drawn[:, :2], canvas, camera)
    depth = _meet_plane(rays, azimuth, lathe)
    column, row = ((drawn[:, :2] * canvas.cell + np.subtract(canvas.origin, before.origin)) / before.cell).T
    raised = sample(before.rgb[:, :, 0], np.stack([row, column])) > 0.5
    depth[raised] = np.minimum(depth[raised], _meet_body(rays[raised], lathe, 0.0)[2])
    # It is thick along the line of sight, so that all of it is seen where the photo shows it.
    placed: Float64 = rays * (depth * (1 - drawn[:, 2] * canvas.cell / camera.focal_length))[:, None]
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
