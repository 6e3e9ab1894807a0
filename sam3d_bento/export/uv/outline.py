"""Draw the outlines of many flat charts at once, each in a window of its own on a grid of square cells.

A cell in column x and row y of its window has its centre at (x + 0.5, y + 0.5). The windows lie one after the other in
one array, row by row. Inner edges of a chart are never looked at: what the faces cover follows from the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export.grouping import members, stable_order

# How far from the centre of a cell, along each axis, a bilinear sample still reads the cell.
FOOTPRINT = 1.0

ON_EDGE = 1e-7  # cells; what only just touches does touch

Counts = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Outline:
    """chart (E,) int, start and end (E, 2) float64: the border edges of all charts, counter-clockwise (x right, y up)
    around what is inside. Those of a chart form closed loops."""

    chart: Indices
    start: Floats
    end: Floats

    def moved(self, scale: float, shift: Floats) -> Outline:
        """Scaled, then moved by the shift (C, 2) of each chart."""
        by = shift.take(self.chart, axis=0)
        return Outline(self.chart, self.start * scale + by, self.end * scale + by)


@dataclass(frozen=True)
class Windows:
    """columns, rows (C,) int: the size of each chart's window."""

    columns: Indices
    rows: Indices

    @property
    def starts(self) -> Indices:
        """(C + 1,) where each window begins in the array, and the length of the array."""
        starts: Indices = np.concatenate([[0], np.cumsum(self.columns * self.rows)])
        return starts

    def locate(self, index: Indices) -> tuple[Indices, Indices, Indices]:
        """(chart, column, row) of places in the array, which are in order."""
        starts = self.starts
        chart = np.repeat(np.arange(len(self.rows)), np.diff(np.searchsorted(index, starts)))
        row, column = np.divmod(index - starts[chart], self.columns[chart])
        return chart, column, row


def layers(outline: Outline, windows: Windows) -> Counts:
    """How many faces of the chart cover the centre of each cell: the winding number of the outline around it.

    A window needs one column more than its chart covers.
    """
    place, winding = _crossings(outline, windows)
    crossings = np.zeros(windows.starts[-1], dtype=np.int16)
    np.add.at(crossings, place, winding)
    return np.cumsum(crossings, dtype=np.int16)


def layered(outline: Outline, windows: Windows) -> Indices:
    """Where `layers` is more than 1, in order, without the layers of all the other cells."""
    place, winding = _crossings(outline, windows)
    ordered = stable_order(place)
    place, covering = place.take(ordered), np.cumsum(winding.take(ordered))
    several = np.flatnonzero(covering > 1)  # from one crossing to the next; behind the last there is nothing
    _, cells = members(place[several], place[several + 1])
    return cells


def read_cells(outline: Outline, windows: Windows) -> Bool:
    """Which cells a bilinear sampler reads for some point of the chart: those whose centre is within FOOTPRINT of it
    along both axes. A window needs one column more than that."""
    reach = FOOTPRINT + ON_EDGE
    low = np.ceil(np.minimum(outline.start[:, 1], outline.end[:, 1]) - reach - 0.5).astype(np.intp)
    high = np.floor(np.maximum(outline.start[:, 1], outline.end[:, 1]) + reach + 0.5).astype(np.intp)
    edge, row = members(low, high)
    (x, y), (run, rise) = (np.ascontiguousarray(ends.T) for ends in (outline.start, outline.end - outline.start))
    # The part of the edge at most `reach` above or below the centres of the row. All of a level one is, within any
    # rise but none.
    rise[rise == 0] = np.finfo(np.float64).tiny
    above, rise, run, x = row + 0.5 - y.take(edge), rise.take(edge), run.take(edge), x.take(edge)
    with np.errstate(over="ignore"):
        one, other = (x + ((above + off) / rise).clip(0, 1) * run for off in (-reach, reach))
    left = np.ceil(np.minimum(one, other) - reach - 0.5).astype(np.intp)
    right = np.floor(np.maximum(one, other) + reach + 0.5).astype(np.intp)
    chart = outline.chart.take(edge)
    line = windows.starts.take(chart) + row * windows.columns.take(chart)
    length = windows.starts[-1]
    spans = np.bincount(line + left, minlength=length) - np.bincount(line + right, minlength=length)
    read: Bool = (np.cumsum(spans) > 0) | (layers(outline, windows) > 0)
    return read


def _crossings(outline: Outline, windows: Windows) -> tuple[Indices, Counts]:
    """(place, winding): the first cell in its row right of an edge, and 1 or -1 as the edge runs down or up."""
    low = np.ceil(np.minimum(outline.start[:, 1], outline.end[:, 1]) - 0.5).astype(np.intp)
    high = np.ceil(np.maximum(outline.start[:, 1], outline.end[:, 1]) - 0.5).astype(np.intp)
    edge, row = members(low, high)
    (x, y), (run, rise) = (np.ascontiguousarray(ends.T) for ends in (outline.start, outline.end - outline.start))
    along = (row + 0.5 - y.take(edge)) / rise.take(edge)
    column = np.ceil(x.take(edge) + along * run.take(edge) - 0.5).astype(np.intp)
    chart = outline.chart.take(edge)
    place = windows.starts.take(chart) + row * windows.columns.take(chart) + column
    return place, np.where(rise < 0, 1, -1).astype(np.int16).take(edge)
