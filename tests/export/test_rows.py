import numpy as np
import pytest

from sam3d_bento.export.rows import first_equal
from sam3d_bento.reconstruction import Int32


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


def test_no_rows() -> None:
    assert first_equal(np.zeros((0, 3), np.int32)).tolist() == []
