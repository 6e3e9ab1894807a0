import numpy as np
import pytest

from sam3d_bento.export.sorting import distinct, leads, stable_order
from sam3d_bento.reconstruction import Int32

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
def test_keys_are_sorted_and_equal_ones_stay_as_they_come(keys: Int32) -> None:
    before = keys.copy()
    assert stable_order(keys).tolist() == sorted(range(len(keys)), key=lambda index: int(keys[index]))
    assert (keys == before).all()


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS.keys())
def test_different_keys_are_found_where_they_come_first(keys: Int32) -> None:
    first, which = distinct(keys)
    _, expected_first, expected_which = np.unique(keys, return_index=True, return_inverse=True)
    assert first.tolist() == expected_first.tolist()
    assert which.tolist() == expected_which.tolist()


def test_what_leads_differs_from_what_is_before() -> None:
    assert leads(np.array([2, 2, 3, 5, 5, 5])).tolist() == [True, False, True, True, False, False]
    assert leads(np.zeros(0, np.int64)).tolist() == []
