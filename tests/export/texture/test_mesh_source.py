import numpy as np
import pytest

from sam3d_bento.export.mesh.surface import Surface, unit
from sam3d_bento.export.texture.mesh_source import MeshSource
from tests.support.export_meshes import colour_at, sphere

TRIANGLE = Surface(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32),
    np.array([[0, 1, 2]], np.int32),
    np.array([[0, 0, 0], [200, 0, 0], [0, 100, 0]], np.uint8),
)
UP = np.array([[0, 0, 1]], np.float32)


@pytest.mark.parametrize("height", [0.0, 0.005, -0.005])
def test_colours_are_interpolated_along_the_normal_from_either_side(height: float) -> None:
    points = np.array([[0.25, 0.5, height]], np.float32)
    np.testing.assert_allclose(MeshSource(TRIANGLE).colours(points, UP), [[50, 50, 0]], atol=0.01)


def test_of_two_sheets_the_one_that_looks_the_same_way_counts() -> None:
    apart = np.float32([0, 0, 0.002])
    back = Surface(
        np.vstack([TRIANGLE.vertices, TRIANGLE.vertices - apart]),
        np.vstack([TRIANGLE.faces, TRIANGLE.faces[:, ::-1] + 3]),
        np.vstack([TRIANGLE.colours, np.full((3, 3), 255)]).astype(np.uint8),
    )
    nearer_to_the_back = np.array([[0.25, 0.25, -0.0019]], np.float32)
    found = MeshSource(back).colours(np.repeat(nearer_to_the_back, 2, axis=0), np.vstack([UP, -UP]))
    np.testing.assert_allclose(found, [[50, 25, 0], [255, 255, 255]], atol=0.01)


def test_a_nearby_place_counts_where_the_line_along_the_normal_misses() -> None:
    points = np.array([[0.5, 0.01, 0.01]], np.float32)
    nearly_flat = unit(np.array([[0, -0.95, 0.3]], np.float32))  # meets the triangle 0.03 away
    np.testing.assert_allclose(MeshSource(TRIANGLE).colours(points, nearly_flat), [[100, 1, 0]], atol=0.1)


def test_the_nearest_vertex_counts_far_away() -> None:
    points = np.array([[3, 0, 0], [0, 7, 7]], np.float32)
    found = MeshSource(TRIANGLE).colours(points, np.repeat(UP, 2, axis=0))
    np.testing.assert_array_equal(found, [[200, 0, 0], [0, 100, 0]])


def test_a_vertex_that_no_face_uses_is_no_source() -> None:
    lonely = Surface(
        np.vstack([TRIANGLE.vertices, [[3, 0, 0]]]).astype(np.float32),
        TRIANGLE.faces,
        np.vstack([TRIANGLE.colours, [[7, 7, 7]]]).astype(np.uint8),
    )
    found = MeshSource(lonely).colours(np.array([[3, 0, 0]], np.float32), UP)
    np.testing.assert_allclose(found, [[200, 0, 0]])


def test_look_up_nearest_gives_colour_normal_and_distance() -> None:
    vertices, faces = sphere(60)
    source = MeshSource(Surface(vertices, faces, np.rint(colour_at(vertices)).astype(np.uint8)))
    outward = unit(np.random.default_rng(0).normal(size=(500, 3)))
    places = outward * np.float32(0.45)
    colours, normals, distance = source.look_up_nearest(outward * np.float32(0.455))
    assert np.abs(colours - colour_at(places)).max() < 4
    assert np.einsum("ij,ij->i", normals, outward).min() > 0.99
    assert distance.max() < 0.006 * 1.1
