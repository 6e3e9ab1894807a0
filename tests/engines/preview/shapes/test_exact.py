"""Lathes and boxes are exact: rings are circles, and edges are straight, also in the file."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from sam3d_bento.arrays import Bool, Float32
from sam3d_bento.engines.preview.shapes.exact import build_box_sides, build_lathe_sides
from sam3d_bento.export import to_glb
from sam3d_bento.export.mesh.topology import is_watertight
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import ExactSurface, Reconstruction

VASE = [(0.3, -0.5), (0.5, -0.1), (0.2, 0.3), (0.35, 0.6)]
UPRIGHT = (np.eye(3), np.zeros(3), 1.0)


def in_file(result: Reconstruction) -> trimesh.Trimesh:
    """Return the mesh of the result's uncompressed GLB."""
    glb = to_glb(result, Options(texture_size=512, compress=False), {}).glb
    scene = trimesh.load(io.BytesIO(glb), file_type="glb", process=False)
    (mesh,) = scene.geometry.values()
    return mesh


def handle_vertices(surface: ExactSurface) -> Float32:
    """Return the vertices of the last of the closed pieces; those of a lathe come first."""
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    last = max(trimesh.graph.connected_components(mesh.edges, nodes=np.arange(len(mesh.vertices))), key=max)
    return surface.vertices[last]


def faces_outwards(surface: ExactSurface) -> Float32:
    """Return the cosine (F,) between each face and the mean of its corners' normals."""
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    assert mesh.volume > 0
    return np.einsum("fk,fk->f", mesh.face_normals, surface.normals[surface.faces].mean(1))


def test_a_box_has_six_flat_sides_that_close() -> None:
    surface = build_box_sides(np.array([2.0, 1.0, 3.0])).place(*UPRIGHT)
    assert is_watertight(surface.vertices, surface.faces)
    assert len(surface.faces) == 12
    np.testing.assert_allclose(faces_outwards(surface), 1, atol=1e-6)


def test_a_lathe_closes_and_its_normals_are_those_of_the_formula() -> None:
    heights = np.linspace(-1, 1, 200)
    surface = build_lathe_sides(np.sqrt(1.5 - heights**2), heights, (0, 199)).place(*UPRIGHT)
    assert is_watertight(surface.vertices, surface.faces)
    assert faces_outwards(surface).min() > 0.99
    x, y, z = surface.vertices.T
    side = np.abs(surface.normals[:, 1]) < 0.999
    ball = np.stack([x, y, z], 1)[side] / np.sqrt(1.5)
    np.testing.assert_allclose(surface.normals[side], ball, atol=4e-3)


@pytest.mark.slow
def test_every_ring_of_a_lathe_is_a_circle_in_the_file(
    reconstruct: Callable[..., Reconstruction], seen_circles: Callable[..., Bool]
) -> None:
    mesh = in_file(reconstruct(seen_circles(VASE, 20)))
    x, y, z = mesh.vertices.T
    radius, turn = np.hypot(x, z), np.arctan2(x, z)
    levels, ring = np.unique(np.round(y, 6), return_inverse=True)
    outer = radius > 1e-4
    for level in range(len(levels)):
        at = (ring == level) & outer
        if (np.abs(mesh.vertex_normals[at, 1]) < 0.9).any():
            assert np.ptp(radius[at]) < 1e-4
    # The normals of a ring are one another, turned.
    written = mesh.vertex_normals
    turned = np.stack([written[:, 0] * np.sin(turn) + written[:, 2] * np.cos(turn), written[:, 1]], 1)[outer]
    keys = np.stack([ring[outer], np.round(turned[:, 1] * 50)], 1)
    _, group = np.unique(keys, axis=0, return_inverse=True)
    for number in range(group.max() + 1):
        assert np.ptp(turned[group == number], axis=0).max() < 2e-2
    assert mesh.bounds.shape == (2, 3)


@pytest.mark.slow
def test_the_body_of_a_mug_is_exact_and_its_handle_smooth_in_the_file(
    reconstruct: Callable[..., Reconstruction], seen_circles: Callable[..., Bool]
) -> None:
    rows, columns = np.indices((500, 500))
    handle_pixels = np.abs(np.hypot(rows - 250, columns - 325) - 39) < 6
    result = reconstruct(seen_circles([(0.4, -0.6), (0.4, 0.6)], 20) | handle_pixels)
    assert result.details["shape"] == "lathe with a handle"
    mesh = in_file(result)
    assert is_watertight(mesh.vertices, mesh.faces)
    assert len(mesh.faces) == len(result.exact.faces)
    surface = result.exact.vertices
    split = len(surface) - len(handle_vertices(result.exact))
    body, handle = surface[:split], surface[split:]
    middle = body[:, [0, 2]].mean(0)
    radius = np.hypot(*(body[:, [0, 2]] - middle).T)
    levels, ring = np.unique(np.round(body[:, 1], 6), return_inverse=True)
    for level in range(len(levels)):
        at = (ring == level) & (radius > 0.9 * radius.max())
        assert not at.any() or np.ptp(radius[at]) < 1e-4
    assert np.hypot(*(handle[:, [0, 2]] - middle).T).max() > 1.2 * radius.max()


def test_a_straight_outline_has_few_rings_and_a_bulge_as_many_as_it_needs() -> None:
    heights = np.linspace(-1, 1, 200)
    straight = build_lathe_sides(0.5 + 0.1 * heights, heights, (0, 199)).place(*UPRIGHT)
    bulge = 0.5 - 0.2 * heights**2
    bulging = build_lathe_sides(bulge, heights, (0, 199)).place(*UPRIGHT)
    assert len(straight.faces) < 600
    assert 4000 < len(bulging.faces) < 20_000
    at = np.argsort(bulging.vertices[:, 1])
    x, y, z = bulging.vertices[at].T
    rings = np.unique(np.round(y, 6))
    radii = [np.hypot(x, z)[np.abs(y - level) < 1e-5].max() for level in rings]
    assert np.abs(np.interp(heights, rings, radii) - bulge).max() < 5e-4


@pytest.mark.slow
def test_the_edges_of_a_box_are_straight_and_sharp_in_the_file(
    reconstruct: Callable[..., Reconstruction], seen_box: Callable[..., Bool]
) -> None:
    mesh = in_file(reconstruct(seen_box((1.0, 0.8, 1.1), 35, 25)))
    assert len(np.unique(np.round(mesh.vertices, 6), axis=0)) == 8
    assert len(mesh.vertices) == 24
    for face in mesh.faces:
        assert np.ptp(mesh.vertex_normals[face], axis=0).max() < 1e-4


def test_fewer_faces_than_it_has_are_made_by_the_simplifier(
    reconstruct: Callable[..., Reconstruction], seen_circles: Callable[..., Bool]
) -> None:
    result = reconstruct(seen_circles(VASE, 20))
    assert to_glb(result, Options(texture_size=512, target_faces=2000), {}).extras["faces"] <= 2000
