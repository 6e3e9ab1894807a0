"""Pictures and silhouettes of meshes, ray-cast with Embree: the camera of benchmarks/preview.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.export.rays import NOWHERE, Rays

Array = npt.NDArray[Any]

# The colour at N hits: (N,) faces, (N, 3) barycentric weights, (N, 3) points -> (N, 3) sRGB 0..255.
ColourAt = Callable[[Array, Array, Array], Array]

BACKGROUND = 245.0


class Scene:
    """A mesh to be looked at. vertices (V, 3) and faces (F, 3) in any frame and unit."""

    def __init__(self, vertices: Array, faces: Array) -> None:
        self.vertices = np.ascontiguousarray(vertices, np.float32)
        self.faces = np.ascontiguousarray(faces, np.int32)
        self._rays = Rays(self.vertices, self.faces)

    def hits(self, origins: Array, directions: Array) -> tuple[Array, Array, Array, Array]:
        """Ray indices (N,), faces (N,), barycentric weights (N, 3) and points (N, 3) of the rays that hit."""
        directions = np.ascontiguousarray(directions, np.float32)
        origins = np.ascontiguousarray(np.broadcast_to(origins, directions.shape), np.float32)
        found = self._rays.cast(origins, directions)
        ray = np.flatnonzero(found.face != NOWHERE)
        u, v = found.u[ray], found.v[ray]
        points = origins[ray] + found.distance[ray, None] * directions[ray]
        return ray, found.face[ray], np.stack([1 - u - v, u, v], 1), points

    def picture(
        self, colour_at: ColourAt, axes: Array, eye: Array, focal_length: float, size: int, samples: int = 2
    ) -> tuple[Array, Array]:
        """What a pinhole camera at `eye` sees, whose x, y (up) and z (backward) are the columns of `axes`.

        focal_length in pixels, the principal point in the middle. Returns (size, size, 3) float sRGB over BACKGROUND
        and the share (size, size) of each pixel that the mesh covers.
        """
        place = ((np.arange(size * samples) + 0.5) / samples - size / 2) / focal_length
        x, y = np.meshgrid(place, -place)
        directions = np.stack([x, y, -np.ones_like(x)], -1).reshape(-1, 3) @ axes.T
        ray, face, weights, points = self.hits(eye, directions)
        colours, covered = np.full((len(directions), 3), BACKGROUND), np.zeros(len(directions))
        if len(ray):
            colours[ray], covered[ray] = colour_at(face, weights, points), 1
        shape = (size, samples, size, samples)
        return colours.reshape(*shape, 3).mean((1, 3)), covered.reshape(shape).mean((1, 3))


def visual_hull(scene: Scene, low: Array, step: float, cells: int) -> Array:
    """Which cells (C, C, C) of a grid lie within all 13 silhouettes of the mesh, taken without perspective."""
    axis = np.arange(cells) + 0.5
    centres = low + step * np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    middle = low + step * cells / 2
    kept = np.ones(len(centres), bool)
    radius, count = step * cells * 0.87, 2 * cells
    for direction in np.array([d for d in np.ndindex(3, 3, 3) if d > (1, 1, 1)]) - 1:
        along = direction / np.linalg.norm(direction)
        across = np.cross(along, [0.0, 1.0, 0.0] if abs(along[1]) < 0.9 else [1.0, 0.0, 0.0])
        across /= np.linalg.norm(across)
        plane = np.stack([across, np.cross(along, across)])
        place = ((np.arange(count) + 0.5) / count * 2 - 1) * radius
        starts = (
            (np.stack(np.meshgrid(place, place, indexing="ij"), -1).reshape(-1, 2) @ plane)
            + middle
            - 3 * radius * along
        )
        seen = np.zeros(count * count, bool)
        seen[scene.hits(starts, np.broadcast_to(along, starts.shape))[0]] = True
        index = np.clip(((centres - middle) @ plane.T / radius + 1) / 2 * count, 0, count - 1).astype(int)
        kept &= seen[index[:, 0] * count + index[:, 1]]
    return kept
