"""Place flat charts in a square page, none closer to another than a bilinear sampler reads.

The page is a grid of cells. A chart takes every cell that is read for some point of it, no cell is taken twice, and so
no sample of one chart meets another one, as long as a texel is at most a cell. Charts are placed one by one, the
largest first, in the lowest row that has room. All rows are one integer, a bit for each cell: one shift and one AND
tell for all places at once where a row of a chart has room.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from sam3d_bento.export.flatten import Flat
from sam3d_bento.export.outline import ON_EDGE, Windows, read_cells
from sam3d_bento.export.sorting import stable_order
from sam3d_bento.export.surface import Floats, Indices
from sam3d_bento.reconstruction import Bool

FIRST_FILL = 0.76  # share of the cells that the charts take at the first scale tried
TRIES, WORK = (2, 4), 600  # more tries with fewer charts, so that they take about equal time
CAUTION = 0.995  # with the last try: of the scale that would just fill the page if all went as before
SMALLER = 0.985  # the next scale while nothing fits
SMALLEST = 0.05  # of the first scale; below, nothing will fit

HALF_ENOUGH = 100  # cells of a box; upside down, a smaller chart would hardly fit any better

MANY = 2000  # charts beyond the largest so many are placed on shelves, by their boxes: no holes are looked for

SPAN = 48  # rows looked at together

Run = tuple[int, int, int]  # row, first column, length


@dataclass(frozen=True)
class Packing:
    """Where each chart lies, in cells.

    Every chart is scaled by the same factor, moved by its shift (C, 2) into a box of columns and rows (C,), the box
    given so many quarter turns (C,), each (x, y) -> (y, columns - x), and its corner brought to places (C, 2).
    """

    scale: float
    shift: Floats
    columns: Indices
    rows: Indices
    turns: Indices
    places: Indices

    def page(self, flat: Flat, labels: Indices) -> Floats:
        """(F, 3, 2) the corners of the faces on the page, in cells, x right and y up. labels (F,): their charts."""
        x, y = np.moveaxis(flat.corners * self.scale + self.shift[labels, None], 2, 0)
        columns, rows, turns = (values[labels, None] for values in (self.columns, self.rows, self.turns))
        turned = [np.choose(turns, [x, y, columns - x, rows - y]), np.choose(turns, [y, columns - x, rows - y, x])]
        corners: Floats = np.stack(turned, axis=2) + self.places[labels, None]
        return corners


def pack(flat: Flat, cells: int, known: float | None = None) -> Packing | None:
    """The charts as large as they were found to fit in a page of (cells, cells); None when they do not fit at all.

    known: a scale at which nearly the same charts have fitted, to save the search for it.
    """
    largest = (cells - 3) / flat.extents.max()
    scale, tries = (_first_scale(flat, cells, largest), _tries(flat)) if known is None else (min(known, largest), 1)
    smallest = SMALLEST * scale
    best: Packing | None = None
    while scale > smallest:
        packing, height = _placed(flat, scale, cells, by_area=bool(tries % 2))
        if height <= cells and (best is None or scale > best.scale):
            best = packing
        tries -= 1
        if tries > 0:
            sure = CAUTION if tries == 1 and best is None else 1.0
            scale = min(scale * sure * np.sqrt(cells / height), largest)
        elif best is None:
            scale *= SMALLER
        else:
            break
    return best


def _tries(flat: Flat) -> int:
    return min(max(WORK // len(flat.extents), TRIES[0]), TRIES[1])


def _first_scale(flat: Flat, cells: int, largest: float) -> float:
    """Where the cells that the charts take fill the page as it usually is filled in the end."""
    scale = min(cells / float(np.sqrt(flat.extents.prod(axis=1).sum())), largest)
    taken = _Boxes(flat, scale).cells.sum()
    return min(scale * float(np.sqrt(FIRST_FILL * cells**2 / taken)), largest)


class _Boxes:
    """The charts at one scale: the cells that each takes of its box."""

    def __init__(self, flat: Flat, scale: float) -> None:
        extents = flat.extents * scale
        # Cells are read whose centre lies in the chart's box grown by 1 at all sides: with the box in the middle of
        # what remains, these are as few as can be, and at least two.
        reached = extents + 2 * (1 + ON_EDGE)
        size = np.maximum(np.ceil(reached + ON_EDGE).astype(np.intp) - 1, 2)
        self.shift = (size - extents) / 2
        self.columns, self.rows = size.T
        self._windows = Windows(self.columns + 1, self.rows)
        self._read = read_cells(flat.outline.moved(scale, self.shift), self._windows)
        self.cells = np.add.reduceat(self._read, self._windows.starts[:-1], dtype=np.intp)

    def runs(self) -> list[list[Run]]:
        """The cells of each chart, as runs along its rows."""
        return _runs(self._read, self._windows)

    def turned_runs(self) -> list[list[Run]]:
        """The cells of each chart, as runs along its columns: rows and columns have changed places."""
        chart, column, row = self._windows.locate(np.flatnonzero(self._read))
        windows = Windows(self.rows + 1, self.columns)
        read = np.zeros(windows.starts[-1], dtype=bool)
        read[windows.starts[chart] + column * windows.columns[chart] + row] = True
        return _runs(read, windows)


def _runs(read: Bool, windows: Windows) -> list[list[Run]]:
    """Runs of cells, from windows whose last column is empty. A chart's longest are first."""
    change = np.flatnonzero(np.diff(read, prepend=False))
    begin, stop = change[::2], change[1::2]
    chart, column, row = windows.locate(begin)
    # Of each chart the longest first: they soon leave no place, and then the others need no look.
    length = stop - begin
    ordered = stable_order((chart + 1) * (int(length.max()) + 1) - length)
    runs = list(zip(row[ordered].tolist(), column[ordered].tolist(), length[ordered].tolist(), strict=True))
    bounds = np.searchsorted(chart, np.arange(len(windows.rows) + 1)).tolist()
    return [runs[first:last] for first, last in itertools.pairwise(bounds)]


