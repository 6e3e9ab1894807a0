"""The dense surface as a place to look colours up."""

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

# How far from a point its surface may be, as a share of the dense surface's extent.
REACH = 0.02

# Within this share of the extent above and below a point, a quarter of SAM 3D's voxels, its surface mostly is; and no
# two sheets that look the same way, one of which would hide the other from a ray from above.
CLOSE = 1e-3

# Rays start this share of the extent behind their point, lest they miss a surface that runs through it.
STEP_BACK = 1e-5

# A hit counts when its face looks the way the point's normal does: cosine of the angle between them.
AGREEMENT = 0.3

# To the 26 neighbours of a cell in a grid: where the line along the normal meets nothing, the nearest of what these
# meet is at most a tenth farther away than the nearest point.
AROUND = unit(np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)], dtype=np.float32))


class MeshSource:
    """Colours of a dense surface at points close to it."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._colours = surface.colours.astype(np.float32)
        self._extent = extent(surface.vertices)

    def colours(self, points: Float32, normals: Float32) -> Float32:
        """(N, 3) sRGB 0..255, interpolated where the line along the normal meets the surface, else at a point nearby.

        points and normals: (N, 3) float32, normals of length 1.
        """
        met = self._close(points, normals)
        for ways in (self._along, self._nearby):
            if len(missed := met.missed()):
                met.replace(missed, ways(points.take(missed, axis=0), normals.take(missed, axis=0)))
        return self._interpolated(met)

    def nearby(self, points: Float32) -> tuple[Float32, Float32, Float32]:
        """Of the surface at about the nearest point to each point (N, 3): colour (N, 3) sRGB 0..255, unit normal (N, 3)
        and distance (N,), the reach where there is none within it."""
        met = self._met(points, AROUND)
        normals = unit(area_vectors(self._surface.vertices, self._surface.faces[met.face]))
        return self._interpolated(met), normals, met.distance

    def _close(self, points: Float32, normals: Float32) -> Met:
        """What one ray meets, from CLOSE above the point through it to CLOSE below, if that looks the right way."""
        close = np.float32(CLOSE * self._extent)
        reach = np.full(len(points), 2 * close, np.float32)
        hits = self._surface.rays.cast(points + close * normals, -normals, reach)
        right = (hits.face != NOWHERE) & _agree(hits.normal, normals)
        return Met(np.where(right, hits.face, np.int32(NOWHERE)), hits.u, hits.v, np.abs(hits.distance - close))

    def _along(self, points: Float32, normals: Float32) -> Met:
        """What is nearest of what the line along the normal meets, of the faces that look the right way."""
        return self._met(points, [normals, -normals], normals)

    def _met(self, points: Float32, ways: Iterable[Float32], normals: Float32 | None = None) -> Met:
        """What is nearest of all that is met in these directions, each (N, 3) or (3,). With normals (N, 3), only faces
        count that look their way."""
        best = Met.nothing(len(points), REACH * self._extent)
        for way in ways:
            directions = np.broadcast_to(way, points.shape)
            origins = points - directions * np.float32(STEP_BACK * self._extent)
            hits = self._surface.rays.cast(origins, directions, best.distance)
            closer = hits.face != NOWHERE
            if normals is not None:
                closer &= _agree(hits.normal, normals)
            best.take_over(hits, closer)
        return best

    def _nearby(self, points: Float32, normals: Float32) -> Met:
        """The nearest face that looks the right way; else the nearest; else one at the nearest vertex."""
        met = self._met(points, AROUND, normals)
        if len(turned := met.missed()):
            met.replace(turned, self._met(points[turned], AROUND))
        if len(far := met.missed()):
            tree, corner = self._vertices
            _, vertex = tree.query(points[far])
            met.face[far] = corner[vertex] // 3
            met.u[far], met.v[far] = corner[vertex] % 3 == 1, corner[vertex] % 3 == 2
        return met

    def _interpolated(self, met: Met) -> Float32:
        # A hit on an edge may have a weight a hair below nothing.
        weights = np.stack([1 - met.u - met.v, met.u, met.v], axis=1)
        return mix(weights, self._colours, self._surface.faces.take(met.face, axis=0)).clip(0, 255)

    @cached_property
    def _vertices(self) -> tuple[cKDTree, Indices]:
        """The vertices that faces use, and for each of them a corner of a face, as 3 * face + corner."""
        vertex, corner = np.unique(self._surface.faces, return_index=True)
        return cKDTree(self._surface.vertices[vertex], balanced_tree=False, compact_nodes=False), corner


def _agree(outward: Float32, normals: Float32) -> Bool:
    """(N,) whether a face's normal (N, 3), of any length, looks the way that the unit normals (N, 3) do."""
    agree: Bool = np.einsum("ij,ij->i", outward, normals) > AGREEMENT * lengths(outward)
    return agree


@dataclass
class Met:
    """Where rays met the surface: face (N,), or NOWHERE; u, v (N,): the weights of its second and third corner;
    distance (N,), or the reach."""

    face: Int32
    u: Float32
    v: Float32
    distance: Float32

    @classmethod
    def nothing(cls, count: int, reach: float) -> Met:
        """Rays before anything is met."""
        u, v = np.zeros((2, count), dtype=np.float32)
        return cls(np.full(count, NOWHERE, np.int32), u, v, np.full(count, reach, np.float32))

    def take_over(self, hits: Hits, where: Bool) -> None:
        """What rays have met, where it counts."""
        for mine, found in ((self.face, hits.face), (self.u, hits.u), (self.v, hits.v), (self.distance, hits.distance)):
            np.copyto(mine, found, where=where)

    def missed(self) -> Indices:
        """Which rays met nothing."""
        return np.flatnonzero(self.face == NOWHERE)

    def replace(self, which: Indices, other: Met) -> None:
        """Take over what another has for these rays."""
        self.face[which], self.u[which], self.v[which] = other.face, other.u, other.v
        self.distance[which] = other.distance
