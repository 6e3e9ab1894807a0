"""Guess how far away objects are whose poses have no common scale: as if all stood on one plane.

A pose whose translation and scale are multiplied by one factor shows the same picture. So only that factor is chosen
for each object, and the scene still is the photo where its camera stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, cos, degrees, radians, sin

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Float64
from sam3d_bento.camera import Camera
from sam3d_bento.export.pose import Transform, apply

USUAL_PITCH_DEGREES = 20.0  # by which somebody looks down who photographs things on a table
# Up directions closer to the picture's are those of shapes that were not found to stand upright in any way.
MIN_PITCH_DEGREES = 1.0
# Sine of the angle at which the line of sight must meet the plane; near the horizon, a pixel means any distance.
MIN_SINE = 0.05
COVER_PIXELS = 2  # rows below an object's lowest one in which another object's mask covers its foot


@dataclass(frozen=True)
class StandingObject:
    """Object to be placed. transform: in glTF's camera frame, of any scale. vertices (N, 3): in the object's frame.

    mask (H, W): of the camera's picture. weight: how far its pose can be trusted, 0..1.
    """

    transform: Transform
    vertices: Float32
    mask: Bool
    weight: float


def place_on_plane(objects: Sequence[StandingObject], camera: Camera) -> list[Transform]:
    """Return the objects' transforms with the factors for which all stand on a plane one unit below the camera.

    The plane's pitch is the weighted median of the objects'; USUAL_PITCH_DEGREES where no object has one. The line of
    sight of an object's lowest pixel meets the plane at the object's nearest contact point. An object whose foot is cut
    by the frame or covered gets the factor of the object that covers it, or else the median factor.
    """
    pitch = find_pitch(objects)
    factors = [_factor(each, index, objects, pitch, camera) for index, each in enumerate(objects)]
    known = [factor for factor in factors if factor is not None]
    usual = float(np.median(known)) if known else 1.0
    placed = []
    for index, each in enumerate(objects):
        factor, at, seen = factors[index], index, {index}
        while factor is None:
            covering = _cover(objects, at)
            if covering is None or covering in seen:
                factor = usual
                break
            seen.add(covering)
            factor, at = factors[covering], covering
        placed.append(each.transform.enlarged(factor))
    return placed


def find_pitch(objects: Sequence[StandingObject]) -> float:
    """Return by how many radians the camera looks down, by the up directions of the objects."""
    found = []
    for each in objects:
        up = each.transform.linear[:, 1]
        pitch = atan2(float(up[2]), float(up[1]))
        if abs(degrees(pitch)) >= MIN_PITCH_DEGREES:
            found.append((pitch, each.weight))
    if not found:
        return radians(USUAL_PITCH_DEGREES)
    found.sort()
    weights = np.cumsum([max(weight, 1e-3) for _, weight in found])
    return found[int(np.searchsorted(weights, weights[-1] / 2))][0]


def _factor(
    each: StandingObject, index: int, objects: Sequence[StandingObject], pitch: float, camera: Camera
) -> float | None:
    """Return the factor of an object; None where its foot is not seen, or not before the camera."""
    rows, columns = np.nonzero(each.mask)
    lowest = int(rows.max())
    if lowest == each.mask.shape[0] - 1 or _cover(objects, index) is not None:
        return None
    column = float(columns[rows == lowest].mean())
    sight = np.array([(column + 0.5 - camera.cx) / camera.fx, (camera.cy - lowest - 1) / camera.fy, -1.0])
    sine = -float(sight @ [0.0, cos(pitch), sin(pitch)])
    if sine < MIN_SINE:
        return None
    depth = _contact_depth(each, camera)
    return None if depth is None else 1 / sine / depth


def _contact_depth(each: StandingObject, camera: Camera) -> float | None:
    """Return the depth of the vertex that the camera sees lowest; None if the object is not before the camera."""
    points: Float64 = apply(each.transform.matrix, each.vertices)
    depth = -points[:, 2]
    if depth.min() <= 0:
        return None
    return float(depth[np.argmax(-points[:, 1] / depth)])


def _cover(objects: Sequence[StandingObject], index: int) -> int | None:
    """Return the object whose mask begins right below the lowest row of an object's mask; None if there is none."""
    mask = objects[index].mask
    rows, columns = np.nonzero(mask)
    lowest = int(rows.max())
    below = slice(lowest + 1, lowest + 1 + COVER_PIXELS)
    foot = np.unique(columns[rows == lowest])
    shares = [
        0 if other == index else int(each.mask[below][:, foot].any(0).sum()) for other, each in enumerate(objects)
    ]
    covering = int(np.argmax(shares))
    return covering if shares[covering] * 2 > len(foot) else None
