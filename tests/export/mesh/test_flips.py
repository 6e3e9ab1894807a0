import numpy as np
import trimesh

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.mesh.flips import STRAY, flip_strays
from sam3d_bento.export.mesh.surface import area_vectors, unit, vertex_normals
from tests.support.export_meshes import Mesh, blob, sphere, unbalanced_edges


def strays(vertices: Float32, faces: Int32) -> int:
    around = vertex_normals(vertices, faces)[faces].sum(axis=1)
    normals = unit(area_vectors(vertices, faces))
    return int((np.einsum("ij,ij->i", normals, unit(around)) < STRAY).sum())


def with_slivers() -> Mesh:
    """A ball in which vertices were moved across an edge, so that a thin face there looks backwards."""
    vertices, faces = sphere(40)
    vertices = vertices.copy()
    for face in faces[400::301]:
        a, b, c = vertices[face].astype(float)
        vertices[face[2]] = (a + b) / 2 + 0.1 * ((a + b) / 2 - c)
    return vertices, faces


def test_thin_faces_that_look_backwards_are_flipped() -> None:
    vertices, faces = with_slivers()
    before = strays(vertices, faces)
    assert before > 5
    flipped = flip_strays(vertices, faces)
    assert strays(vertices, flipped) <= before / 4
    assert len(flipped) == len(faces)
    assert unbalanced_edges(flipped) == 0
    assert 0 < (flipped != faces).any(axis=1).sum() < 6 * before


def test_creases_stay() -> None:
    box = trimesh.creation.box((0.8, 0.6, 0.01)).subdivide()
    faces = box.faces.astype(np.int32)
    np.testing.assert_array_equal(flip_strays(box.vertices.astype(np.float32), faces), faces)


def test_a_surface_without_strays_stays_as_it_is() -> None:
    vertices, faces = blob(40)
    if not strays(vertices, faces):
        np.testing.assert_array_equal(flip_strays(vertices, faces), faces)
    ball = sphere(20)
    np.testing.assert_array_equal(flip_strays(*ball), ball[1])
