import numpy as np
import pytest

from sam3d_bento.export.mesh.surface import face_areas, mix, referenced, unit, vertex_normals
from tests.support.export_meshes import blob, sphere


def test_areas_of_a_sphere_add_up() -> None:
    assert face_areas(*sphere(60, radius=0.4)).sum() == pytest.approx(4 * np.pi * 0.4**2, rel=0.01)


def test_normals_of_a_sphere_point_outwards() -> None:
    vertices, faces = sphere(60)
    np.testing.assert_allclose(vertex_normals(vertices, faces), vertices / 0.45, atol=0.01)


def test_normals_do_not_depend_on_how_a_face_is_cut() -> None:
    # A cube's corner: one side is two triangles at that corner, the others one each.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]], np.float32)
    faces = np.array([[0, 4, 1], [0, 2, 4], [0, 3, 2], [2, 3, 5], [0, 1, 3], [1, 6, 3]], np.int32)
    np.testing.assert_allclose(vertex_normals(vertices, faces)[0], -np.ones(3) / np.sqrt(3), atol=1e-6)


def test_normals_are_of_length_one_whatever_the_faces() -> None:
    vertices, faces = blob(40)
    both_sides = np.vstack([faces, faces[:, ::-1], [[0, 0, 0]]]).astype(np.int32)
    np.testing.assert_allclose(np.linalg.norm(vertex_normals(vertices, both_sides), axis=1), 1, atol=1e-6)


def test_a_vector_without_direction_becomes_up() -> None:
    np.testing.assert_array_equal(unit(np.array([[0, 0, 0], [0, 0, 1e-20]])), [[0, 1, 0], [0, 0, 1]])


def test_mix_is_the_weighted_sum() -> None:
    values = np.array([[10, 0], [20, 0], [30, 200]], np.uint8)
    mixed = mix(np.array([[0.5, 0.25, 0.25]], np.float32), values, np.array([[0, 1, 2]], np.int32))
    np.testing.assert_allclose(mixed, [[17.5, 50]])


def test_referenced_renumbers_in_order() -> None:
    used, faces = referenced(6, np.array([[5, 1, 3]], np.int32))
    np.testing.assert_array_equal(used, [1, 3, 5])
    np.testing.assert_array_equal(faces, [[2, 0, 1]])
