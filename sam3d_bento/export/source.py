"""The dense surface as a place to look colours up."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from scipy.spatial import KDTree

from sam3d_bento.export.surface import Surface, mix
from sam3d_bento.reconstruction import Float32, UInt8

# How far from a point its surface may be, as a share of the dense surface's extent.
REACH = 0.02

# Rays start this share of the extent behind their point, lest they miss a surface that runs through it.
STEP_BACK = 1e-5

# A hit counts when its face looks the way the point's normal does: cosine of the angle between them.
AGREEMENT = 0.3


class ColourSource:
    """Colours of a dense surface at points close to it."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._extent = float(np.ptp(surface.vertices, axis=0).max())
        self._scene = EmbreeScene(robust=True)
        TriangleMesh(self._scene, surface.vertices, surface.faces)

    def colours(self, points: Float32, normals: Float32) -> UInt8:
        """(N, 3) sRGB: interpolated where the line along the normal meets the surface, else of the nearest vertex.

        points and normals: (N, 3) float32, normals of length 1.
        """
        back = normals * np.float32(STEP_BACK * self._extent)
        origins = np.concatenate([points - back, points + back])
        directions = np.concatenate([normals, -normals])
        hits = self._scene.run(origins, directions, dists=REACH * self._extent, output=True)

        cosine = np.einsum("ij,ij->i", hits["Ng"], np.concatenate([normals, normals]))
        agrees = (hits["primID"] >= 0) & (cosine > AGREEMENT * np.linalg.norm(hits["Ng"], axis=1))
        distance = np.where(agrees, hits["tfar"], np.inf).reshape(2, -1)
        ray = distance.argmin(axis=0) * len(points) + np.arange(len(points))
        found = agrees[ray]

        colours = np.empty((len(points), 3), dtype=np.uint8)
        corners = self._surface.faces[hits["primID"][ray[found]]]
        u, v = hits["u"][ray[found]], hits["v"][ray[found]]
        weights = np.stack([1 - u - v, u, v], axis=1)
        mixed = mix(weights, self._surface.colours, corners)
        colours[found] = np.rint(mixed.clip(0, 255)).astype(np.uint8)
        if not found.all():
            _, nearest = self._vertices.query(points[~found])
            colours[~found] = self._surface.colours[nearest]
        return colours

    @cached_property
    def _vertices(self) -> KDTree:
        return KDTree(self._surface.vertices)
