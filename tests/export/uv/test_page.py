import numpy as np

from sam3d_bento.export.uv.page import BAND_ROWS, Orientation, Page

COLUMNS = 10


def box(width: int, height: int, turns: int = 0) -> Orientation:
    """Make a chart that takes all cells of its box."""
    return Orientation(turns, width, height, [row * COLUMNS for row in range(height)], [width] * height)


def frame(width: int, height: int) -> Orientation:
    """Make a chart with a hole and a border of one cell around it."""
    whole = {row * COLUMNS: width for row in (0, height - 1)}
    sides = [row * COLUMNS + column for row in range(1, height - 1) for column in (0, width - 1)]
    return Orientation(0, width, height, [*whole, *sides], [*whole.values(), *[1] * len(sides)])


def test_a_chart_goes_to_the_lowest_then_leftmost_place() -> None:
    page = Page(COLUMNS)
    places = [page.add([box(4, 3)])[1] for _ in range(3)]
    assert places == [(0, 0), (4, 0), (0, 3)]
    assert page.height == 6
    assert page.add([box(2, 3)])[1] == (8, 0)
    assert page.height == 6


def test_a_hole_is_filled() -> None:
    page = Page(COLUMNS)
    page.add([frame(10, 6)])
    assert page.add([box(8, 4)])[1] == (1, 1)
    assert page.height == 6


def test_the_orientation_with_the_lowest_top_is_chosen() -> None:
    page = Page(COLUMNS)
    page.add([box(8, 5)])
    assert page.add([box(2, 4), box(4, 2, turns=1)]) == (0, (8, 0))
    assert page.add([box(2, 6), box(6, 2, turns=1)]) == (1, (0, 5))


def test_a_chart_higher_than_a_band_finds_room() -> None:
    page = Page(COLUMNS)
    for _ in range(2):
        page.add([box(6, BAND_ROWS + 7)])
    assert page.height == 2 * (BAND_ROWS + 7)
    assert page.add([box(4, 3 * BAND_ROWS)])[1] == (6, 0)
    assert page.add([box(5, 1)])[1] == (0, 2 * (BAND_ROWS + 7))


def test_no_cell_is_taken_twice() -> None:
    page = Page(COLUMNS)
    taken: set[tuple[int, int]] = set()
    for size in range(60):
        one = frame(3 + size % 5, 3 + size % 4)
        _, (x, y) = page.add([one])
        for first, length in zip(one.firsts, one.lengths, strict=True):
            row, column = divmod(first, COLUMNS)
            cells = {(x + column + step, y + row) for step in range(length)}
            assert not cells & taken
            taken |= cells
    assert max(column for column, _ in taken) < COLUMNS


def test_each_chart_takes_the_first_place_that_is_free_after_all_others() -> None:
    page, random = Page(COLUMNS), np.random.default_rng(1)
    taken = np.zeros((80 * BAND_ROWS, COLUMNS), bool)
    for _ in range(60):
        one = frame(*random.integers([3, 3], [COLUMNS + 1, BAND_ROWS + 20]).tolist())
        cells = np.zeros((one.height, COLUMNS), bool)
        for first, length in zip(one.firsts, one.lengths, strict=True):
            cells.flat[first : first + length] = True
        cells = cells[:, : one.width]
        free = (
            (x, y)
            for y in range(len(taken))
            for x in range(COLUMNS - one.width + 1)
            if not (taken[y : y + one.height, x : x + one.width] & cells).any()
        )
        x, y = next(free)
        assert page.add([one])[1] == (x, y)
        taken[y : y + one.height, x : x + one.width] |= cells
