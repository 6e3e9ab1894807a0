import numpy as np
import pytest

from sam3d_bento.photo.weak_parts import select


def ball_with_arm(arm, core=255, side=640, width=20):
    """A soft mask of a disc that is as certain as `core`, with an arm of the value `arm`."""
    row, column = np.mgrid[:side, :side]
    soft = np.where((row - 320) ** 2 + (column - 200) ** 2 < 100**2, core, 0)
    reach = (np.abs(row - 320) < width) & (column > 200) & (column < 500)
    return np.maximum(soft, np.where(reach, arm, 0)).astype(np.uint8)


@pytest.mark.parametrize(("arm", "taken"), [(50, False), (60, True), (127, True), (128, True)])
def test_a_weak_part_counts_where_it_hangs_on_a_firm_one(arm, taken):
    assert select(ball_with_arm(arm))[320, 490] == taken


def test_a_weak_part_on_something_unsure_does_not_count():
    soft = ball_with_arm(80, core=150)
    assert np.array_equal(select(soft), soft >= 128)


def test_a_weak_part_that_touches_nothing_does_not_count():
    soft = ball_with_arm(80)
    soft[:, 330:360] = 0
    assert not select(soft)[320, 490]


def test_weak_surroundings_larger_than_the_object_are_no_part_of_it():
    soft = ball_with_arm(80, width=110)
    assert np.array_equal(select(soft), soft >= 128)


def test_a_soft_rim_does_not_widen_the_object():
    row, column = np.mgrid[:640, :640]
    soft = np.clip(128 + (100 - np.hypot(row - 320, column - 320)) * 30, 0, 255).astype(np.uint8)
    assert np.array_equal(select(soft), soft >= 128)


@pytest.mark.parametrize("seed", range(8))
def test_what_is_likely_is_always_kept_and_nothing_below_the_lower_threshold_ever(seed):
    random = np.random.default_rng(seed)
    soft = np.kron(random.integers(0, 256, random.integers(2, 30, 2)), np.ones((9, 7))).astype(np.uint8)
    selected = select(soft)
    assert selected[soft >= 128].all()
    assert not selected[soft < 51].any()
    assert np.array_equal(select(soft.T), selected.T)
