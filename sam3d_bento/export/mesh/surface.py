"""Hold a triangle surface, and compute the sums that several steps of the export need."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32, UInt8
from sam3d_bento.export.parallel import in_order
from sam3d_bento.export.rays import Rays

Number = TypeVar("Number", bound=np.generic)

AT_A_TIME = 1 << 15  # faces that are processed at a time, so that intermediate values stay in the processor's cache
IN_A_THREAD = AT_A_TIME << 4  # faces that a thread processes, so that to start it does not count


@dataclass(frozen=True)
class Surface:
    """Coloured triangle mesh.

    vertices (V, 3) float32; faces (F, 3) int32, counter-clockwise from outside; colours (V, 3) uint8 sRGB.
    """

    vertices: Float32
    faces: Int32
    colours: UInt8

    @cached_property
    def rays(self) -> Rays:
        """Return an object to cast rays at the faces.

        It is made once, because that takes longer than most casts. Two threads may read it at the same time: Python
        3.11 locks a cached property while it is computed, which later versions do not.
        """
        return Rays(self.vertices, self.faces)

    @cached_property
    def normals(self) -> Float32:
        """Return the unit normals (V, 3) of the vertices, as of `vertex_normals`. Made once, as the rays are."""
        return vertex_normals(self.vertices, self.faces)


def area_vectors(vertices: Float32, faces: Int32) -> Floats:
    """Return the outward normal (F, 3) of each face, with the face's area as its length."""
    exact = vertices.astype(np.float64)
    vectors = np.empty((len(faces), 3))

    def fill(first: int) -> None:
        for begin in range(first, min(first + IN_A_THREAD, len(faces)), AT_A_TIME):
            some, their = faces[begin : begin + AT_A_TIME], vectors[begin : begin + AT_A_TIME]
            start = exact.take(some[:, 0], axis=0)
            ax, ay, az = (exact.take(some[:, 1], axis=0) - start).T
            bx, by, bz = (exact.take(some[:, 2], axis=0) - start).T
            their[:, 0] = ay * bz - az * by  # numpy.cross takes six times as long
            their[:, 1] = az * bx - ax * bz
            their[:, 2] = ax * by - ay * bx
            their /= 2

    for _ in in_order(fill, range(0, len(faces), IN_A_THREAD)):
        pass
    return vectors


def face_areas(vertices: Float32, faces: Int32) -> Floats:
    """Return the areas (F,) in squared scene units."""
    return lengths(area_vectors(vertices, faces))


def lengths(vectors: Floats) -> Floats:
    """Return the lengths (N,) of vectors (N, K)."""
    norms: Floats = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return norms


def median_edge(vertices: Float32, faces: Int32) -> float:
    """Return the median length of the first edges of all faces (F, 3)."""
    start, end = (vertices.take(faces[:, side], axis=0) for side in range(2))
    return float(np.median(lengths(end - start)))


def bounds(points: Float32) -> tuple[Float32, Float32]:
    """Return the least (3,) and the greatest (3,) coordinates of points (N, 3)."""
    low, high = ([bound(column) for column in points.T] for bound in (np.min, np.max))  # 20 times as fast as axis=0
    return np.array(low, dtype=points.dtype), np.array(high, dtype=points.dtype)


def extent(points: Float32) -> float:
    """Return the longest edge of the bounding box of points (N, 3)."""
    low, high = bounds(points)
    return float((high - low).max())


def chosen(rows: npt.NDArray[Number], where: Bool) -> npt.NDArray[Number]:
    """Return the rows (N, ...) where `where` (N,) is true; return `rows` itself if it is true everywhere."""
    return rows if where.all() else rows.compress(where, axis=0)  # rows[where] takes four times as long


def unit(vectors: Floats) -> Float32:
    """Scale vectors (N, 3) to length 1; a vector too short to have a direction becomes +y."""
    length = lengths(vectors)
    short = ~(length > 1e-30)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (vectors / length[:, None]).astype(np.float32)
    if short.any():
        scaled[short] = (0, 1, 0)
    return scaled


def mix(weights: Float32, values: npt.NDArray[Any], corners: Int32) -> Float32:
    """Interpolate values (V, K) at the corners (N, 3) with weights (N, 3); return (N, K) float32.

    The result is the sum of the corners' values, each multiplied by its weight.
    """
    mixed = np.zeros((len(corners), values.shape[1]), dtype=np.float32)
    for corner in range(3):  # one einsum over all three converts bytes one by one, and takes four times as long
        mixed += weights[:, corner, None] * values.take(corners[:, corner], axis=0)
    return mixed


def vertex_normals(vertices: Float32, faces: Int32) -> Float32:
    """Return unit normals (V, 3): the mean over the faces at a vertex, weighted by area times the angle at the vertex.

    The angle makes the result independent of the number of triangles that a side is divided into at the vertex. The
    area lets large flat faces stay flat beside the small faces of a rounded edge.
    """
    normals = area_vectors(vertices, faces)
    twice_area = 2 * lengths(normals)
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        at, following, preceding = (
            vertices.take(faces[:, (corner + step) % 3], axis=0).astype(np.float64) for step in range(3)
        )
        # Accurate for slivers, for which arccos is not. Both arguments have the product of the two edges' lengths as a
        # factor.
        angle = np.arctan2(twice_area, np.einsum("ij,ij->i", following - at, preceding - at))
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, corner], angle * normals[:, axis], minlength=len(vertices))
    return unit(total)


def referenced(count: int, faces: Int32) -> tuple[Indices, Int32]:
    """Return which of `count` vertices the faces use, in ascending order, and the faces renumbered to them."""
    used = np.zeros(count, dtype=bool)
    used[faces] = True
    if used.all():
        return np.arange(count), faces
    renumber = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(used), renumber.take(faces)
