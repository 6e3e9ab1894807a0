"""Improve an object's pose by its mask and by the depth of the photo: numpy and Embree, no network.

Seven numbers are fitted by Levenberg-Marquardt: the rotation, the translation and the logarithm of the scale. Residuals
are how far the mesh's contour is from the mask's and the mask's from the mesh's, how far the visible surface is from
the planes of the point map, and a weak pull to the start. Silhouettes alone make the picture right and the pose wrong,
because scale and distance trade off; so without depth nothing is refined.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from sam3d_bento.arrays import Bool, Float32, Float64, Int32
from sam3d_bento.camera import Camera
from sam3d_bento.export.pose import Transform, apply
from sam3d_bento.export.rays import NOWHERE, Rays
from sam3d_bento.export.silhouette import pixel_rays, reduced

# Longer side of the compared picture: a contour is found to a third of a pixel, a thousandth of the photo's side.
COMPARED_PIXELS = 256
MAX_STEPS = 20
MIN_RIM_PIXELS = 20  # fewer do not tell seven numbers
MIN_DEPTH_PIXELS = 30
COVERED_MARGIN_PIXELS = 2  # around other objects: masks are not drawn more exactly
# Standard deviations by which residuals are divided: a contour's in pixels, the depth's as a share of the distance.
RIM_PIXELS = 1.0
DEPTH_SHARE = 0.01
HUBER = 2.0  # standard deviations from which a residual counts linearly
MAX_RIM_PIXELS = 12.0  # farther from each other, two contours do not belong together
# Standard deviations of the start: radians, shares of the distance, and of the size's logarithm.
START_TURN, START_SHIFT, START_SCALE = 0.3, 0.15, 0.2
FIRST_DAMPING = 1e-3
SMALLEST_STEP = 1e-5  # of the seven numbers, in standard deviations of the start
# How much worse the depth's residual may get; below this the difference is noise.
DEPTH_SLACK = 1.02


@dataclass(frozen=True)
class Refined:
    """Result of a refinement. accepted: whether `transform` is better than the start; otherwise it is the start.

    iou_before, iou: of the silhouettes. depth_before, depth: median distance to the point map's planes, as a share of
    the object's distance.
    """

    transform: Transform
    accepted: bool
    iou_before: float
    iou: float
    depth_before: float
    depth: float


@dataclass(frozen=True)
class _Target:
    """What the photo tells, at the compared size.

    points, normals (H, W, 3): in glTF's camera frame, NaN where unknown. open (H, W): pixels that no other object
    covers. distance (H, W): pixels to the mask's rim, negative inside. slope (H, W, 2): its gradient along x and y. rim
    (N, 2): pixels of the mask's rim.
    """

    camera: Camera
    mask: Bool
    open: Bool
    points: Float64
    normals: Float64
    distance: Float64
    slope: Float64
    rim: Float64


@dataclass(frozen=True)
class Look:
    """What the camera sees of the placed mesh. points (H, W, 3): where its rays hit, NaN where they do not."""

    seen: Bool
    points: Float64


def refine_pose(
    vertices: Float32,
    faces: Int32,
    start: Transform,
    mask: Bool,
    points: Float32,
    camera: Camera,
    covered: Bool | None = None,
) -> Refined | None:
    """Return the refined pose of a mesh; None where mask and depth tell too little.

    vertices (N, 3), faces (F, 3): in the object's frame. start: in glTF's camera frame. mask (H, W), points (H, W, 3)
    in PyTorch3D's camera frame and in the unit of the pose, NaN where unknown, and camera: of one picture. covered
    (H, W): pixels in which another object may cover this one; they say nothing about its silhouette.
    A pose is accepted when the overlap of the silhouettes rises and the residual of the depth does not.
    """
    target = _target(mask, points, camera, np.zeros_like(mask) if covered is None else covered)
    mesh = vertices.astype(np.float64)
    view = look(mesh, faces, start, target.camera)
    before = _judge(view, target)
    if before is None or len(target.rim) < MIN_RIM_PIXELS:
        return None
    best, damping = start, FIRST_DAMPING
    cost, hessian, gradient = _linearize(best, start, view, target)
    for _ in range(MAX_STEPS):
        step: Float64 = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian)), -gradient).astype(np.float64)
        moved = _moved(best, step)
        view = look(mesh, faces, moved, target.camera)
        if not view.seen.any():
            damping *= 10
            continue
        tried, its_hessian, its_gradient = _linearize(moved, start, view, target)
        if tried < cost:
            best, cost, hessian, gradient, damping = moved, tried, its_hessian, its_gradient, damping / 5
            if np.abs(step).max() < SMALLEST_STEP:
                break
        else:
            damping *= 5
    after = _judge(look(mesh, faces, best, target.camera), target)
    if after is None or after[0] <= before[0] or after[1] > DEPTH_SLACK * before[1]:
        return Refined(start, False, before[0], before[0], before[1], before[1])
    return Refined(best, True, before[0], after[0], before[1], after[1])


def _target(mask: Bool, points: Float32, camera: Camera, covered: Bool) -> _Target:
    small, pixels = reduced(camera, mask.shape, COMPARED_PIXELS)
    wanted = mask[pixels]
    open_to_view = ~ndimage.binary_dilation(covered[pixels], iterations=COVERED_MARGIN_PIXELS)
    seen = points[pixels].astype(np.float64) * (-1, 1, -1)
    down, across = np.gradient(seen, axis=0), np.gradient(seen, axis=1)
    normals = np.cross(across, down)
    with np.errstate(invalid="ignore", divide="ignore"):
        normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    inside, outside = ndimage.distance_transform_edt(wanted), ndimage.distance_transform_edt(~wanted)
    distance = ndimage.gaussian_filter(np.where(wanted, 0.5 - inside, outside - 0.5), 0.7)
    slope = np.stack(np.gradient(distance)[::-1], -1)
    rim = _rim(wanted)
    column, row = rim.astype(int).T
    return _Target(small, wanted, open_to_view, seen, normals, distance, slope, rim[open_to_view[row, column]])


def _rim(pixels: Bool) -> Float64:
    """Return the centres (N, 2) of the pixels at a silhouette's rim, without those at the picture's border."""
    rim = pixels & ~ndimage.binary_erosion(pixels, border_value=1)
    row, column = np.nonzero(rim)
    inner = (row > 0) & (column > 0) & (row < pixels.shape[0] - 1) & (column < pixels.shape[1] - 1)
    centres: Float64 = np.stack([column, row], 1)[inner] + 0.5
    return centres


def look(mesh: Float64, faces: Int32, transform: Transform, camera: Camera) -> Look:
    """Return what a camera sees of a mesh, whose vertices (N, 3) the transform takes to glTF's camera frame."""
    placed = apply(transform.matrix, mesh)
    unit = max(float(np.abs(placed).max()), 1e-12)  # Embree computes in float32
    directions = pixel_rays(camera)
    hits = Rays(placed / unit, faces).cast(
        np.zeros(directions.shape, np.float32), np.ascontiguousarray(directions, np.float32)
    )
    seen = hits.face != NOWHERE
    points = np.full(directions.shape, np.nan)
    points[seen] = directions[seen] * (hits.distance[seen, None] * unit)
    shape = (camera.height, camera.width)
    return Look(seen.reshape(shape), points.reshape(*shape, 3))


