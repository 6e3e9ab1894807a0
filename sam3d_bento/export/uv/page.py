"""A page of square cells on which charts are placed one by one, each where it reaches least high.

All rows are one integer, a bit for each cell: one shift and one AND tell for all places at once where a row of a chart
has room.
"""

from __future__ import annotations

from typing import NamedTuple

SPAN = 48  # rows looked at together


class Orientation(NamedTuple):
    """A chart in one of the ways that it may lie: its quarter turns, the columns and rows of its box, and its cells as
    runs along the rows: the first cell of each, y * columns of the page + x counted from the box's corner, and its
    length. The longest runs are first: they soon leave no place, and then the others need no look."""

    turns: int
    width: int
    height: int
    firsts: list[int]
    lengths: list[int]


class Page:
    """Cells taken so far. Bit y * columns + x is the cell in column x of row y, counted from the bottom."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.height = 0
        self._taken = 0
        self._begin: dict[tuple[int, int], int] = {}  # by size of box: below this row there was no room for one
        self._lefts: dict[int, int] = {}  # by width: where a chart may begin, for SPAN rows

    def add(self, orientations: list[Orientation]) -> tuple[int, tuple[int, int]]:
        """Place a chart in the orientation that reaches least high; returns its quarter turns, and (x, y)."""
        size = orientations[0][1:3]
        begin = self._begin.get(size, 0)
        spans: dict[int, _Span] = {}
        best: tuple[int, int, int, int] | None = None
        lowest = []
        for turns, width, height, firsts, lengths in orientations:
            stop = best and best[0] - height + 1  # from this row on it would reach higher than another orientation does
            place = self._room(firsts, lengths, width, begin, stop, max(size), spans)
            lowest.append(place[0] if place else max(begin, stop or 0))
            if place:
                found = (place[0] + height, *place, turns)
                best = min(found, best or found)
        assert best
        top, y, x, turns = best
        self._begin[size] = min(lowest)
        self.height = max(self.height, top)
        chosen = next(orientation for orientation in orientations if orientation.turns == turns)
        chart = 0
        for first, length in zip(chosen.firsts, chosen.lengths, strict=True):
            chart |= ((1 << length) - 1) << first
        self._taken |= chart << (y * self.columns + x)
        return turns, (x, y)

    def _room(
        self,
        firsts: list[int],
        lengths: list[int],
        width: int,
        begin: int,
        stop: int | None,
        highest: int,
        spans: dict[int, _Span],
    ) -> tuple[int, int] | None:
        """(y, x) of the lowest, then leftmost place from row `begin` on where the runs meet nothing; None if that is
        not below row `stop`.

        highest: no run is in this row or above. spans: what is known of the rows from some row on, kept for the chart's
        other orientations.
        """
        left = self._left(width)
        while stop is None or begin < stop:
            span = spans.get(begin)
            if span is None:
                everywhere = (1 << ((SPAN + highest) * self.columns)) - 1
                span = spans[begin] = _Span(everywhere & ~(self._taken >> (begin * self.columns)))
            free, rooms = left, span.rooms
            if stop is not None and stop - begin < SPAN:
                free &= (1 << ((stop - begin) * self.columns)) - 1
            for first, length in zip(firsts, lengths, strict=True):
                room = rooms.get(length)
                if room is None:
                    room = span.found(length)
                free &= room >> first
                if not free:
                    break
            else:
                y, x = divmod((free & -free).bit_length() - 1, self.columns)
                return begin + y, x
            begin += SPAN
        return None

    def _left(self, width: int) -> int:
        if width not in self._lefts:
            row = (1 << max(self.columns - width + 1, 0)) - 1
            self._lefts[width] = sum(row << (y * self.columns) for y in range(SPAN))
        return self._lefts[width]


class _Span:
    """Some rows of a page, as a bit for each free cell.

    rooms: by length, bit p: are so many cells from p on free. What is not there yet is `found`.
    """

    def __init__(self, free: int) -> None:
        self.rooms: dict[int, int] = {}
        self._doubled = [free]  # bit p: are the 2**k cells from p on free

    def found(self, length: int) -> int:
        power = length.bit_length() - 1
        doubled = self._doubled
        while len(doubled) <= power:
            doubled.append(doubled[-1] & doubled[-1] >> (1 << (len(doubled) - 1)))
        room = self.rooms[length] = doubled[power] & doubled[power] >> (length - (1 << power))
        return room
