"""Measure how far a simplified mesh deviates from the dense surface that it was made from."""

from __future__ import annotations

import itertools
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from sam3d_bento.arrays import Bool, Float32, Floats, Int32
from sam3d_bento.export.mesh.surface import Surface, area_vectors, extent, lengths, mix, referenced, unit
from sam3d_bento.export.rays import NOWHERE, Rays

# Points of each surface that are measured: half of them at vertices, which thin parts and tips have too, half spread
# over the area, which is where a coarse mesh cuts corners. Another sample gives a maximum that is 5 % different.
POINTS = 20_000

# Directions (26, 3) to the neighbours of a cell in a grid: evenly distributed, and the same for every point.
DIRECTIONS = unit(np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)], dtype=np.float32))

CLEARANCE = 1e-4  # distance of a ray's start from the surface, as a share of the extent, when it is to escape
STEP_BACK = 1e-5  # share of the extent by which a ray starts behind its point, so that it meets a surface there


class DeviationGauge:
    """Dense surface from which the deviation of several meshes is measured.

    Only what can be seen of the dense surface counts, because what nobody can see is left out of the meshes on purpose.
    """

    def __init__(self, dense: Surface) -> None:
        self._dense = dense
        self._extent = extent(dense.vertices)

    def measure(self, vertices: Float32, faces: Int32) -> float:
        """Return the largest distance between mesh and dense surface, as a share of the latter's longest side.

        vertices (V, 3) float32, faces (F, 3) int32. Distances are measured both ways, from sampled points to the
        nearest of what rays in a few directions meet. This overstates them, by a tenth at most where the surfaces are
        smooth. Equal meshes give equal numbers.
        """
        points, normals = self._seen
        lost = _distances(points, normals, Rays(vertices, faces), cKDTree(vertices), self._extent)
        added = _distances(*_sample(vertices, faces), self._dense.rays, self._tree, self._extent)
        return float(max(lost.max(), added.max())) / self._extent

    @cached_property
    def _seen(self) -> tuple[Float32, Float32]:
        """Points (N, 3) of the dense surface that can be seen from outside, with its unit normals (N, 3) there."""
        points, normals = _sample(self._dense.vertices, self._dense.faces)
        seen = np.zeros(len(points), dtype=bool)
        for direction in DIRECTIONS:
            rest = np.flatnonzero(~seen)
            seen[rest] = self._escape(points.take(rest, axis=0), direction)
        if not seen.any():
            return points, normals
        return points.compress(seen, axis=0), normals.compress(seen, axis=0)

    def _escape(self, points: Float32, direction: Float32) -> Bool:
        """Return (N,) bool: whether a ray from each point meets nothing of the dense surface."""
        origins = points + np.float32(CLEARANCE * self._extent) * direction
        ways = np.ascontiguousarray(np.broadcast_to(direction, points.shape))
        met: Bool = self._dense.rays.faces_met(origins, ways) == NOWHERE
        return met

    @cached_property
    def _tree(self) -> cKDTree:
        """Build a search tree of the vertices that faces of the dense surface use."""
        used, _ = referenced(len(self._dense.vertices), self._dense.faces)
        return cKDTree(self._dense.vertices.take(used, axis=0), balanced_tree=False, compact_nodes=False)


def _sample(vertices: Float32, faces: Int32) -> tuple[Float32, Float32]:
    """Return points (N, 3) of a mesh, at most POINTS, and the unit normals (N, 3) of their faces; always the same."""
    random = np.random.default_rng(0)
    vectors = area_vectors(vertices, faces)
    areas = np.cumsum(lengths(vectors))
    spread = np.searchsorted(areas, random.random(POINTS // 2) * areas[-1], side="right").clip(0, len(faces) - 1)
    weights = random.dirichlet((1, 1, 1), len(spread)).astype(np.float32)
    corners = np.unique(faces.ravel(), return_index=True)[1]
    corners = corners[:: -(-len(corners) // (POINTS // 2))]
    points = np.concatenate(
        [mix(weights, vertices, faces.take(spread, axis=0)), vertices.take(faces.ravel().take(corners), axis=0)]
    )
    return points, unit(vectors.take(np.concatenate([spread, corners // 3]), axis=0))


def _distances(points: Float32, normals: Float32, rays: Rays, tree: cKDTree, size: float) -> Floats:
    """Return about how far (N,) it is from points (N, 3), with unit normals (N, 3), to the nearest place of a mesh.

    rays, tree: to cast rays at the mesh, and its vertices. size: length that a ray's step back is a share of. No
    distance is understated.
    """
    step = np.float32(STEP_BACK * size)
    nearest: Float32 = tree.query(points, workers=-1)[0].astype(np.float32)
    for direction in (normals, -normals, *DIRECTIONS):
        ways = np.ascontiguousarray(np.broadcast_to(direction, points.shape))
        hits = rays.cast((points - step * ways).astype(np.float32), ways, nearest + step)
        np.copyto(nearest, np.minimum(nearest, np.abs(hits.distance - step)), where=hits.face != NOWHERE)
    return nearest
