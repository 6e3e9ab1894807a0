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

BAND_ROWS = 48  # rows that one search looks at together


class Orientation(NamedTuple):
    """Chart in one of the ways in which it may lie.

    turns: its quarter turns. width, height: the columns and rows of its box.
    firsts, lengths: its cells as runs along the rows. A run begins at cell y * columns of the page + x, counted from
    the corner of the box. The longest runs come first: they soon leave no place free, and then the others need no test.
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
        self._taken = 0
        self._first_rows: dict[tuple[int, int], int] = {}  # by size of box: below this row, one has found no room
        self._start_masks: dict[int, int] = {}  # by width of box: see `_start_columns`

    def add(self, orientations: list[Orientation]) -> tuple[int, tuple[int, int]]:
        """Place a chart in the orientation whose top is lowest; return its quarter turns, and (x, y) of its box."""
        size = orientations[0].width, orientations[0].height
        first_row = self._first_rows.get(size, 0)
        bands: dict[int, _Band] = {}
        best: _Candidate | None = None
        lowest = []
        for orientation in orientations:
            # From this row on, the chart would reach higher than in the best orientation so far.
            end_row = best and best.top - orientation.height + 1
            place = self._find_lowest_place(orientation, first_row, end_row, max(size), bands)
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
        self._taken |= chart << (best.y * self.columns + best.x)
        return best.turns, (best.x, best.y)

    def _find_lowest_place(
        self, orientation: Orientation, first_row: int, end_row: int | None, box_rows: int, bands: dict[int, _Band]
    ) -> tuple[int, int] | None:
        """Find the lowest, then leftmost place from `first_row` on where all cells of the chart are free; (y, x).

        Returns None if there is none below `end_row`.

        box_rows: rows above a place that the chart may reach, in any orientation.
        bands: by first row, the bands of rows looked at so far; shared by the chart's orientations.
        """
        starts = self._start_columns(orientation.width)
        while end_row is None or first_row < end_row:
            band = bands.get(first_row)
            if band is None:
                everywhere = (1 << ((BAND_ROWS + box_rows) * self.columns)) - 1
                band = bands[first_row] = _Band(everywhere & ~(self._taken >> (first_row * self.columns)))
            places, free_runs = starts, band.free_runs
            if end_row is not None and end_row - first_row < BAND_ROWS:
                places &= (1 << ((end_row - first_row) * self.columns)) - 1
            for first, length in zip(orientation.firsts, orientation.lengths, strict=True):
                runs = free_runs.get(length)
                if runs is None:
                    runs = band.find_runs(length)
                places &= runs >> first
                if not places:
                    break
            else:
                y, x = divmod((places & -places).bit_length() - 1, self.columns)
                return first_row + y, x
            first_row += BAND_ROWS
        return None

    def _start_columns(self, width: int) -> int:
        """Mark in BAND_ROWS rows, a bit for each cell, where a box of this width may begin without leaving its row."""
        if width not in self._start_masks:
            row = (1 << max(self.columns - width + 1, 0)) - 1
            self._start_masks[width] = sum(row << (y * self.columns) for y in range(BAND_ROWS))
        return self._start_masks[width]


class _Band:
    """Free cells of some rows of a page.

    free_runs: by length n; bit p is set where n cells from p on are free. `find_runs` computes a length on demand.
    """

    def __init__(self, free: int) -> None:
        self.free_runs: dict[int, int] = {}
        self._doubled = [free]  # entry k: bit p is set where 2**k cells from p on are free

    def find_runs(self, length: int) -> int:
        """Compute `free_runs` of this length from two overlapping runs of a power of two."""
        power = length.bit_length() - 1
        doubled = self._doubled
        while len(doubled) <= power:
            doubled.append(doubled[-1] & doubled[-1] >> (1 << (len(doubled) - 1)))
        runs = self.free_runs[length] = doubled[power] & doubled[power] >> (length - (1 << power))
        return runs
