"""Dense test meshes in the unit cube, colours that are known everywhere, and a reader of what was exported."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from skimage.measure import marching_cubes

from sam3d_bento.arrays import Float32, Int32, UInt8
from sam3d_bento.export.mesh.surface import Surface
from sam3d_bento.reconstruction import Reconstruction

Mesh = tuple[Float32, Int32]
Floats = npt.NDArray[np.floating[Any]]


def sphere(rings: int, radius: float = 0.45, centre: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    """A closed sphere of 4 * rings * (rings - 1) faces."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1, None]
    around = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)[None, :]
    body = np.stack(np.broadcast_arrays(np.sin(polar) * np.cos(around), np.cos(polar), -np.sin(polar) * np.sin(around)))
    vertices = np.vstack([body.reshape(3, -1).T, [[0, 1, 0], [0, -1, 0]]]) * radius + centre

    row, column = np.indices((rings - 2, 2 * rings))
    corner = row * 2 * rings + column
    following = row * 2 * rings + (column + 1) % (2 * rings)
    quads = [[corner, corner + 2 * rings, following + 2 * rings], [corner, following + 2 * rings, following]]
    faces = [np.stack(triangle, axis=-1).reshape(-1, 3) for triangle in quads]
    first, second = np.arange(2 * rings), (np.arange(2 * rings) + 1) % (2 * rings)
    bottom, last_row = len(vertices) - 1, (rings - 2) * 2 * rings
    faces += [np.stack([np.full_like(first, bottom - 1), first, second], axis=1)]
    faces += [np.stack([np.full_like(first, bottom), last_row + second, last_row + first], axis=1)]
    return vertices.astype(np.float32), np.concatenate(faces).astype(np.int32)


def grid_faces(side: int) -> Int32:
    """The faces of a sheet of side * side vertices, row after row."""
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    halves = [[corner, corner + 1, corner + side], [corner + 1, corner + side + 1, corner + side]]
    return np.concatenate([np.stack(half, axis=1) for half in halves]).astype(np.int32)


def blob(resolution: int, seed: int = 0) -> Mesh:
    """A closed surface with bumps and several balls grown together; about 3 * resolution**2 faces."""
    random = np.random.default_rng(seed)
    axis = np.linspace(-0.55, 0.55, resolution)
    x, y, z = axis[:, None, None], axis[None, :, None], axis[None, None, :]
    field = np.full((resolution,) * 3, np.inf)
    for _ in range(7):
        (cx, cy, cz), (rx, ry, rz) = random.uniform(-0.2, 0.2, 3), random.uniform(0.1, 0.2, 3)
        ball = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2) - 1
        field = np.minimum(field, ball * min(rx, ry, rz))
    field += 0.004 * np.sin(60 * x + seed) * np.sin(55 * y) * np.sin(50 * z)
    vertices, faces, _, _ = marching_cubes(field, 0)
    return (vertices * (axis[1] - axis[0]) - 0.55).astype(np.float32), faces.astype(np.int32)


def joined(*meshes: Mesh) -> Mesh:
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in meshes)])
    faces = [faces + offset for (_, faces), offset in zip(meshes, offsets, strict=False)]
    return np.concatenate([vertices for vertices, _ in meshes]), np.concatenate(faces).astype(np.int32)


def soup(count: int, size: float) -> Mesh:
    """Triangles that touch nowhere, spread over the cube."""
    random = np.random.default_rng(0)
    corners = random.uniform(-0.4, 0.4, (count, 1, 3)) + random.normal(size=(count, 3, 3)) * size
    return corners.reshape(-1, 3).astype(np.float32), np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def tangle(count: int, vertices: int) -> Mesh:
    """Triangles between any vertices: most edges have many faces."""
    random = np.random.default_rng(0)
    faces = np.array([random.choice(vertices, 3, replace=False) for _ in range(count)], dtype=np.int32)
    return random.uniform(-0.5, 0.5, (vertices, 3)).astype(np.float32), faces


def colour_at(points: Floats) -> Floats:
    """(N, 3) sRGB 0..255: smooth, never dark, different everywhere."""
    return 130 + 100 * np.sin(points * [6, 5, 7] + [1, 0, 2])


def painted(mesh: Mesh) -> Reconstruction:
    vertices, faces = mesh
    return Reconstruction(vertices, faces, np.rint(colour_at(vertices)).astype(np.uint8))


def surface(vertices: Float32, faces: Int32) -> Surface:
    """A mesh of one colour."""
    return Surface(vertices, faces, np.zeros(vertices.shape, np.uint8))


def unbalanced_edges(faces: Int32) -> int:
    """How many edges do not have as many faces on one side as on the other: none where a surface is closed."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    _, edge = np.unique(np.sort(edges, axis=1) @ [1 << 32, 1], return_inverse=True)
    return int((np.bincount(edge, np.where(edges[:, 0] < edges[:, 1], 1, -1)) != 0).sum())


def sampled(texture: UInt8, uv: Floats) -> Floats:
    """(N, 3) what a bilinear sampler that clamps returns; (0, 0) is the image's top left."""
    size = len(texture)
    place = (uv * size - 0.5).clip(0, size - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, size - 1)
    right, down = (place - low).T[:, :, None]
    pixels = texture.astype(float)
    above = pixels[low[:, 1], low[:, 0]] * (1 - right) + pixels[low[:, 1], high[:, 0]] * right
    below = pixels[high[:, 1], low[:, 0]] * (1 - right) + pixels[high[:, 1], high[:, 0]] * right
    return above * (1 - down) + below * down


@dataclass(frozen=True)
class Model:
    """A GLB as trimesh reads it; uv with (0, 0) at the image's top left."""

    mesh: trimesh.Trimesh
    uv: Floats
    texture: UInt8

    def surface_points(self, count: int) -> tuple[Floats, Floats]:
        """Random points, evenly spread over the surface: places (N, 3) and texture coordinates (N, 2)."""
        random = np.random.default_rng(0)
        face = random.choice(len(self.mesh.faces), count, p=self.mesh.area_faces / self.mesh.area)
        weights = random.dirichlet([1, 1, 1], count)[:, :, None]
        corners = self.mesh.faces[face]
        return (self.mesh.vertices[corners] * weights).sum(axis=1), (self.uv[corners] * weights).sum(axis=1)


def document(glb: bytes) -> dict[str, Any]:
    """The JSON chunk."""
    (length,) = struct.unpack_from("<I", glb, 12)
    return json.loads(glb[20 : 20 + length])


def read(glb: bytes) -> Model:
    (mesh,) = trimesh.load_scene(io.BytesIO(glb), file_type="glb", process=False).geometry.values()
    uv = np.array(mesh.visual.uv)
    uv[:, 1] = 1 - uv[:, 1]  # trimesh counts from the bottom
    return Model(mesh, uv, np.asarray(mesh.visual.material.baseColorTexture))
