import numpy as np

from sam3d_bento.export.ranges import members


def test_every_member_is_named_with_its_range() -> None:
    which, member = members(np.array([3, -2, 7]), np.array([5, 1, 8]))
    assert which.tolist() == [0, 0, 1, 1, 1, 2]
    assert member.tolist() == [3, 4, -2, -1, 0, 7]


def test_a_range_that_stops_before_it_begins_is_empty() -> None:
    which, member = members(np.array([4, 9, 2]), np.array([4, 3, 3]))
    assert which.tolist() == [2]
    assert member.tolist() == [2]
    assert [len(found) for found in members(np.zeros(0, np.intp), np.zeros(0, np.intp))] == [0, 0]
