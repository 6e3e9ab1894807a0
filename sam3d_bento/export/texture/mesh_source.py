"""Look up colours on the dense surface."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial import cKDTree

from sam3d_bento.arrays import Bool, Float32, Indices, Int32
from sam3d_bento.export.mesh.surface import Surface, area_vectors, extent, lengths, mix, unit
from sam3d_bento.export.rays import NOWHERE, Hits

# Longest distance from a point to the surface at which it is sought, as a share of the dense surface's extent.
REACH = 0.02

# Half the length of the short ray that is cast first, above and below a point, as a share of the extent: a quarter of
# SAM 3D's voxels. The surface mostly is this close. Two sheets that look the same way are farther apart, so that
# neither hides the other from a ray from above.
CLOSE_REACH = 1e-3

# Rays start this share of the extent behind their point, so that they do not miss a surface that passes through it.
STEP_BACK = 1e-5

# Least cosine between a face's normal and the point's normal at which a hit counts.
MIN_AGREEMENT = 0.3

# Directions (26, 3) to the 26 neighbours of a cell in a grid. The nearest surface that these meet is at most a tenth
# farther away than the nearest point.
NEIGHBOUR_DIRECTIONS = unit(
    np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)], dtype=np.float32)
)

# Those of them (14, 3) along the axes and the space diagonals: enough for points very close to the surface.
FEW_DIRECTIONS = NEIGHBOUR_DIRECTIONS[np.count_nonzero(NEIGHBOUR_DIRECTIONS, axis=1) != 2]


class MeshSource:
    """Colours of a dense surface at points close to it."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._colours = surface.colours.astype(np.float32)
        self._extent = extent(surface.vertices)

    def colours(self, points: Float32, normals: Float32, hits: NearestHits | None = None) -> Float32:
        """Look up colours (N, 3) float32 sRGB 0..255 where `find` finds the surface.

        points and normals: (N, 3) float32, normals of length 1. hits: of these points, if they are known. Colours are
        interpolated between the corners of a face.
        """
        return self._interpolate(self.find(points, normals) if hits is None else hits)

    def find(self, points: Float32, normals: Float32) -> NearestHits:
        """Find where the line along the normal (N, 3) through each point (N, 3) meets the surface, else nearby."""
        hits = self._hit_close(points, normals)
        for hit in (self._hit_along_normal, self._hit_nearby):
            if len(missed := hits.find_missed()):
                hits.replace(missed, hit(points.take(missed, axis=0), normals.take(missed, axis=0)))
        return hits

    def normals(self, hits: NearestHits) -> Float32:
        """Return the surface's unit normals (N, 3) at hits, interpolated between the corners of a face."""
        return unit(mix(hits.weights, self._surface.normals, self._surface.faces.take(hits.face, axis=0)))

    def look_up_nearest(self, points: Float32) -> tuple[Float32, Float32, Float32]:
        """Look up the surface at about the nearest place to each point (N, 3).

        Returns its colour (N, 3) sRGB 0..255, its unit normal (N, 3) and its distance (N,). The distance is REACH
        times the extent where no surface is nearer.
        """
        hits = self._hit_nearest(points, FEW_DIRECTIONS)
        normals = unit(area_vectors(self._surface.vertices, self._surface.faces[hits.face]))
        return self._interpolate(hits), normals, hits.distance

    def _hit_close(self, points: Float32, normals: Float32) -> NearestHits:
        """Find what one short ray through each point meets, from above the point to below it.

        A face that looks another way than the point does not count.
        """
        close = np.float32(CLOSE_REACH * self._extent)
        reach = np.full(len(points), 2 * close, np.float32)
        hits = self._surface.rays.cast(points + close * normals, -normals, reach)
        right = (hits.face != NOWHERE) & _look_same_way(hits.normal, normals)
        return NearestHits(np.where(right, hits.face, np.int32(NOWHERE)), hits.u, hits.v, np.abs(hits.distance - close))

    def _hit_along_normal(self, points: Float32, normals: Float32) -> NearestHits:
        """Find the nearest face that the line along the normal meets, among those that look the same way."""
        return self._hit_nearest(points, [normals, -normals], normals)

    def _hit_nearest(
        self, points: Float32, directions: Iterable[Float32], normals: Float32 | None = None
    ) -> NearestHits:
        """Find the nearest hit in any of the directions, each (N, 3) or (3,).

        With normals (N, 3), only faces that look their way count.
        """
        best = NearestHits.empty(len(points), REACH * self._extent)
        for direction in directions:
            towards = np.broadcast_to(direction, points.shape)
            origins = points - towards * np.float32(STEP_BACK * self._extent)
            hits = self._surface.rays.cast(origins, towards, best.distance)
            closer = hits.face != NOWHERE
            if normals is not None:
                closer &= _look_same_way(hits.normal, normals)
            best.take_where(hits, closer)
        return best

    def _hit_nearby(self, points: Float32, normals: Float32) -> NearestHits:
        """Find the nearest face that looks the same way; else the nearest face; else one at the nearest vertex."""
        hits = self._hit_nearest(points, NEIGHBOUR_DIRECTIONS, normals)
        if len(turned := hits.find_missed()):
            hits.replace(turned, self._hit_nearest(points[turned], NEIGHBOUR_DIRECTIONS))
        if len(far := hits.find_missed()):
            tree, corner = self._vertices
            _, vertex = tree.query(points[far])
            hits.face[far] = corner[vertex] // 3
            hits.u[far], hits.v[far] = corner[vertex] % 3 == 1, corner[vertex] % 3 == 2
        return hits

    def _interpolate(self, hits: NearestHits) -> Float32:
        """Interpolate colours (N, 3) at the hits."""
        # A hit on an edge may have a weight slightly below zero.
        return mix(hits.weights, self._colours, self._surface.faces.take(hits.face, axis=0)).clip(0, 255)

    @cached_property
    def _vertices(self) -> tuple[cKDTree, Indices]:
        """Vertices that faces use, as a tree, and for each of them a corner of a face: 3 * face + corner."""
        vertex, corner = np.unique(self._surface.faces, return_index=True)
        return cKDTree(self._surface.vertices[vertex], balanced_tree=False, compact_nodes=False), corner


