"""Tangents, beside those of MikkTSpace's own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.export.mesh.tangents import add_tangents
from sam3d_bento.export.uv.unwrap import unwrap
from tests.support.export_meshes import blob, sphere, tangle

Arrays = tuple[Float32, Float32, Float32, Int32]


def unwrapped(mesh: tuple[Float32, Int32]) -> Arrays:
    """A mesh as it is written: positions, normals, texture coordinates, faces."""
    vertices, faces = mesh
    found = unwrap(vertices, faces, 512)
    normals = vertex_normals(vertices, faces)
    return vertices[found.vertex_map], normals[found.vertex_map], found.uv, found.faces


def mirrored() -> Arrays:
    """A plane whose right half shows the left half's part of the texture, mirrored, without a seam."""
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 9), indexing="ij"))
    at = (np.arange(8)[:, None] * 9 + np.arange(8)).ravel()
    faces = np.concatenate([np.stack([at, at + 9, at + 1], 1), np.stack([at + 1, at + 9, at + 10], 1)])
    positions = np.stack([x, y, 0.2 * x * y], axis=1).astype(np.float32)
    uv = np.stack([1 - np.abs(x), (y + 1) / 2], axis=1).astype(np.float32)
    return positions, vertex_normals(positions, faces.astype(np.int32)), uv, faces.astype(np.int32)


MESHES = {
    "blob": lambda: unwrapped(blob(40)),
    "sphere": lambda: unwrapped(sphere(20)),
    "mirrored": mirrored,
}


@pytest.mark.parametrize("name", MESHES)
def test_tangents_are_those_of_mikktspace(name: str, node_tool: Callable[..., str], tmp_path: Path) -> None:
    positions, normals, uv, faces = MESHES[name]()
    found = add_tangents(positions, normals, uv, faces)
    corners = faces.ravel()
    upward = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)
    parts = [part[corners].astype(np.float32) for part in (positions, normals, upward)]
    (tmp_path / "mesh").write_bytes(b"".join(part.tobytes() for part in parts))
    expected = np.reshape(json.loads(node_tool("mikktspace", "tangents.mjs", str(tmp_path / "mesh"))), (-1, 4))
    ours = found.tangents[found.faces.ravel()]
    assert np.array_equal(found.vertex_map[found.faces.ravel()], corners)
    assert (ours[:, 3] == expected[:, 3]).all()
    cosines = np.einsum("ij,ij->i", ours[:, :3], expected[:, :3])
    assert np.degrees(np.arccos(cosines.clip(-1, 1))).max() < 0.1


def test_a_vertex_between_mirrored_halves_gets_a_tangent_for_each() -> None:
    positions, normals, uv, faces = mirrored()
    found = add_tangents(positions, normals, uv, faces)
    assert len(found.vertex_map) == len(positions) + 9, "those of the middle line are there twice"
    assert set(found.tangents[:, 3].tolist()) == {-1.0, 1.0}
    across = found.tangents[:, 0] * -np.sign(positions[found.vertex_map, 0])
    assert (across[positions[found.vertex_map, 0] != 0] > 0.9).all(), "u grows towards the middle"


def test_charts_without_mirroring_need_no_further_vertices() -> None:
    positions, normals, uv, faces = unwrapped(blob(60))
    found = add_tangents(positions, normals, uv, faces)
    assert len(found.vertex_map) <= 1.01 * len(positions)
    assert (found.tangents[:, 3] == 1).all()


@pytest.mark.parametrize("degenerate", ["a point", "no texture", "tangle"])
def test_whatever_the_mesh_each_tangent_is_a_unit_vector_across_the_normal(degenerate: str) -> None:
    vertices, faces = tangle(300, 60)
    uv = np.random.default_rng(1).random((len(vertices), 2)).astype(np.float32)
    if degenerate == "a point":
        vertices[:] = vertices[0]
    if degenerate == "no texture":
        uv[:] = 0.5
    normals = vertex_normals(vertices, faces)
    tangents = add_tangents(vertices, normals, uv, faces)
    assert np.isfinite(tangents.tangents).all()
    assert np.allclose(np.linalg.norm(tangents.tangents[:, :3], axis=1), 1, atol=1e-5)
    assert np.abs(np.einsum("ij,ij->i", tangents.tangents[:, :3], normals[tangents.vertex_map])).max() < 1e-4
