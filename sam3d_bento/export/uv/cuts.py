"""Find what has to be cut off flat charts: layers on top of each other, and halves of charts too long for a page."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export import raster
from sam3d_bento.export.grouping import leads, members
from sam3d_bento.export.raster import Texels
from sam3d_bento.export.uv.flatten import Flat
from sam3d_bento.export.uv.outline import Windows, layered

# Edge of a chart's box, as a share of the edge of a square with the area of all charts.
LONGEST = 1.2

# Of more cells covered twice only some are looked at, which bounds the memory: what they leave, the next look finds.
MOST_CELLS = 1 << 16


def overlong(flat: Flat, labels: Indices, area: float) -> Bool:
    """(F,) the faces in the far half of every chart that is longer than LONGEST allows; single faces stay whole.

    labels (F,): their charts; area: of all charts that are to share a page.
    """
    long = (flat.extents.max(axis=1) > LONGEST * np.sqrt(area)) & (np.bincount(labels) > 1)
    face = np.flatnonzero(long[labels])
    axis = flat.extents.argmax(axis=1)[labels[face]]
    centres = flat.corners[face].mean(axis=1)
    far = centres[np.arange(len(face)), axis] > flat.extents[labels[face], axis] / 2
    result = np.zeros(len(labels), dtype=bool)
    result[face[far]] = True
    return result


def overlapping(flat: Flat, labels: Indices, scale: float, shift: Floats) -> Bool:
    """(F,) the faces without which no point of a grid is covered by more than half as many layers of one chart: the
    upper or the lower ones, whichever have less area. Where there are two layers, one is left.

    The points are the centres of the cells of a unit grid, when the chart is scaled and then moved by its shift (C, 2).
    """
    size = np.ceil(flat.extents * scale + shift).astype(np.intp) + 1
    windows = Windows(size[:, 0], size[:, 1])
    cells = layered(flat.outline.moved(scale, shift), windows)
    cells = cells[:: 1 + len(cells) // MOST_CELLS]
    result = np.zeros(len(labels), dtype=bool)
    if not len(cells):
        return result
    # The windows of these charts, one above the other, are one grid.
    chart, column, row = windows.locate(cells)
    several = np.zeros(len(size), dtype=bool)
    several[chart] = True
    tops = np.cumsum(size[:, 1] * several)
    bottoms, columns = tops - size[:, 1], int(size[several, 0].max())
    face = np.flatnonzero(several.take(labels))
    own = labels.take(face)
    corners = flat.corners.take(face, axis=0) * scale + shift.take(own, axis=0)[:, None]
    corners[:, :, 1] += bottoms.take(own)[:, None]
    texels = raster.among((bottoms.take(chart) + row) * columns + column, corners, columns)

    below, above = _halves(texels, flat.heights.take(face, axis=0), own)
    areas = _areas(corners)
    least = [np.bincount(own, areas * half) for half in (below, above)]
    result[face] = np.where((least[0] <= least[1]).take(own), below, above)
    return result


def _halves(texels: Texels, heights: Floats, labels: Indices) -> tuple[Bool, Bool]:
    """(F,) which faces are among the lower half of the layers, and which among the upper; of three the middle one is in
    neither. Every chart with texels has faces in both.

    heights (F, 3): of the faces' corners above the plane of their chart; labels (F,): that chart.

    With two layers a face is in a half if it is so in one of the texels, and without these faces nothing lies on
    anything. Where there are more, most of its texels decide, and only those where the layers are many: at the rims
    some are missing, and single faces would be taken for those of another turn.
    """
    height = np.einsum("ij,ij->i", texels.weights, heights.take(texels.faces, axis=0))
    order = np.lexsort((height, texels.index))
    face, lead = texels.faces.take(order), np.flatnonzero(leads(texels.index.take(order)))
    layers = np.diff(lead, append=len(face))
    chart = labels.take(face.take(lead))
    most = np.zeros(int(labels.max()) + 1, dtype=np.intp)
    np.maximum.at(most, chart, layers)

    halves = (lead, lead + layers // 2), (lead + (layers + 1) // 2, lead + layers)
    many = 2 * layers > most.take(chart)
    hits, votes = (
        [np.bincount(face.take(members(first[of], stop[of])[1]), minlength=len(labels)) for first, stop in halves]
        for of in (slice(None), many)
    )
    below, above = votes[0] > votes[1], votes[1] > votes[0]
    decided = (most > 2) & np.logical_and(*(np.bincount(labels, half, len(most)) > 0 for half in (below, above)))
    decides = decided.take(labels)
    return np.where(decides, below, hits[0] > 0), np.where(decides, above, hits[1] > 0)


def _areas(corners: Floats) -> Floats:
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: Floats = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return areas
