"""Draw the outlines of many flat charts at once, each in a separate window on a grid of square cells.

A cell in column x and row y of its window has its centre at (x + 0.5, y + 0.5). The windows lie one after the other in
one array, row by row. Here are the indices of the cells of two windows:

    window of chart 0      window of chart 1
                           row 2  12 13
    row 1  4 5 6 7         row 1  10 11
    row 0  0 1 2 3         row 0   8  9

Only the outline of a chart is used, never its inner edges: what the faces cover follows from the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import expand_ranges, stable_order

# Distance in cells from the centre of a cell, along each axis, at which a bilinear sample still reads the cell.
FOOTPRINT_CELLS = 1.0

EDGE_TOLERANCE_CELLS = 1e-7  # an outline that only just touches a cell counts as touching it

Counts = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Outline:
    """Border edges of charts, counter-clockwise around the inside (x right, y up); those of a chart form closed loops.

    chart (E,) int: of each edge. start, end (E, 2) float64: its end points.
    """

    chart: Indices
    start: Floats
    end: Floats

    def transform(self, scale: float, shift: Floats) -> Outline:
        """Scale the outline, then move each chart by its shift (C, 2); return a new outline."""
        by = shift.take(self.chart, axis=0)
        return Outline(self.chart, self.start * scale + by, self.end * scale + by)


@dataclass(frozen=True)
class Windows:
    """Windows of C charts in one array.

    columns, rows (C,) int: the size of each chart's window, in cells.
    """

    columns: Indices
    rows: Indices

    @property
    def starts(self) -> Indices:
        """Index (C + 1,) in the array at which each window begins, and the length of the array."""
        starts: Indices = np.concatenate([[0], np.cumsum(self.columns * self.rows)])
        return starts

    def locate(self, index: Indices) -> tuple[Indices, Indices, Indices]:
        """Return (chart, column, row) of ascending indices (N,) into the array, each (N,) int."""
        starts = self.starts
        chart = np.repeat(np.arange(len(self.rows)), np.diff(np.searchsorted(index, starts)))
        row, column = np.divmod(index - starts[chart], self.columns[chart])
        return chart, column, row


def count_layers(outline: Outline, windows: Windows) -> Counts:
    """Count how many faces of its chart cover the centre of each cell; return the counts as one array for all windows.

    The count is the winding number of the outline around the centre. A window needs one column more than its chart
    covers.
    """
    place, winding = _find_crossings(outline, windows)
    crossings = np.zeros(windows.starts[-1], dtype=np.int16)
    np.add.at(crossings, place, winding)
    return np.cumsum(crossings, dtype=np.int16)


def find_layered_cells(outline: Outline, windows: Windows) -> Indices:
    """Find the cells, ascending, that a chart covers more than once: where `count_layers` is more than 1.

    The layers of all other cells are not computed.
    """
    place, winding = _find_crossings(outline, windows)
    ordered = stable_order(place)
    place, covering = place.take(ordered), np.cumsum(winding.take(ordered))
    several = np.flatnonzero(covering > 1)  # each run ends at the next crossing; nothing follows the last
    _, cells = expand_ranges(place[several], place[several + 1])
    return cells


def find_sampled_cells(outline: Outline, windows: Windows) -> Bool:
    """Find the cells, as bool for each index of the array, that a bilinear sampler reads for some point of their chart.

    Their centres are within FOOTPRINT_CELLS of the point along both axes. A window needs one column more than that.
    """
    reach = FOOTPRINT_CELLS + EDGE_TOLERANCE_CELLS
    low = np.ceil(np.minimum(outline.start[:, 1], outline.end[:, 1]) - reach - 0.5).astype(np.intp)
    high = np.floor(np.maximum(outline.start[:, 1], outline.end[:, 1]) + reach + 0.5).astype(np.intp)
    edge, row = expand_ranges(low, high)
    (x, y), (run, rise) = (np.ascontiguousarray(ends.T) for ends in (outline.start, outline.end - outline.start))
    # Find the part of the edge at most `reach` above or below the centres of the row. A level edge is replaced by one
    # of the smallest rise, which lies within reach as a whole.
    rise[rise == 0] = np.finfo(np.float64).tiny
    above, rise, run, x = row + 0.5 - y.take(edge), rise.take(edge), run.take(edge), x.take(edge)
    with np.errstate(over="ignore"):
        one, other = (x + ((above + off) / rise).clip(0, 1) * run for off in (-reach, reach))
    left = np.ceil(np.minimum(one, other) - reach - 0.5).astype(np.intp)
    right = np.floor(np.maximum(one, other) + reach + 0.5).astype(np.intp)
    chart = outline.chart.take(edge)
    line = windows.starts.take(chart) + row * windows.columns.take(chart)
    length = windows.starts[-1]
    changes = np.bincount(line + left, minlength=length) - np.bincount(line + right, minlength=length)
    sampled: Bool = (np.cumsum(changes) > 0) | (count_layers(outline, windows) > 0)
    return sampled


def _find_crossings(outline: Outline, windows: Windows) -> tuple[Indices, Counts]:
    """Find where edges cross the rows; return (place, winding), each (N,).

    place: the index of the first cell in the row whose centre is right of the edge.
    winding: 1 for an edge that runs down, -1 for one that runs up.
    """
    low = np.ceil(np.minimum(outline.start[:, 1], outline.end[:, 1]) - 0.5).astype(np.intp)
    high = np.ceil(np.maximum(outline.start[:, 1], outline.end[:, 1]) - 0.5).astype(np.intp)
    edge, row = expand_ranges(low, high)
    (x, y), (run, rise) = (np.ascontiguousarray(ends.T) for ends in (outline.start, outline.end - outline.start))
    along = (row + 0.5 - y.take(edge)) / rise.take(edge)
    column = np.ceil(x.take(edge) + along * run.take(edge) - 0.5).astype(np.intp)
    chart = outline.chart.take(edge)
    place = windows.starts.take(chart) + row * windows.columns.take(chart) + column
    return place, np.where(rise < 0, 1, -1).astype(np.int16).take(edge)
