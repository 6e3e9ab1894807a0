"""Pack flat charts into a square page, so that no bilinear sample of one chart reads another one.

The page is a grid of cells. A chart takes every cell that is read for some point of it, and no cell is taken twice. So
no sample of a chart reads another chart, as long as a texel is at most a cell. Charts are placed one by one, the
largest first, in the lowest row that has room. The smallest of very many charts are placed on shelves above the others:

    +---------------------------------+
    | +---+ +---+ +--+                |
    | |   | |   | +--+                |  shelf 1
    | +----+ +---+ +---+ +--+ +--+ +-+|
    | |    | |   | |   | |  | +--+ +-+|  shelf 0: as high as its highest box
    |---------------------------------|
    |    the largest charts, each     |
    |    in the lowest free place     |
    +---------------------------------+
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import leads, stable_order
from sam3d_bento.export.uv.flatten import FlatCharts
from sam3d_bento.export.uv.outline import EDGE_TOLERANCE_CELLS, Windows, find_sampled_cells
from sam3d_bento.export.uv.page import Orientation, Page

FIRST_FILL = 0.76  # share of the page's cells that the charts take at the first scale tried

# Scales that are tried before the best one so far is taken: CHARTS_PER_TRY_BUDGET / charts, within these limits. Few
# charts are tried more often, so that any number of them takes about equal time.
MIN_TRIES = 2
MAX_TRIES = 3
CHARTS_PER_TRY_BUDGET = 300  # charts times tries

SAMPLE_ABOVE = 200  # charts; above this number, the scale is estimated from a sample of them
SAMPLE_SIZE = 250  # charts, about

# Factor on the scale that would just fill the page if the charts packed as before. It applies from the last try on
# while nothing has fitted, so that the next scale very likely does.
SAFETY_FACTOR = 0.995

LEAST_GAIN = 1.008  # factor on the best scale so far from which another try is worth its time

MIN_SCALE = 0.05  # of the first scale; where no scale above it fits, none does

# Cells of a box from which all four quarter turns are tried instead of two. Upside down, a smaller chart would hardly
# fit any better.
FOUR_TURNS_FROM_CELLS = 100

# Power of two: distance in rows between the first runs of a chart that are tested (see `_CellRuns`).
SPREAD_ROWS = 32

# Charts, the largest first, that are placed where their cells are free. The others are placed on shelves by their
# boxes, which does not look for holes and takes less time.
SHELF_PACK_AFTER = 2000


@dataclass(frozen=True)
class Packing:
    """Place of each chart on the page, in cells.

    All charts have the same scale. Each is moved by its shift (C, 2) into a box of so many columns and rows (C,). The
    box is given so many quarter turns (C,), each (x, y) -> (y, columns - x), and its corner is moved to its place, of
    `places` (C, 2).
    """

    scale: float
    shift: Floats
    columns: Indices
    rows: Indices
    turns: Indices
    places: Indices

    def place(self, flat: FlatCharts, labels: Indices) -> Floats:
        """Place the corners of the faces on the page; return (F, 3, 2) in cells, x right and y up.

        labels (F,) int: the chart of each face.
        """
        cosine, sine = np.array([1, 0, -1, 0])[self.turns], np.array([0, 1, 0, -1])[self.turns]
        (x, y), (columns, rows) = self.shift.T, (self.columns, self.rows)
        zero = np.zeros(len(columns), dtype=np.intp)
        # The place of the corner of the chart before it was turned.
        across = self.places[:, 0] + cosine * x + sine * y + np.choose(self.turns, [zero, zero, columns, rows])
        up = self.places[:, 1] + cosine * y - sine * x + np.choose(self.turns, [zero, columns, rows, zero])
        cosine, sine = ((self.scale * values).take(labels)[:, None] for values in (cosine, sine))
        x, y = flat.corners[:, :, 0], flat.corners[:, :, 1]
        corners = np.empty(flat.corners.shape)
        np.add(cosine * x + sine * y, across.take(labels)[:, None], out=corners[:, :, 0])
        np.add(cosine * y - sine * x, up.take(labels)[:, None], out=corners[:, :, 1])
        return corners


def pack(flat: FlatCharts, cells: int, known_scale: float | None = None) -> Packing | None:
    """Pack the charts at the largest scale found that fits into a page of (cells, cells); return None when none fits.

    known_scale: a scale at which nearly the same charts have fitted before, which saves the search.
    """
    largest = (cells - 3) / flat.extents.max()
    count, tries = len(flat.extents), 1
    if known_scale is not None:
        scale = min(known_scale, largest)
    else:
        scale = _guess_scale(flat, cells, largest)
        if SAMPLE_ABOVE < count <= SHELF_PACK_AFTER:
            scale = min(_estimate_scale(flat, cells, scale), largest)
        else:
            tries = min(max(CHARTS_PER_TRY_BUDGET // count, MIN_TRIES), MAX_TRIES)
    smallest = MIN_SCALE * scale
    best: Packing | None = None
    while scale > smallest:
        packing, height = _place_charts(flat, scale, cells)
        if height <= cells and (best is None or scale > best.scale):
            best = packing
        tries -= 1
        if tries <= 0 and best is not None:
            break
        filling = scale * float(np.sqrt(cells / height))
        if best is None:
            scale = min(filling * (SAFETY_FACTOR if tries <= 1 else 1.0), largest)
        elif best.scale < largest:
            scale = min(max(filling, best.scale * LEAST_GAIN), largest)
        else:
            break
    return best


def _guess_scale(flat: FlatCharts, cells: int, largest: float) -> float:
    """Guess the scale at which the cells of the charts fill the page to FIRST_FILL, from the areas of their boxes."""
    scale = min(cells / float(np.sqrt(flat.extents.prod(axis=1).sum())), largest)
    return min(_scale_to_fill(flat, scale, FIRST_FILL * cells**2), largest)


def _scale_to_fill(flat: FlatCharts, scale: float, cells: float) -> float:
    """Estimate the scale at which the charts take so many cells, from the cells that they take at `scale`."""
    return scale * float(np.sqrt(cells / _ChartBoxes(flat, scale).cells.sum()))


def _estimate_scale(flat: FlatCharts, cells: int, scale: float) -> float:
    """Estimate the scale at which all charts just fill the page.

    A sample of the charts is placed on a page of their share of the area.
    """
    boxes = _ChartBoxes(flat, scale)
    sample = boxes.sort_by_cells()[:: max(2, len(boxes.cells) // SAMPLE_SIZE)]
    taken = boxes.cells[sample].sum()
    columns = int(cells * np.sqrt(taken / boxes.cells.sum()))
    page = Page(max(columns, int(boxes.columns.max()), int(boxes.rows.max())))
    for orientations in boxes.list_orientations(page.columns, sample):
        page.add(orientations)
    fill = taken / (page.height * page.columns) * cells**2
    # The cells that charts take grow more slowly than their area, because of the cells around them.
    return _scale_to_fill(flat, scale * float(np.sqrt(fill / boxes.cells.sum())), fill)


class _ChartBoxes:
    """Charts at one scale, with the cells that each takes of its box."""

    def __init__(self, flat: FlatCharts, scale: float) -> None:
        extents = flat.extents * scale
        # A cell is read if its centre lies in the chart's box, grown by 1 at all sides. These cells are fewest when the
        # chart is in the middle of its cells; at least two along each axis.
        reached = extents + 2 * (1 + EDGE_TOLERANCE_CELLS)
        size = np.maximum(np.ceil(reached + EDGE_TOLERANCE_CELLS).astype(np.intp) - 1, 2)
        self.shift = (size - extents) / 2
        self.columns, self.rows = size.T
        self._windows = Windows(self.columns + 1, self.rows)
        self._sampled = find_sampled_cells(flat.outline.transform(scale, self.shift), self._windows)
        self.cells = np.add.reduceat(self._sampled, self._windows.starts[:-1], dtype=np.intp)

    def sort_by_cells(self) -> Indices:
        """Sort the charts (C,) by the number of their cells, the largest first."""
        order: Indices = np.lexsort((-np.maximum(self.columns, self.rows), -self.cells))
        return order

    def list_orientations(self, page_columns: int, charts: Indices) -> Iterator[list[Orientation]]:
        """List for each of the charts (N,) the orientations worth trying on a page of so many columns."""
        along, across = _CellRuns.find(self._sampled, self._windows), _CellRuns.find(*self._transpose())
        columns, rows = self.columns.take(along.chart), self.rows.take(along.chart)
        width, height = self.rows.take(across.chart), self.columns.take(across.chart)
        firsts = [
            values.tolist()
            for values in (
                along.row * page_columns + along.column,
                (height - 1 - across.row) * page_columns + across.column,
                (rows - 1 - along.row) * page_columns + columns - along.column - along.length,
                across.row * page_columns + width - across.column - across.length,
            )
        ]
        lengths = [runs.length.tolist() for runs in (along, across)]
        bounds = [np.searchsorted(runs.chart, np.arange(len(self.rows) + 1)).tolist() for runs in (along, across)]
        sizes = list(zip(self.columns.tolist(), self.rows.tolist(), strict=True))
        for chart in charts.tolist():
            size = sizes[chart]
            found = []
            for turns in range(4 if size[0] * size[1] >= FOUR_TURNS_FROM_CELLS else 2):
                some = slice(bounds[turns % 2][chart], bounds[turns % 2][chart + 1])
                runs = firsts[turns][some], lengths[turns % 2][some]
                found.append(Orientation(turns, size[turns % 2], size[1 - turns % 2], *runs))
            yield found

    def _transpose(self) -> tuple[Bool, Windows]:
        """Swap rows and columns of the cells read and of their windows."""
        chart, column, row = self._windows.locate(np.flatnonzero(self._sampled))
        windows = Windows(self.rows + 1, self.columns)
        sampled = np.zeros(windows.starts[-1], dtype=bool)
        sampled[windows.starts[chart] + column * windows.columns[chart] + row] = True
        return sampled, windows


@dataclass(frozen=True)
class _CellRuns:
    """Runs (N,) of cells along the rows of windows, grouped by chart.

    The runs of a chart come in an order in which few of them tell where there is no room: the longest one, then those
    of rows far from its row and from each other. Neighbouring rows are much alike, so that the second tells little.
    """

    chart: Indices
    column: Indices
    row: Indices
    length: Indices

    @classmethod
    def find(cls, sampled: Bool, windows: Windows) -> _CellRuns:
        """Find the runs of the cells read. The last column of each window must be empty."""
        change = np.flatnonzero(np.diff(sampled, prepend=False))
        begin, stop = change[::2], change[1::2]
        places, length = windows.locate(begin), stop - begin
        longest_first = stable_order((places[0] + 1) * (int(length.max()) + 1) - length)
        chart, column, row, length = (values.take(longest_first) for values in (*places, length))
        lead = np.flatnonzero(leads(chart))
        away = row - np.repeat(row.take(lead), np.diff(lead, append=len(row)))
        # Rows a multiple of SPREAD_ROWS away come first, then those half way between these, and so on.
        spread = np.where(away % SPREAD_ROWS, away & -away, SPREAD_ROWS)
        ordered = stable_order((chart + 1) * (SPREAD_ROWS + 1) - spread)
        return cls(*(values.take(ordered) for values in (chart, column, row, length)))


def _place_charts(flat: FlatCharts, scale: float, cells: int) -> tuple[Packing, int]:
    """Place all charts on a page of `cells` columns at this scale; return also the number of rows that they need.

    The largest come first: those of most cells or, where that takes fewer rows, those of the longest boxes. Of more
    than SAMPLE_ABOVE charts, only the first order is tried.
    """
    boxes = _ChartBoxes(flat, scale)
    longer = np.maximum(boxes.columns, boxes.rows)
    orders = [boxes.sort_by_cells(), np.lexsort((-boxes.cells, -longer))]
    if len(longer) > SAMPLE_ABOVE:
        orders = orders[:1]
    largest = np.unique([order[:SHELF_PACK_AFTER] for order in orders])
    orientations = dict(zip(largest.tolist(), boxes.list_orientations(cells, largest), strict=True))
    best: tuple[Packing, int] | None = None
    for order in orders:
        best = _place_in_order(boxes, orientations, order, scale, cells, best and best[1]) or best
    assert best
    return best


def _place_in_order(
    boxes: _ChartBoxes,
    orientations: dict[int, list[Orientation]],
    order: Indices,
    scale: float,
    cells: int,
    too_high: int | None,
) -> tuple[Packing, int] | None:
    """Place the charts in this order (C,), as `_place_charts` does; return None if they reach the row `too_high`.

    orientations: by chart, at least of those that are not placed on shelves.
    """
    turns = np.zeros(len(boxes.cells), dtype=np.intp)
    places = np.zeros((len(boxes.cells), 2), dtype=np.intp)
    longer = np.maximum(boxes.columns, boxes.rows)
    page = Page(cells)
    largest, rest = order[:SHELF_PACK_AFTER], order[SHELF_PACK_AFTER:]
    for chart in largest.tolist():
        turns[chart], places[chart] = page.add(orientations[chart])
        if too_high is not None and page.height >= too_high:
            return None
    turns[rest] = boxes.rows[rest] > boxes.columns[rest]
    places[rest], height = _place_on_shelves(
        longer[rest], np.minimum(boxes.columns, boxes.rows)[rest], cells, page.height
    )
    return Packing(scale, boxes.shift, boxes.columns, boxes.rows, turns, places), height


def _place_on_shelves(widths: Indices, heights: Indices, columns: int, bottom: int) -> tuple[Indices, int]:
    """Place boxes on shelves from row `bottom` up; return their places (N, 2) and the row at which the last shelf ends.

    A shelf is as high as its highest box. The highest boxes come first.
    """
    places = np.zeros((len(widths), 2), dtype=np.intp)
    x, y, top = columns, bottom, bottom
    order = np.lexsort((-widths, -heights))
    for box, width, height in zip(order.tolist(), widths[order].tolist(), heights[order].tolist(), strict=True):
        if x + width > columns:
            x, y, top = 0, top, top + height
        places[box] = x, y
        x += width
    return places, top
