import numpy as np
import pytest
import trimesh

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.mesh.topology import at_border, edges, front_sides, in_closed_pieces, is_watertight
from tests.support.export_meshes import Mesh, blob, joined, soup, sphere

BALL = sphere(12)
TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)


def apart(mesh: Mesh) -> Mesh:
    """Each face with vertices of its own, as along texture seams."""
    vertices, faces = mesh
    return vertices[faces].reshape(-1, 3), np.arange(faces.size, dtype=np.int32).reshape(-1, 3)


def one_face_turned(mesh: Mesh) -> Mesh:
    vertices, faces = mesh
    faces = faces.copy()
    faces[5] = faces[5, ::-1]
    return vertices, faces


def sharing_an_edge() -> Mesh:
    """Two tetrahedra whose common edge has four faces."""
    vertices = np.vstack([CORNERS, -CORNERS[2:]]).astype(np.float32)
    return vertices, np.vstack([TETRAHEDRON, np.array([0, 1, 4, 5])[TETRAHEDRON]]).astype(np.int32)


MESHES = {
    "ball": (BALL, True),
    "tetrahedron": ((CORNERS, TETRAHEDRON), True),
    "inside out": ((BALL[0], BALL[1][:, ::-1]), True),
    "vertices split along seams": (apart(BALL), True),
    "several balls": (joined(BALL, sphere(8, 0.1, (0.5, 0.5, 0.5))), True),
    "a face with two corners at one place": ((BALL[0], np.vstack([BALL[1], [[3, 3, 4]]])), True),
    "a face is missing": ((BALL[0], BALL[1][1:]), False),
    "a face is there twice": ((BALL[0], np.vstack([BALL[1], BALL[1][:1]])), False),
    "a face is turned": (one_face_turned(BALL), False),
    "an edge of four faces": (sharing_an_edge(), False),
    "triangles that touch nowhere": (soup(20, 0.1), False),
    "points": ((BALL[0], np.zeros((2, 3), np.int32)), False),
}


@pytest.mark.parametrize(("mesh", "expected"), MESHES.values(), ids=MESHES)
def test_a_surface_is_watertight_if_each_edge_has_two_faces_of_opposite_direction(mesh: Mesh, expected: bool) -> None:
    assert is_watertight(mesh[0], mesh[1].astype(np.int32)) is expected


@pytest.mark.parametrize("name", [name for name in MESHES if name != "a face with two corners at one place"])
def test_trimesh_is_of_the_same_opinion(name: str) -> None:
    (vertices, faces), expected = MESHES[name]
    mesh = trimesh.Trimesh(vertices, faces, process=True)
    closed = len(np.unique(mesh.faces)) > 2 and mesh.is_watertight and mesh.is_winding_consistent
    assert bool(closed) is expected


def test_zero_and_minus_zero_are_one_place() -> None:
    vertices, faces = apart((CORNERS, TETRAHEDRON))
    vertices[::2][vertices[::2] == 0] = -0.0
    assert is_watertight(vertices, faces)


def test_edges_have_the_half_edges_of_both_directions() -> None:
    found = edges(TETRAHEDRON)
    assert found.size.tolist() == [2] * 6
    assert found.plain().all()
    assert sorted(found.by_edge.tolist()) == list(range(12))


def test_only_the_edges_that_lack_a_face_or_have_too_many_are_not_plain() -> None:
    faces = sharing_an_edge()[1]
    assert np.count_nonzero(~edges(faces).plain()) == 1
    assert edges(faces).size.max() == 4
    assert np.count_nonzero(~edges(faces[1:]).plain()) == 3 - 1 + 1, "two open edges, and the shared one has three"


def corners_of_open_edges(faces: Int32) -> set[int]:
    directed = {(int(face[k]), int(face[(k + 1) % 3])) for face in faces for k in range(3)}
    return {corner for start, end in directed if (end, start) not in directed for corner in (start, end)}


def test_the_border_is_where_half_edges_have_no_partner() -> None:
    vertices, faces = BALL
    some = faces[40:]
    assert set(np.flatnonzero(at_border(len(vertices), some)).tolist()) == corners_of_open_edges(some)
    assert not at_border(len(vertices), faces).any()


def test_a_piece_is_closed_or_open_as_a_whole() -> None:
    first, second = BALL, blob(20)
    vertices, faces = joined(first, (second[0], second[1][7:]))
    closed = in_closed_pieces(len(vertices), faces)
    assert closed[: len(first[1])].all()
    assert not closed[len(first[1]) :].any()


def signed_volume(vertices: Float32, faces: Int32) -> float:
    return float(trimesh.Trimesh(vertices, faces, process=False).volume)


def test_the_examples_here_are_turned_outwards() -> None:
    assert signed_volume(CORNERS, TETRAHEDRON) > 0
    assert signed_volume(*BALL) > 0


def test_of_a_sheet_with_two_sides_one_is_returned() -> None:
    _, faces = soup(500, 0.1)
    both = np.concatenate([faces, faces[::-1, ::-1]])
    found = front_sides(both)
    assert found is not None
    np.testing.assert_array_equal(found, faces)


def test_other_meshes_have_no_front() -> None:
    assert front_sides(blob(40)[1]) is None
    vertices, faces = soup(500, 0.1)
    sheet = (vertices, np.concatenate([faces, faces[:, ::-1]]))
    assert front_sides(joined(sheet, blob(40))[1]) is None, "a part alone is a sheet"
