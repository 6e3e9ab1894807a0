"""Find the faces to cut off flat charts: layers on top of each other, and halves of charts too long for a page."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Floats, Indices
from sam3d_bento.export import raster
from sam3d_bento.export.grouping import expand_ranges, leads
from sam3d_bento.export.raster import Texels
from sam3d_bento.export.uv.flatten import FlatCharts
from sam3d_bento.export.uv.outline import Windows, find_layered_cells

# Longest edge that a chart's box may have, in edges of a square with the area of all charts. A longer chart is halved.
MAX_BOX_EDGE = 1.2

# Largest number of cells covered more than once that are looked at, which bounds the memory. Where there are more,
# evenly spaced ones are taken; the overlaps that these miss are found in the next round.
MAX_OVERLAP_CELLS = 1 << 16


def find_overlong(flat: FlatCharts, labels: Indices, area: float) -> Bool:
    """Find the faces (F,) bool in the far half of every chart that is longer than MAX_BOX_EDGE allows.

    A chart of a single face stays whole.

    labels (F,) int: the chart of each face.
    area: of all charts that are to share a page, in squared scene units.
    """
    long = (flat.extents.max(axis=1) > MAX_BOX_EDGE * np.sqrt(area)) & (np.bincount(labels) > 1)
    face = np.flatnonzero(long[labels])
    axis = flat.extents.argmax(axis=1)[labels[face]]
    centres = flat.corners[face].mean(axis=1)
    far = centres[np.arange(len(face)), axis] > flat.extents[labels[face], axis] / 2
    result = np.zeros(len(labels), dtype=bool)
    result[face[far]] = True
    return result


def find_overlaps(flat: FlatCharts, labels: Indices, scale: float, shift: Floats) -> Bool:
    """Find the faces (F,) bool to remove so that each chart has at most half as many layers (rounded up) anywhere.

    The faces are the upper or the lower layers of their chart, whichever have less area. Of two layers, one remains.

    labels (F,) int: the chart of each face.
    scale, shift (C, 2): each chart is scaled and then moved by its shift. Layers are counted at the centres of unit
    cells.
    """
    size = np.ceil(flat.extents * scale + shift).astype(np.intp) + 1
    windows = Windows(size[:, 0], size[:, 1])
    cells = find_layered_cells(flat.outline.transform(scale, shift), windows)
    cells = cells[:: 1 + len(cells) // MAX_OVERLAP_CELLS]
    result = np.zeros(len(labels), dtype=bool)
    if not len(cells):
        return result
    # The windows of these charts are stacked on top of each other to make one grid.
    chart, column, row = windows.locate(cells)
    several = np.zeros(len(size), dtype=bool)
    several[chart] = True
    tops = np.cumsum(size[:, 1] * several)
    bottoms, columns = tops - size[:, 1], int(size[several, 0].max())
    face = np.flatnonzero(several.take(labels))
    own = labels.take(face)
    corners = flat.corners.take(face, axis=0) * scale + shift.take(own, axis=0)[:, None]
    corners[:, :, 1] += bottoms.take(own)[:, None]
    texels = raster.rasterize_at((bottoms.take(chart) + row) * columns + column, corners, columns)

    below, above = _split_layers(texels, flat.heights.take(face, axis=0), own)
    areas = _compute_signed_areas(corners)
    least = [np.bincount(own, areas * half) for half in (below, above)]
    result[face] = np.where((least[0] <= least[1]).take(own), below, above)
    return result


def _split_layers(texels: Texels, heights: Floats, labels: Indices) -> tuple[Bool, Bool]:
    """Split each chart's layers into halves; return two (F,) bool: which faces are in the lower and in the upper half.

    Of three layers, the middle one is in neither half. Every chart with texels has faces in both halves.

    heights (F, 3): of the faces' corners above the plane of their chart.
    labels (F,) int: the chart of each face.

    In a chart of two layers, a face is in a half if it is there in any texel; without the faces of a half, nothing lies
    on anything. In a chart of more layers, the majority of a face's texels decides. Only texels with many layers vote,
    because some layers are missing near the borders, where single faces would be taken for those of another turn.
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
        [
            np.bincount(face.take(expand_ranges(first[where], stop[where])[1]), minlength=len(labels))
            for first, stop in halves
        ]
        for where in (slice(None), many)
    )
    below, above = votes[0] > votes[1], votes[1] > votes[0]
    decided = (most > 2) & np.logical_and(*(np.bincount(labels, half, len(most)) > 0 for half in (below, above)))
    decides = decided.take(labels)
    return np.where(decides, below, hits[0] > 0), np.where(decides, above, hits[1] > 0)


def _compute_signed_areas(corners: Floats) -> Floats:
    """Compute the signed areas (F,) of triangles (F, 3, 2); positive where counter-clockwise, y up."""
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: Floats = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return areas
