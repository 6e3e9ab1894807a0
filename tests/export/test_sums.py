import numpy as np

from sam3d_bento.export.sums import added_up


def test_rows_are_added_to_their_groups() -> None:
    values = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    found = added_up(np.array([2, 0, 2]), values, 4)
    assert found.tolist() == [[3, 4], [0, 0], [6, 8], [0, 0]]
    assert found.dtype == np.float64


def test_a_face_counts_at_each_of_its_corners() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    assert added_up(faces, np.array([[1.0], [10.0]]), 4).ravel().tolist() == [1, 11, 11, 10]


def test_no_rows_add_up_to_nothing() -> None:
    assert added_up(np.zeros((0, 3), np.int32), np.zeros((0, 2)), 2).tolist() == [[0, 0], [0, 0]]
    assert added_up(np.zeros(0, np.intp), np.zeros((0, 1)), 1).tolist() == [[0]]
