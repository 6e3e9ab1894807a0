import numpy as np

from sam3d_bento.export.mesh.rims import find_rims
from tests.support.export_meshes import blob, sphere

BALL = sphere(20)


def test_a_closed_surface_has_none() -> None:
    vertices, faces = blob(40)
    assert len(find_rims(len(vertices), faces).edges) == 0


def test_each_opening_is_a_loop_of_its_edges() -> None:
    vertices, faces = BALL
    kept = np.delete(faces, [100, 400], axis=0)
    rims = find_rims(len(vertices), kept)
    np.testing.assert_array_equal(rims.sizes(), [3, 3])
    for loop, gone in zip(rims.loops(), faces[[100, 400]], strict=True):
        assert set(rims.edges[loop, 0]) == set(gone)
        np.testing.assert_array_equal(rims.edges[loop, 1], np.roll(rims.edges[loop, 0], -1))
        assert all(set(edge) <= set(kept[face]) for edge, face in zip(rims.edges[loop], rims.owner[loop], strict=True))


def test_openings_that_touch_are_one_rim() -> None:
    vertices, faces = BALL
    corner = int(faces[300, 0])
    around = np.flatnonzero((faces == corner).any(axis=1))
    shared = [len(np.intersect1d(faces[around[0]], faces[other])) for other in around]
    rims = find_rims(len(vertices), np.delete(faces, [around[0], around[shared.index(1)]], axis=0))
    np.testing.assert_array_equal(rims.sizes(), [6])
    assert (rims.edges[:, 0] == corner).sum() == 2


def test_a_rim_at_an_edge_of_three_faces_is_left_out() -> None:
    vertices = np.eye(4, 3, dtype=np.float32)
    faces = np.int32([[0, 1, 2], [0, 1, 3], [1, 0, 2]])
    assert len(find_rims(len(vertices), faces).edges) == 0


def test_chosen_rims_are_numbered_anew() -> None:
    vertices, faces = BALL
    rims = find_rims(len(vertices), np.delete(faces, [100, 400, 700], axis=0))
    some = rims.chosen(np.array([False, True, True]))
    np.testing.assert_array_equal(some.sizes(), [3, 3])
    assert [set(some.edges[loop, 0]) for loop in some.loops()] == [set(faces[400]), set(faces[700])]
