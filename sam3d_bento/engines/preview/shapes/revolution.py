"""The mesh and the colours of a body of revolution: the photo in front, mirrored behind, so that no seam shows."""

from __future__ import annotations

from math import ceil, cos, pi, sin

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from sam3d_bento.arrays import Float64, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.registration import Registration
from sam3d_bento.engines.preview.painting.texture import Texture
from sam3d_bento.engines.preview.painting.visibility import visible_vertices
from sam3d_bento.engines.preview.shapes.lathe import Lathe
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh

MOST_VERTICES = 200_000
UNSEEN_STEP = 4.0  # cells between the rings of the base, which no photo shows
# Cosine of the angle between line of sight and normal below which the photo shows too little: of the side, whose
# colours can be had from nearer to the middle, and of a lid, whose colours are nowhere else.
GRAZING_SIDE, GRAZING_LID = 0.18, 0.06
LIKE_A_LID = 1.15  # inverse of the upward share of the normal from which a ring is as flat as a lid
LEAST_LID = 0.1  # half as deep in the picture, by the largest radius, is a lid that counts
LEAST_SEEN = 0.3  # radians of a ring that must be seen for it to keep its own colours


def revolve(lathe: Lathe, texture: Texture, camera: Camera, silhouette: Canvas) -> PosedMesh:
    """The body as a closed mesh of rings, one vertex a cell where the photo shows it.

    silhouette: the canvas without what is no part of the body.
    """
    cell = texture.canvas.cell / camera.focal_length  # as a tangent, so at the axis' distance
    radii, heights = _outline(lathe, cell)
    front = int(np.clip(pi * radii.max() / cell, 48, 960))
    # Behind, half as many are enough, unless the far half of the lid is seen.
    behind = 1.0 if sin(lathe.elevation) * lathe.radii[-1] > LEAST_LID * radii.max() else 0.5
    thin = max(1.0, ((1 + behind) * front * len(radii) / MOST_VERTICES) ** 0.5)
    if thin > 1:
        radii, heights = _outline(lathe, cell * thin)
        front = int(front / thin)
    back = int(front * behind)
    angles = np.concatenate([np.arange(front) / front * pi - pi / 2, np.arange(back) / back * pi + pi / 2])
    source_row, source_angle, fade = _sources(lathe, radii, heights, angles)

    def place(row: npt.NDArray[np.intp], angle: Float64) -> Float64:
        local = np.stack([radii[row] * np.sin(angle), heights[row], radii[row] * np.cos(angle)], -1)
        return local.reshape(-1, 3) @ lathe.axes.T + lathe.centre

    rows = np.arange(len(radii))[:, None]
    vertices = place(np.broadcast_to(rows, source_angle.shape), np.broadcast_to(angles, source_angle.shape))
    shown = place(np.broadcast_to(source_row[:, None], source_angle.shape), source_angle)
    # The first and the last ring are points.
    count = len(angles)
    inner = slice(count - 1, len(vertices) - count + 1)
    vertices, faces = vertices[inner], _faces(len(radii) - 2, count)
    registration = Registration.of(vertices, faces, silhouette, camera)
    placed = registration.moved(vertices)
    visible = visible_vertices(placed, faces, texture.canvas, camera)
    colours = texture.colours(placed, registration.moved(shown[inner]), np.repeat(fade, count)[inner], visible, camera)
    return PosedMesh(placed, faces, colours, lathe.axes, camera)


def _outline(lathe: Lathe, step: float) -> tuple[Float64, Float64]:
    """Radii and heights (N,) of the rings, from the middle of the base over the side to the middle of the lid."""
    base = np.linspace(0, lathe.radii[0], max(3, ceil(lathe.radii[0] / (UNSEEN_STEP * step))), endpoint=False)
    lid = np.linspace(lathe.radii[-1], 0, max(3, ceil(lathe.radii[-1] / step)))[1:]
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(lathe.radii), np.diff(lathe.heights)))])
    along = np.linspace(0, length[-1], max(8, ceil(length[-1] / step)))
    radii = np.concatenate([base, np.interp(along, length, lathe.radii), lid])
    heights = np.interp(along, length, lathe.heights)
    return radii, np.concatenate([np.full(len(base), heights[0]), heights, np.full(len(lid), heights[-1])])


def _sources(
    lathe: Lathe, radii: Float64, heights: Float64, angles: Float64
) -> tuple[npt.NDArray[np.intp], Float64, Float64]:
    """Where the photo shows what a vertex should look like: the ring (N,), the angle (N, A), the share of blur (N,).

    A ring is seen from its middle up to some angle to both sides. The rest of it repeats that part backwards, stretched
    so that both ends meet behind. A ring that is not seen at all looks like the next one that is, blurred.
    """
    normal_out, normal_up = np.gradient(heights), -np.gradient(radii)
    length = np.maximum(np.hypot(normal_out, normal_up), 1e-12)
    normal_out, normal_up = normal_out / length, normal_up / length
    eye_up, eye_out = sin(lathe.elevation), cos(lathe.elevation)
    grazing = GRAZING_SIDE - (GRAZING_SIDE - GRAZING_LID) * np.clip(LIKE_A_LID * normal_up, 0, 1)
    # The line of sight to the ring's place at an angle has the cosine
    # normal_out (eye_out cos(angle) - radius) + normal_up (eye_up - height), by a distance of nearly 1.
    rest = grazing + normal_out * radii - normal_up * (eye_up - heights)
    seen = np.arccos(np.clip(rest / np.maximum(normal_out * eye_out, 1e-9), -1, 1))

    depth = 1 - heights * eye_up - radii * eye_out
    seen_at = (heights * eye_out - radii * eye_up) / depth  # of the ring's nearest place
    facing = normal_out * (eye_out - radii) + normal_up * (eye_up - heights) > 0
    # What overhangs hides what is below; a lid that is seen from below lies behind what seems to be above it.
    higher = np.minimum.accumulate(np.where(facing, seen_at, np.inf)[::-1])[::-1]
    visible = (seen > LEAST_SEEN) & (seen_at <= higher + 1e-9)
    if not visible.any():
        visible, seen = np.ones(len(radii), bool), np.maximum(seen, LEAST_SEEN)
    nearest = ndimage.distance_transform_edt(~visible, return_distances=False, return_indices=True)[0]
    limit = np.where(seen > pi - 1e-3, pi, seen)[nearest, None]
    turned = np.where(angles > pi, angles - 2 * pi, angles)
    hidden = limit * (pi - np.abs(turned)) / np.maximum(pi - limit, 1e-3)
    folded = np.where(np.abs(turned) <= limit, np.abs(turned), hidden)
    return nearest, np.sign(turned) * folded, np.where(visible, 0.0, 1.0)


def _faces(rings: int, count: int) -> Int32:
    """Faces (F, 3) of rings of `count` vertices each, between a first and a last point; rings rise."""
    ring = 1 + count * np.arange(rings)[:, None]
    here, after = np.arange(count), np.roll(np.arange(count), -1)
    low, low_after, high, high_after = (
        part.ravel() for part in (ring[:-1] + here, ring[:-1] + after, ring[1:] + here, ring[1:] + after)
    )
    first, last = np.zeros(count, int), np.full(count, 1 + rings * count)
    top = ring[-1]
    return np.concatenate(
        [
            np.stack([first, 1 + after, 1 + here], 1),
            np.stack([low, low_after, high_after], 1),
            np.stack([low, high_after, high], 1),
            np.stack([top + here, top + after, last], 1),
        ]
    ).astype(np.int32)
