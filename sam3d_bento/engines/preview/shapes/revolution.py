r"""Mesh and colour a body of revolution: the photo in front, mirrored behind, so that no seam shows.

The rings of the mesh follow this outline, from the middle of the base over the side to the middle of the lid:

    lid     .----+
            |    :
    side     \   : axis
              |  :
    base      '--+

The first and the last ring are points.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, cos, pi, sin

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float64, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.painting.continuation import continue_pattern
from sam3d_bento.engines.preview.painting.texture import Texture, sample
from sam3d_bento.engines.preview.painting.visibility import find_visible_vertices
from sam3d_bento.engines.preview.shapes.exact import build_lathe_sides
from sam3d_bento.engines.preview.shapes.lathe import Lathe
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh

MAX_VERTICES = 200_000
BASE_STEP_CELLS = 4.0  # between the rings of the base, which no photo shows

# Cosine of the angle between line of sight and normal below which the photo shows too little. It is larger for the
# side, whose colours can be taken from nearer to the middle, than for a lid, whose colours are nowhere else.
GRAZING_SIDE = 0.18
GRAZING_LID = 0.06

# Cells at the rim of a side whose colours are mixed with the background's, and the largest cosine that they lead to: of
# a narrow ring, something must be left.
RIM_CELLS = 2.0
GRAZING_NARROW = 0.5

LID_FLATNESS = 1.15  # inverse of the upward share of the normal from which a ring is as flat as a lid
MIN_LID_RADII = (
    0.1  # half depth of the lid in the picture from which its far half counts as seen, by the largest radius
)
COVER_STEPS = 361  # angles between front and side at which it is tried whether a ring is covered: each quarter degree

MIN_SEEN_RADIANS = 0.3  # of a ring to either side of its middle that must be seen for it to keep its colours


def revolve(lathe: Lathe, texture: Texture, camera: Camera, covered: Bool) -> PosedMesh:
    """Build the body as a closed mesh of rings, with a vertex for each cell where the photo shows it.

    covered: (R, C) bool, cells of the canvas that show something in front of the body.
    """
    cell = texture.canvas.cell / camera.focal_length  # as a tangent, which is a length at the distance of the axis
    radii, heights = _trace_outline(lathe, cell)
    front = int(np.clip(pi * radii.max() / cell, 48, 960))
    # The back needs only half as many vertices, unless the far half of the lid is seen.
    behind = 1.0 if sin(lathe.elevation) * lathe.radii[-1] > MIN_LID_RADII * radii.max() else 0.5
    thin = max(1.0, ((1 + behind) * front * len(radii) / MAX_VERTICES) ** 0.5)
    if thin > 1:
        radii, heights = _trace_outline(lathe, cell * thin)
        front = int(front / thin)
    back = int(front * behind)
    angles = np.concatenate([np.arange(front) / front * pi - pi / 2, np.arange(back) / back * pi + pi / 2])
    source_row, source_angle, limit, fade = _find_sources(lathe, radii, heights, angles, cell)

    def place_on_rings(row: npt.NDArray[np.intp], angle: Float64) -> Float64:
        """Return places (V, 3) in the camera frame."""
        local = np.stack([radii[row] * np.sin(angle), heights[row], radii[row] * np.cos(angle)], -1)
        return local.reshape(-1, 3) @ lathe.axes.T + lathe.centre

    def is_covered(row: npt.NDArray[np.intp], angle: Float64) -> Bool:
        """Return which places (N, A) on the rings (N,) something in front of the body hides."""
        places = place_on_rings(np.broadcast_to(row[:, None], angle.shape), angle)
        hidden: Bool = sample(covered.astype(np.float32), texture.locate(places, camera)).reshape(angle.shape) > 0
        return hidden

    rows = np.arange(len(radii))[:, None]
    own_angle = np.broadcast_to(angles, source_angle.shape)
    vertices = place_on_rings(np.broadcast_to(rows, source_angle.shape), own_angle)
    if covered.any():
        source_angle = _look_beside(source_angle, source_row, is_covered)
    shown = place_on_rings(np.broadcast_to(source_row[:, None], source_angle.shape), source_angle)
    # The first and the last ring are points.
    count = len(angles)
    inner = slice(count - 1, len(vertices) - count + 1)
    vertices, faces = vertices[inner], _connect_rings(len(radii) - 2, count)
    visible = find_visible_vertices(vertices, faces, texture.canvas, camera)
    # What the camera sees of a ring beyond what is clear there comes from the same ring too: no step where sight ends.
    clear = (fade[:, None] > 0) | (np.abs(_turn(angles)) <= limit[:, None])
    if covered.any():
        clear = clear & ~is_covered(np.arange(len(radii)), own_angle)
    visible &= clear.ravel()[inner]
    colours = texture.colour_vertices(vertices, shown[inner], np.repeat(fade, count)[inner], visible, camera)
    sides_seen = np.flatnonzero((fade == 0) & (limit < pi))
    if len(sides_seen):
        order = np.argsort(angles % (2 * pi))
        at = np.ix_(sides_seen, order)
        rings = colours[1:-1].reshape(-1, count, 3)  # from the second one on
        shown_there = rings[sides_seen - 1][:, order].astype(np.float32)
        continued = continue_pattern(shown_there, angles[order] % (2 * pi), clear[at])
        rings[np.ix_(sides_seen - 1, order)] = np.rint(np.clip(continued, 0, 255))
    sides = build_lathe_sides(lathe.radii, lathe.heights, lathe.corners).turn(lathe.axes, lathe.centre)
    return PosedMesh(vertices, faces, colours, lathe.axes, camera, sides)


def _trace_outline(lathe: Lathe, step: float) -> tuple[Float64, Float64]:
    """Trace the radii and heights (N,) of the rings, from the middle of the base over the side to that of the lid."""
    base = np.linspace(0, lathe.radii[0], max(3, ceil(lathe.radii[0] / (BASE_STEP_CELLS * step))), endpoint=False)
    lid = np.linspace(lathe.radii[-1], 0, max(3, ceil(lathe.radii[-1] / step)))[1:]
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(lathe.radii), np.diff(lathe.heights)))])
    along = np.linspace(0, length[-1], max(8, ceil(length[-1] / step)))
    radii = np.concatenate([base, np.interp(along, length, lathe.radii), lid])
    heights = np.interp(along, length, lathe.heights)
    return radii, np.concatenate([np.full(len(base), heights[0]), heights, np.full(len(lid), heights[-1])])


def _find_sources(
    lathe: Lathe, radii: Float64, heights: Float64, angles: Float64, cell: float
) -> tuple[npt.NDArray[np.intp], Float64, Float64, Float64]:
    """Find where the photo shows the colours of each vertex.

    Returns the ring (N,), the angle (N, A) in radians, the angle (N,) up to which that ring is seen, and the share of
    blur (N,). A ring is seen up to some angle to both sides of its middle. The rest of it repeats that part backwards,
    stretched so that both ends meet behind. A ring that is not seen at all gets the blurred colours of the next ring
    that is. cell: of the canvas, as a tangent.
    """
    normal_out, normal_up = np.gradient(heights), -np.gradient(radii)
    length = np.maximum(np.hypot(normal_out, normal_up), 1e-12)
    normal_out, normal_up = normal_out / length, normal_up / length
    eye_up, eye_out = sin(lathe.elevation), cos(lathe.elevation)
    # The place at which a ring of that radius is so far inside the silhouette.
    within = np.sqrt(2 * RIM_CELLS * cell / np.maximum(radii, RIM_CELLS * cell))
    side = np.clip(within, GRAZING_SIDE, GRAZING_NARROW)
    grazing = side - (side - GRAZING_LID) * np.clip(LID_FLATNESS * normal_up, 0, 1)
    # The cosine between the normal at an angle of the ring and the line of sight is
    # normal_out (eye_out cos(angle) - radius) + normal_up (eye_up - height), divided by a distance of nearly 1.
    rest = grazing + normal_out * radii - normal_up * (eye_up - heights)
    seen = np.arccos(np.clip(rest / np.maximum(normal_out * eye_out, 1e-9), -1, 1))

    depth = 1 - heights * eye_up - radii * eye_out
    seen_at = (heights * eye_out - radii * eye_up) / depth  # height in the picture of the ring's nearest place
    facing = normal_out * (eye_out - radii) + normal_up * (eye_up - heights) > 0
    # An overhang hides the rings below it. A lid seen from below is hidden by rings that appear above it.
    higher = np.minimum.accumulate(np.where(facing, seen_at, np.inf)[::-1])[::-1]
    visible = (seen > MIN_SEEN_RADIANS) & (seen_at <= higher + 1e-9)
    if not visible.any():
        visible, seen = np.ones(len(radii), bool), np.maximum(seen, MIN_SEEN_RADIANS)
    nearest = ndimage.distance_transform_edt(~visible, return_distances=False, return_indices=True)[0]
    limit = np.where(seen > pi - 1e-3, pi, seen)[nearest, None]
    turned = _turn(angles)
    hidden = limit * (pi - np.abs(turned)) / np.maximum(pi - limit, 1e-3)
    folded = np.where(np.abs(turned) <= limit, np.abs(turned), hidden)
    return nearest, np.sign(turned) * folded, limit[:, 0], np.where(visible, 0.0, 1.0)


def _turn(angles: Float64) -> Float64:
    """Return angles of 0 to 2 pi as angles of -pi to pi."""
    turned: Float64 = np.where(angles > pi, angles - 2 * pi, angles)
    return turned


def _look_beside(
    angle: Float64, row: npt.NDArray[np.intp], is_covered: Callable[[npt.NDArray[np.intp], Float64], Bool]
) -> Float64:
    """Mirror the angles (N, A) at which a ring `row` (N,) is covered about the nearest place beside it; (N, A)."""
    tried = np.linspace(0, pi / 2, COVER_STEPS)
    result = angle.copy()
    for side in (-1.0, 1.0):
        hidden = is_covered(row, np.broadcast_to(side * tried, (len(row), COVER_STEPS)))
        first = tried[hidden.argmax(1)][:, None]
        away = side * angle
        under = np.take_along_axis(hidden, np.clip(np.rint(away / tried[1]), 0, COVER_STEPS - 1).astype(int), 1)
        result = np.where(under & (away > 0), side * np.maximum(2 * first - away, 0), result)
    return result


def _connect_rings(rings: int, count: int) -> Int32:
    """Connect rings of `count` vertices each, between a first and a last point; return faces (F, 3). Rings rise."""
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
