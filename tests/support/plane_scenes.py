"""Photos of the preview benchmark's objects on one plane, a metre below a camera that looks down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.preview_cases import Case, named
from sam3d_bento.engines.preview.camera import tilt
from sam3d_bento.export.rays import NOWHERE, Rays

FOCAL_LENGTHS_PER_SIDE = 1.4  # as the engine assumes it
BACKGROUND = 245.0


@dataclass(frozen=True)
class Standing:
    """Object on the plane.

    x: to the right, z: along the floor before the camera, size: its longest side, all in metres. yaw: in degrees.
    """

    name: str
    x: float
    z: float
    size: float
    yaw: float = 0.0


def photograph(
    standing: Sequence[Standing], pitch: float, side: int = 480
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Return the photo (H, W, 3) uint8, the seen mask of each object, and their middles' depths.

    pitch: by how many degrees the camera looks down.
    """
    cases: dict[str, Case] = {case.name: case for case in named()}
    place = (np.arange(side) + 0.5 - side / 2) / (FOCAL_LENGTHS_PER_SIDE * side)
    x, y = np.meshgrid(place, -place)
    rays = np.stack([x, y, -np.ones_like(x)], -1).reshape(-1, 3).astype(np.float32)
    nearest, owner = np.full(len(rays), np.inf), np.full(len(rays), -1)
    colours, depths = np.full((len(rays), 3), BACKGROUND), []
    for index, each in enumerate(standing):
        case, yaw = cases[each.name], np.radians(each.yaw)
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        upright = case.vertices * each.size @ turn.T
        upright += [each.x, -1 - upright[:, 1].min(), -each.z]
        seen = upright @ tilt(np.radians(pitch)).T
        depths.append(-(seen.min(0) + seen.max(0))[2] / 2)
        hits = Rays(seen, case.faces).cast(np.zeros_like(rays), rays)
        met = (hits.face != NOWHERE) & (hits.distance < nearest)
        nearest[met], owner[met] = hits.distance[met], index
        weights = np.stack([1 - hits.u - hits.v, hits.u, hits.v], 1)[met]
        corners = case.vertices[case.faces[hits.face[met]]]
        colours[met] = case.paint(np.einsum("nk,nkc->nc", weights, corners))
    photo = np.rint(colours.clip(0, 255)).astype(np.uint8).reshape(side, side, 3)
    return photo, [(owner == index).reshape(side, side) for index in range(len(standing))], np.array(depths)
