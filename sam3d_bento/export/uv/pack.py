"""Place flat charts in a square page, none closer to another than a bilinear sampler reads.

The page is a grid of cells. A chart takes every cell that is read for some point of it, no cell is taken twice, and so
no sample of one chart meets another one, as long as a texel is at most a cell. Charts are placed one by one, the
largest first, in the lowest row that has room.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import stable_order
from sam3d_bento.export.uv.flatten import Flat
from sam3d_bento.export.uv.outline import ON_EDGE, Windows, read_cells
from sam3d_bento.export.uv.page import Orientation, Page

FIRST_FILL = 0.76  # share of the cells that the charts take at the first scale tried
TRIES, WORK = (2, 4), 600  # more tries with fewer charts, so that they take about equal time
FEW, SAMPLE = 200, 250  # of more charts, about so many tell how large all can be
CAUTION = 0.995  # from the last try on: of the scale that would just fill the page if all went as before
SMALLEST = 0.05  # of the first scale; below, nothing will fit

HALF_ENOUGH = 100  # cells of a box; upside down, a smaller chart would hardly fit any better

MANY = 2000  # charts beyond the largest so many are placed on shelves, by their boxes: no holes are looked for


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
        cosine, sine = np.array([1, 0, -1, 0])[self.turns], np.array([0, 1, 0, -1])[self.turns]
        (x, y), (columns, rows) = self.shift.T, (self.columns, self.rows)
        zero = np.zeros(len(columns), dtype=np.intp)
        # Where the corner of the chart's own box comes to lie.
        across = self.places[:, 0] + cosine * x + sine * y + np.choose(self.turns, [zero, zero, columns, rows])
        up = self.places[:, 1] + cosine * y - sine * x + np.choose(self.turns, [zero, columns, rows, zero])
        cosine, sine = ((self.scale * values).take(labels)[:, None] for values in (cosine, sine))
        x, y = flat.corners[:, :, 0], flat.corners[:, :, 1]
        corners = np.empty(flat.corners.shape)
        np.add(cosine * x + sine * y, across.take(labels)[:, None], out=corners[:, :, 0])
        np.add(cosine * y - sine * x, up.take(labels)[:, None], out=corners[:, :, 1])
        return corners


def pack(flat: Flat, cells: int, known: float | None = None) -> Packing | None:
    """The charts as large as they were found to fit in a page of (cells, cells); None when they do not fit at all.

    known: a scale at which nearly the same charts have fitted, to save the search for it.
    """
    largest = (cells - 3) / flat.extents.max()
    count, tries = len(flat.extents), 1
    if known is not None:
        scale = min(known, largest)
    else:
        scale = _first_scale(flat, cells, largest)
        if FEW < count <= MANY:
            scale = min(_sampled_scale(flat, cells, scale), largest)
        else:
            tries = min(max(WORK // count, TRIES[0]), TRIES[1])
    smallest = SMALLEST * scale
    best: Packing | None = None
    while scale > smallest:
        packing, height = _placed(flat, scale, cells, by_area=bool(tries % 2))
        if height <= cells and (best is None or scale > best.scale):
            best = packing
        tries -= 1
        if tries <= 0 and best is not None:
            break
        sure = CAUTION if tries <= 1 and best is None else 1.0
        scale = min(scale * sure * float(np.sqrt(cells / height)), largest)
    return best


def _first_scale(flat: Flat, cells: int, largest: float) -> float:
    """Where the cells that the charts take fill the page as it usually is filled in the end."""
    scale = min(cells / float(np.sqrt(flat.extents.prod(axis=1).sum())), largest)
    return min(_filling(flat, scale, FIRST_FILL * cells**2), largest)


def _filling(flat: Flat, scale: float, cells: float) -> float:
    """About the scale at which the charts take so many cells, from another one."""
    return scale * float(np.sqrt(cells / _Boxes(flat, scale).cells.sum()))


def _sampled_scale(flat: Flat, cells: int, scale: float) -> float:
    """Where all charts should just fill the page, after some of them have been placed on as large a part of it."""
    boxes = _Boxes(flat, scale)
    sample = boxes.by_area()[:: max(2, len(boxes.cells) // SAMPLE)]
    taken = boxes.cells[sample].sum()
    columns = int(cells * np.sqrt(taken / boxes.cells.sum()))
    page = Page(max(columns, int(boxes.columns.max()), int(boxes.rows.max())))
    for orientations in boxes.orientations(page.columns, sample):
        page.add(orientations)
    fill = taken / (page.height * page.columns) * cells**2
    # What the charts take grows more slowly than their area.
    return _filling(flat, scale * float(np.sqrt(fill / boxes.cells.sum())), fill)


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

    def by_area(self) -> Indices:
        """(C,) the charts, the largest first."""
        order: Indices = np.lexsort((-np.maximum(self.columns, self.rows), -self.cells))
        return order

    def orientations(self, page: int, charts: Indices) -> Iterator[list[Orientation]]:
        """Of each of the charts (N,), those worth trying on a page of so many columns."""
        along, across = _Runs.of(self._read, self._windows), _Runs.of(*self._transposed())
        columns, rows = self.columns.take(along.chart), self.rows.take(along.chart)
        width, height = self.rows.take(across.chart), self.columns.take(across.chart)
        firsts = [
            values.tolist()
            for values in (
                along.row * page + along.column,
                (height - 1 - across.row) * page + across.column,
                (rows - 1 - along.row) * page + columns - along.column - along.length,
                across.row * page + width - across.column - across.length,
            )
        ]
        lengths = [runs.length.tolist() for runs in (along, across)]
        bounds = [np.searchsorted(runs.chart, np.arange(len(self.rows) + 1)).tolist() for runs in (along, across)]
        sizes = list(zip(self.columns.tolist(), self.rows.tolist(), strict=True))
        for chart in charts.tolist():
            size = sizes[chart]
            found = []
            for turns in range(4 if size[0] * size[1] >= HALF_ENOUGH else 2):
                some = slice(bounds[turns % 2][chart], bounds[turns % 2][chart + 1])
                runs = firsts[turns][some], lengths[turns % 2][some]
                found.append(Orientation(turns, size[turns % 2], size[1 - turns % 2], *runs))
            yield found

    def _transposed(self) -> tuple[Bool, Windows]:
        """The cells read and their windows, rows and columns having changed places."""
        chart, column, row = self._windows.locate(np.flatnonzero(self._read))
        windows = Windows(self.rows + 1, self.columns)
        read = np.zeros(windows.starts[-1], dtype=bool)
        read[windows.starts[chart] + column * windows.columns[chart] + row] = True
        return read, windows


@dataclass(frozen=True)
class _Runs:
    """Runs (N,) of cells along the rows of windows, those of a chart together, its longest first."""

    chart: Indices
    column: Indices
    row: Indices
    length: Indices

    @classmethod
    def of(cls, read: Bool, windows: Windows) -> _Runs:
        """The last column of a window is empty."""
        change = np.flatnonzero(np.diff(read, prepend=False))
        begin, stop = change[::2], change[1::2]
        places, length = windows.locate(begin), stop - begin
        ordered = stable_order((places[0] + 1) * (int(length.max()) + 1) - length)
        return cls(*(values.take(ordered) for values in (*places, length)))


def _placed(flat: Flat, scale: float, cells: int, *, by_area: bool) -> tuple[Packing, int]:
    """All charts at this scale on a page of `cells` columns and as many rows as they need, and that number of rows."""
    boxes = _Boxes(flat, scale)
    turns = np.zeros(len(boxes.cells), dtype=np.intp)
    places = np.zeros((len(boxes.cells), 2), dtype=np.intp)
    longer = np.maximum(boxes.columns, boxes.rows)
    order = boxes.by_area() if by_area else np.lexsort((-boxes.cells, -longer))
    page = Page(cells)
    largest, rest = order[:MANY], order[MANY:]
    added = [page.add(orientations) for orientations in boxes.orientations(cells, largest)]
    turns[largest], places[largest] = [turn for turn, _ in added], [place for _, place in added]
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
