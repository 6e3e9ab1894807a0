import numpy as np
import pytest

from sam3d_bento.arrays import Int32
from sam3d_bento.export.grouping import added_up, distinct, expand_ranges, first_equal, leads, stable_order

KEYS = {
    "many equal": np.random.default_rng(0).integers(-5, 5, 3000),
    "hardly any equal": np.random.default_rng(0).integers(0, 1 << 40, 3000),
    "32 bits, both ends": np.array([2**31 - 1, -(2**31), 0, -(2**31), 2**31 - 1], np.int32),
    "no bits left for an index": np.array([2**62, -(2**62), 7, -(2**62), 2**62 - 1]),
    "both ends of 64 bits": np.array([2**63 - 1, -(2**63), 0, 2**63 - 1]),
    "one": np.array([-3]),
    "none": np.zeros(0, np.int64),
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_keys_are_sorted_and_equal_ones_keep_their_order(keys: Int32) -> None:
    before = keys.copy()
    assert stable_order(keys).tolist() == sorted(range(len(keys)), key=lambda index: int(keys[index]))
    assert (keys == before).all()


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_distinct_keys_are_found_at_their_first_occurrence(keys: Int32) -> None:
    first, which = distinct(keys)
    _, expected_first, expected_which = np.unique(keys, return_index=True, return_inverse=True)
    assert first.tolist() == expected_first.tolist()
    assert which.tolist() == expected_which.tolist()


def test_a_group_starts_where_a_key_differs_from_the_one_before() -> None:
    assert leads(np.array([2, 2, 3, 5, 5, 5])).tolist() == [True, False, True, True, False, False]
    assert leads(np.zeros(0, np.int64)).tolist() == []


def reference(rows: Int32) -> list[int]:
    seen: dict[tuple[int, ...], int] = {}
    return [seen.setdefault(tuple(row), index) for index, row in enumerate(rows.tolist())]


@pytest.mark.parametrize("high", [2, 20, 2**31 - 1])
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_each_row_finds_the_first_one_equal_to_it(high: int, columns: int) -> None:
    rows = np.random.default_rng(0).integers(-high, high, (3000, columns), dtype=np.int32)
    assert first_equal(rows).tolist() == reference(rows)


def test_the_order_of_numbers_in_a_row_matters() -> None:
    assert first_equal(np.array([[1, 2], [2, 1], [1, 2], [0, 3]], np.int32)).tolist() == [0, 1, 0, 3]


def test_first_equal_of_no_rows_is_empty() -> None:
    assert first_equal(np.zeros((0, 3), np.int32)).tolist() == []


def test_every_member_comes_with_its_range() -> None:
    which, member = expand_ranges(np.array([3, -2, 7]), np.array([5, 1, 8]))
    assert which.tolist() == [0, 0, 1, 1, 1, 2]
    assert member.tolist() == [3, 4, -2, -1, 0, 7]


def test_a_range_that_stops_before_it_begins_is_empty() -> None:
    which, member = expand_ranges(np.array([4, 9, 2]), np.array([4, 3, 3]))
    assert which.tolist() == [2]
    assert member.tolist() == [2]
    assert [len(found) for found in expand_ranges(np.zeros(0, np.intp), np.zeros(0, np.intp))] == [0, 0]


def test_rows_are_added_to_their_groups() -> None:
    values = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    found = added_up(np.array([2, 0, 2]), values, 4)
    assert found.tolist() == [[3, 4], [0, 0], [6, 8], [0, 0]]
    assert found.dtype == np.float64


def test_a_face_counts_at_each_of_its_corners() -> None:
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.int32)
    assert added_up(faces, np.array([[1.0], [10.0]]), 4).ravel().tolist() == [1, 11, 11, 10]


def test_the_sums_of_no_rows_are_zero() -> None:
    assert added_up(np.zeros((0, 3), np.int32), np.zeros((0, 2)), 2).tolist() == [[0, 0], [0, 0]]
    assert added_up(np.zeros(0, np.intp), np.zeros((0, 1)), 1).tolist() == [[0]]
