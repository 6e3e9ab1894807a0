"""A triangle surface and the few sums that several steps of the export need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.reconstruction import Float32, Int32, UInt8

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Surface:
    """A coloured mesh.

    vertices (V, 3) float32; faces (F, 3) int32, counter-clockwise from outside; colours (V, 3) uint8 sRGB.
    """

    vertices: Float32
    faces: Int32
    colours: UInt8


def area_vectors(vertices: Float32, faces: Int32) -> Floats:
    """(F, 3): each face's outward normal, as long as its area."""
    exact = vertices.astype(np.float64)
    a, b, c = (exact.take(faces[:, corner], axis=0) for corner in range(3))
    vectors: Floats = np.cross(b - a, c - a) / 2
    return vectors


def face_areas(vertices: Float32, faces: Int32) -> Floats:
    """(F,) in squared scene units."""
    areas: Floats = np.linalg.norm(area_vectors(vertices, faces), axis=1)
    return areas


def unit(vectors: Floats) -> Float32:
    """(N, 3) scaled to length 1; a vector too short to have a direction becomes +y."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(length > 1e-30, vectors / length, (0.0, 1.0, 0.0)).astype(np.float32)


def mix(weights: Float32, values: npt.NDArray[Any], corners: Int32) -> Float32:
    """(N, K) float32: the values (V, K) at the corners (N, 3), each times its weight (N, 3), added up."""
    mixed: Float32 = np.einsum("ij,ijk->ik", weights, values.take(corners, axis=0), dtype=np.float32)
    return mixed


def vertex_normals(vertices: Float32, faces: Int32) -> Float32:
    """(V, 3) unit normals: the mean of the faces around a vertex, weighted by area times the angle at the vertex.

    The angle makes up for how many triangles a side is cut into at the vertex; the area lets large flat
    faces stay flat beside the small ones of a rounded edge.
    """
    normals = area_vectors(vertices, faces)
    total = np.zeros((len(vertices), 3))
    for corner in range(3):
        at, following, preceding = (vertices[faces[:, (corner + step) % 3]].astype(np.float64) for step in range(3))
        angle = _angle(following - at, preceding - at)
        for axis in range(3):
            total[:, axis] += np.bincount(faces[:, corner], angle * normals[:, axis], minlength=len(vertices))
    return unit(total)


def _angle(a: Floats, b: Floats) -> Floats:
    """(N,) radians between the rows; arctan2 is exact for slivers, where arccos is not."""
    angle: Floats = np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), np.einsum("ij,ij->i", a, b))
    return angle


def referenced(count: int, faces: Int32) -> tuple[Indices, Int32]:
    """Which of `count` vertices the faces use, in order, and the faces renumbered to them."""
    used = np.zeros(count, dtype=bool)
    used[faces] = True
    renumber = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(used), renumber[faces]