def _judge(view: Look, target: _Target) -> tuple[float, float] | None:
    """Return the overlap of the silhouettes, and the median distance to the depth's planes; None with too little."""
    misses = _misses(view, target)[0]
    if len(misses) < MIN_DEPTH_PIXELS:
        return None
    seen, wanted = view.seen & target.open, target.mask & target.open
    iou = float((seen & wanted).sum() / max((seen | wanted).sum(), 1))
    return iou, float(np.median(np.abs(misses)))


def _misses(view: Look, target: _Target) -> tuple[Float64, Float64, Float64]:
    """Return how far seen points are from the depth's planes (N,), by their own distance; the points; the normals."""
    both = view.seen & target.mask & np.isfinite(target.points).all(-1) & np.isfinite(target.normals).all(-1)
    points, normals = view.points[both], target.normals[both]
    far = np.maximum(np.linalg.norm(target.points[both], axis=1), 1e-12)
    return ((points - target.points[both]) * normals).sum(1) / far, points, normals / far[:, None]


def _linearize(transform: Transform, start: Transform, view: Look, target: _Target) -> tuple[float, Float64, Float64]:
    """Return the cost, its approximate second derivatives (7, 7), and its gradient (7,), in steps of `_moved`."""
    cost, hessian, gradient = _pull(transform, start)
    misses, points, normals = _misses(view, target)
    groups = [(misses / DEPTH_SHARE, points, normals / DEPTH_SHARE)]
    rim = _rim(view.seen)
    if len(rim):
        column, row = rim.astype(int).T
        groups += _contours(rim, view.points[row, column], target)
    for residuals, seen, slopes in groups:
        if not len(residuals):
            continue
        weights = np.minimum(1, HUBER / np.maximum(np.abs(residuals), 1e-12))
        arms = seen - transform.translation
        rows = np.hstack([np.cross(arms, slopes), slopes, (arms * slopes).sum(1, keepdims=True)]) * _units(start)
        share = weights / len(residuals) * len(target.rim)  # each group weighs as much as the rim has pixels
        size = np.abs(residuals)
        robust = np.where(size > HUBER, 2 * HUBER * size - HUBER**2, size**2)
        cost += float(robust.sum()) / len(residuals) * len(target.rim)
        hessian += (rows * share[:, None]).T @ rows
        gradient += (rows * share[:, None]).T @ residuals
    return cost, hessian, gradient