def _placed(flat: Flat, scale: float, cells: int, *, by_area: bool) -> tuple[Packing, int]:
    """All charts at this scale on a page of `cells` columns and as many rows as they need, and that number of rows."""
    boxes = _Boxes(flat, scale)
    upright, turned = boxes.runs(), boxes.turned_runs()
    turns = np.zeros(len(upright), dtype=np.intp)
    places = np.zeros((len(upright), 2), dtype=np.intp)
    longer = np.maximum(boxes.columns, boxes.rows)
    order = np.lexsort((-longer, -boxes.cells) if by_area else (-boxes.cells, -longer))
    page = _Page(cells)
    for chart in order[:MANY].tolist():
        columns, rows = int(boxes.columns[chart]), int(boxes.rows[chart])
        turns[chart], places[chart] = page.add(_orientations(upright[chart], turned[chart], columns, rows))
    rest = order[MANY:]
    turns[rest] = boxes.rows[rest] > boxes.columns[rest]
    places[rest], height = _shelved(longer[rest], np.minimum(boxes.columns, boxes.rows)[rest], cells, page.height)
    return Packing(scale, boxes.shift, boxes.columns, boxes.rows, turns, places), height


def _shelved(widths: Indices, heights: Indices, columns: int, bottom: int) -> tuple[Indices, int]:
    """(N, 2) places of boxes in rows as high as the highest of them, from `bottom` up, and where the last row ends."""
    places = np.zeros((len(widths), 2), dtype=np.intp)
    x, y, top = columns, bottom, bottom
    order = np.lexsort((-widths, -heights))
    for box, width, height in zip(order.tolist(), widths[order].tolist(), heights[order].tolist(), strict=True):
        if x + width > columns:
            x, y, top = 0, top, top + height
        places[box] = x, y
        x += width
    return places, top


def _orientations(
    upright: list[Run], turned: list[Run], columns: int, rows: int
) -> list[tuple[int, int, int, list[Run]]]:
    """(quarter turns, width, height, runs) of a chart in the orientations worth trying."""
    half = [
        (0, columns, rows, upright),
        (1, rows, columns, [(columns - 1 - row, first, length) for row, first, length in turned]),
    ]
    if columns * rows < HALF_ENOUGH:
        return half
    return [
        *half,
        (2, columns, rows, [(rows - 1 - row, columns - first - length, length) for row, first, length in upright]),
        (3, rows, columns, [(row, rows - first - length, length) for row, first, length in turned]),
    ]


class _Span:
    """Some rows of a page, as a bit for each free cell."""

    def __init__(self, free: int) -> None:
        self._doubled = [free]  # bit p: are the 2**k cells from p on free
        self._by_length: dict[int, int] = {}

    def room(self, length: int) -> int:
        """Bit p: are so many cells from p on free."""
        room = self._by_length.get(length)
        if room is None:
            power = length.bit_length() - 1
            doubled = self._doubled
            while len(doubled) <= power:
                doubled.append(doubled[-1] & doubled[-1] >> (1 << (len(doubled) - 1)))
            room = self._by_length[length] = doubled[power] & doubled[power] >> (length - (1 << power))
        return room


class _Page:
    """Cells taken so far. Bit y * columns + x is the cell in column x of row y, counted from the bottom."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.height = 0
        self.taken = 0
        self._begin: dict[tuple[int, int], int] = {}  # by size of box: below this row there was no room for one
        self._lefts: dict[int, int] = {}  # by width: where a chart may begin, for SPAN rows

    def add(self, orientations: list[tuple[int, int, int, list[Run]]]) -> tuple[int, tuple[int, int]]:
        """Place a chart in the orientation that reaches least high; returns its quarter turns, and (x, y)."""
        size = orientations[0][1:3]
        begin = self._begin.get(size, 0)
        spans: dict[int, _Span] = {}
        best: tuple[int, int, int, int] | None = None
        lowest = []
        for turns, width, height, runs in orientations:
            stop = best and best[0] - height + 1  # from this row on it would reach higher than another orientation does
            place = self._room(runs, width, begin, stop, max(size), spans)
            lowest.append(place[0] if place else max(begin, stop or 0))
            if place:
                found = (place[0] + height, *place, turns)
                best = min(found, best or found)
        assert best
        top, y, x, turns = best
        self._begin[size] = min(lowest)
        self.height = max(self.height, top)
        chart = 0
        for row, first, length in orientations[turns][3]:
            chart |= ((1 << length) - 1) << (row * self.columns + first)
        self.taken |= chart << (y * self.columns + x)
        return turns, (x, y)

    def _room(
        self, runs: list[Run], width: int, begin: int, stop: int | None, highest: int, spans: dict[int, _Span]
    ) -> tuple[int, int] | None:
        """(y, x) of the lowest, then leftmost place from row `begin` on where the runs meet nothing; None if that is
        not below row `stop`.

        highest: no run is in this row or above. spans: what is known of the rows from some row on, kept for the chart's
        other orientations.
        """
        left = self._left(width)
        while stop is None or begin < stop:
            if begin not in spans:
                everywhere = (1 << ((SPAN + highest) * self.columns)) - 1
                spans[begin] = _Span(everywhere & ~(self.taken >> (begin * self.columns)))
            span, free = spans[begin], left
            if stop is not None and stop - begin < SPAN:
                free &= (1 << ((stop - begin) * self.columns)) - 1
            for row, first, length in runs:
                free &= span.room(length) >> (row * self.columns + first)
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
