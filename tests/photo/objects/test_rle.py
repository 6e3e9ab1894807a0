import numpy as np
import pytest

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.objects import rle
from tests.support.scene_files import coco_counts, coco_text


@pytest.mark.parametrize("seed", range(20))
def test_both_encodings_are_read_back(seed):
    random = np.random.default_rng(seed)
    size = tuple(random.integers(1, 60, 2).tolist())
    mask = random.random(size) < random.choice([0, 0.02, 0.5, 1])
    counts = coco_counts(mask)
    assert np.array_equal(rle.decode(counts, size), mask)
    assert np.array_equal(rle.decode(coco_text(counts), size), mask)


def test_long_runs_are_read_back():
    mask = np.zeros((1000, 900), bool)
    mask[3:5, 100:880] = True
    assert np.array_equal(rle.decode(coco_text(coco_counts(mask)), mask.shape), mask)


def test_the_documented_example_of_pycocotools():
    """encode(np.asfortranarray([[0, 1], [1, 1]])) gives the counts [1, 3], as the text "13"."""
    assert np.array_equal(rle.decode("13", (2, 2)), [[0, 1], [1, 1]])


@pytest.mark.parametrize(
    "counts",
    [[], [3], [5], [2, -1, 3], [10**30], "", "9", "\x00", "é", "o", "oooooooooooo0", "13 ", [1, 1, 1]],
)
def test_counts_that_do_not_fill_the_picture_are_refused(counts):
    with pytest.raises(BadRequest, match="counts"):
        rle.decode(counts, (2, 2))
