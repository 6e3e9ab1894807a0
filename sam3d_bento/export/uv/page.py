"""Place charts one by one on a page of square cells, each where its top is lowest.

All rows of a page are one integer with a bit for each cell. One shift and one AND therefore test all places at once for
one row of a chart. Here a chart of two runs of cells is placed on a page of six columns. Its upper run begins at cell
7 = 1 * 6 + 1, counted from the corner of its box:

    chart            free cells        free_runs[3]     free_runs[2] >> 7     both: the chart fits
    row 1   . # #    0 1 1 1 1 0       0 1 1 0 0 0        0 0 0 0 0 0             0 0 0 0 0 0
    row 0   # # #    0 0 1 1 1 1       0 0 1 1 0 0        1 1 1 0 0 0             0 0 1 0 0 0
"""

from __future__ import annotations

from typing import NamedTuple

# Rows that one search looks at together, and rows from one band of free cells to the next. More of the first make each
# step longer, more of the second fewer; these take the least time.
SEARCH_ROWS = 32
BAND_STEP_ROWS = 16

BAND_ROWS = SEARCH_ROWS + BAND_STEP_ROWS  # in which lie the rows of a search, moved up by less than a step


class Orientation(NamedTuple):
    """Chart in one of the ways in which it may lie.

    turns: its quarter turns. width, height: the columns and rows of its box.
    firsts, lengths: its cells as runs along the rows. A run begins at cell y * columns of the page + x, counted from
    the corner of the box. Those come first that soon leave no place free: then the others need no test.
    """

    turns: int
    width: int
    height: int
    firsts: list[int]
    lengths: list[int]


class _Candidate(NamedTuple):
    """Place for a chart. The least one, compared field by field, is the best.

    top: the row above the box. y, x: the corner of the box. turns: the orientation.
    """

    top: int
    y: int
    x: int
    turns: int


class Page:
    """Cells taken so far. Bit y * columns + x is the cell in column x of row y, counted from the bottom."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.height = 0  # rows up to the highest cell taken
        self._bands = _Bands(columns)
        self._first_rows: dict[tuple[int, int], int] = {}  # by size of box: below this row, one has found no room
        self._start_masks: dict[int, int] = {}  # by width of box: see `_start_columns`

    def add(self, orientations: list[Orientation]) -> tuple[int, tuple[int, int]]:
        """Place a chart in the orientation whose top is lowest; return its quarter turns, and (x, y) of its box."""
        size = orientations[0].width, orientations[0].height
        first_row = self._first_rows.get(size, 0)
        best: _Candidate | None = None
        lowest = []
        for orientation in orientations:
            # From this row on, the chart would reach higher than in the best orientation so far.
            end_row = best and best.top - orientation.height + 1
            place = self._find_lowest_place(orientation, first_row, end_row)
            lowest.append(place[0] if place else max(first_row, end_row or 0))
            if place:
                found = _Candidate(place[0] + orientation.height, *place, orientation.turns)
                best = min(found, best or found)
        assert best
        self._first_rows[size] = min(lowest)
        self.height = max(self.height, best.top)
        chosen = next(orientation for orientation in orientations if orientation.turns == best.turns)
        chart = 0
        for first, length in zip(chosen.firsts, chosen.lengths, strict=True):
            chart |= ((1 << length) - 1) << first
        self._bands.take(chart, best.y, best.x, best.top)
        return best.turns, (best.x, best.y)

    def _find_lowest_place(
        self, orientation: Orientation, first_row: int, end_row: int | None
    ) -> tuple[int, int] | None:
        """Find the lowest, then leftmost place from `first_row` on where all cells of the chart are free; (y, x).

        Returns None if there is none below `end_row`.
        """
        columns, step, bands = self.columns, BAND_STEP_ROWS * self.columns, self._bands
        runs = list(zip(orientation.firsts, orientation.lengths, strict=True))
        everywhere = self._start_columns(orientation.width)
        row = first_row - first_row % BAND_STEP_ROWS
        places = everywhere & -1 << (first_row - row) * columns
        while end_row is None or row < end_row:
            if end_row is not None and end_row - row < SEARCH_ROWS:
                places &= (1 << ((end_row - row) * columns)) - 1
            lowest_band = row // BAND_STEP_ROWS
            for first, length in runs:
                above, shift = divmod(first, step)
                places &= bands[lowest_band + above][length] >> shift
                if not places:
                    break
            else:
                y, x = divmod((places & -places).bit_length() - 1, columns)
                return row + y, x
            row += SEARCH_ROWS
            places = everywhere
        return None

    def _start_columns(self, width: int) -> int:
        """Mark in SEARCH_ROWS rows, a bit for each cell, where a box of this width may begin within its row."""
        if width not in self._start_masks:
            row = (1 << max(self.columns - width + 1, 0)) - 1
            self._start_masks[width] = sum(row << (y * self.columns) for y in range(SEARCH_ROWS))
        return self._start_masks[width]


class _Bands(dict[int, "_Band"]):
    """Free cells of a page, in bands of BAND_ROWS rows. Band n begins at row n * BAND_STEP_ROWS.

    A band is made when it is asked for, and again after some of its cells have been taken.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self._columns = columns
        self._taken = 0
        self._all_free = (1 << (BAND_ROWS * columns)) - 1

    def __missing__(self, number: int) -> _Band:
        band = self[number] = _Band(self._all_free & ~(self._taken >> (number * BAND_STEP_ROWS * self._columns)))
        return band

    def take(self, chart: int, y: int, x: int, top: int) -> None:
        """Take the cells of a chart, a bit for each, counted from the corner (x, y) of its box. top: the row above."""
        self._taken |= chart << (y * self._columns + x)
        for number in range((y - BAND_ROWS) // BAND_STEP_ROWS + 1, -(-top // BAND_STEP_ROWS)):
            self.pop(number, None)


class _Band(dict[int, int]):
    """Free runs of cells, by their length n: bit p is set where n cells from p on are free. Computed when asked for."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self._doubled = [free]  # entry k: bit p is set where 2**k cells from p on are free

    def __missing__(self, length: int) -> int:
        """Compute the runs of this length from two overlapping ones of a power of two."""
        power = length.bit_length() - 1
        doubled = self._doubled
        while len(doubled) <= power:
            doubled.append(doubled[-1] & doubled[-1] >> (1 << (len(doubled) - 1)))
        runs = self[length] = doubled[power] & doubled[power] >> (length - (1 << power))
        return runs