def _look_same_way(outward: Float32, normals: Float32) -> Bool:
    """Test whether faces with normals (N, 3), of any length, look the same way as unit normals (N, 3); (N,) bool."""
    agree: Bool = np.einsum("ij,ij->i", outward, normals) > MIN_AGREEMENT * lengths(outward)
    return agree


@dataclass
class NearestHits:
    """Nearest hits of rays on the surface.

    face (N,) int32: the face hit, or NOWHERE.
    u, v (N,) float32: the barycentric weights of its second and third corner.
    distance (N,) float32: in scene units; the reach where nothing was hit.
    """

    face: Int32
    u: Float32
    v: Float32
    distance: Float32

    @property
    def weights(self) -> Float32:
        """The barycentric weights (N, 3) of the face's corners."""
        return np.stack([1 - self.u - self.v, self.u, self.v], axis=1)

    @classmethod
    def empty(cls, count: int, reach: float) -> NearestHits:
        """Make hits for rays that have met nothing so far."""
        u, v = np.zeros((2, count), dtype=np.float32)
        return cls(np.full(count, NOWHERE, np.int32), u, v, np.full(count, reach, np.float32))

    def take_where(self, hits: Hits, where: Bool) -> None:
        """Replace these hits by others where (N,) is true."""
        for own, found in ((self.face, hits.face), (self.u, hits.u), (self.v, hits.v), (self.distance, hits.distance)):
            np.copyto(own, found, where=where)

    def find_missed(self) -> Indices:
        """Return the indices of the rays that met nothing."""
        return np.flatnonzero(self.face == NOWHERE)

    def replace(self, which: Indices, other: NearestHits) -> None:
        """Replace the hits of the rays `which` by those of `other`."""
        self.face[which], self.u[which], self.v[which] = other.face, other.u, other.v
        self.distance[which] = other.distance