def _contours(rim: Float64, points: Float64, target: _Target) -> list[tuple[Float64, Float64, Float64]]:
    """Return the residuals of the mesh's contour in the mask's distance, and of the mask's rim to the contour."""
    column, row = rim.astype(int).T
    out = target.distance[row, column] + 0.5  # a pixel of the rim lies half a pixel within
    slopes = target.slope[row, column]
    near = (np.abs(out) < MAX_RIM_PIXELS) & target.open[row, column]
    groups = [(out[near] / RIM_PIXELS, points[near], _to_space(slopes[near], points[near], target.camera) / RIM_PIXELS)]
    gap, nearest = KDTree(rim).query(target.rim)
    near = gap < MAX_RIM_PIXELS
    mask_column, mask_row = target.rim[near].astype(int).T
    outward = target.slope[mask_row, mask_column]
    away = ((rim[nearest[near]] - target.rim[near]) * outward).sum(1)
    seen = points[nearest[near]]
    return [*groups, (away / RIM_PIXELS, seen, _to_space(outward, seen, target.camera) / RIM_PIXELS)]


def _to_space(slopes: Float64, points: Float64, camera: Camera) -> Float64:
    """Return gradients by position (N, 3) from gradients by pixel (N, 2): u = cx - fx x / z, v = cy + fy y / z."""
    x, y, z = points.T
    by_u, by_v = slopes.T
    return np.stack(
        [-by_u * camera.fx / z, by_v * camera.fy / z, by_u * camera.fx * x / z**2 - by_v * camera.fy * y / z**2], 1
    )


def _units(start: Transform) -> Float64:
    """Return the standard deviations (7,) of the start: turn, shift, and the scale's logarithm."""
    distance = float(np.linalg.norm(start.translation))
    return np.array([START_TURN] * 3 + [START_SHIFT * distance] * 3 + [START_SCALE])


def _pull(transform: Transform, start: Transform) -> tuple[float, Float64, Float64]:
    turn = (
        Rotation.from_quat(transform.rotation, scalar_first=True)
        * Rotation.from_quat(start.rotation, scalar_first=True).inv()
    )
    growth = float(np.log(transform.scale[0] / start.scale[0]))
    off = np.array([*turn.as_rotvec(), *(transform.translation - start.translation), growth]) / _units(start)
    return float((off**2).sum()), np.eye(7), off


def _moved(transform: Transform, step: Float64) -> Transform:
    """Return the transform after a step (7,) in standard deviations of the start."""
    turn, shift, growth = step[:3], step[3:6], step[6]
    units = _units(transform)
    rotation = Rotation.from_rotvec(turn * units[:3]) * Rotation.from_quat(transform.rotation, scalar_first=True)
    return replace(
        transform,
        rotation=rotation.as_quat(scalar_first=True, canonical=True),
        translation=transform.translation + shift * units[3:6],
        scale=transform.scale * np.exp(growth * units[6]),
    )
