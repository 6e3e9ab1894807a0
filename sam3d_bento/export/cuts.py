"""Find what has to be cut off flat charts: layers on top of each other, and halves of charts too long for a page."""

from __future__ import annotations

import numpy as np

from sam3d_bento.export import raster
from sam3d_bento.export.flatten import Flat
from sam3d_bento.export.outline import Windows, layered
from sam3d_bento.export.surface import Floats, Indices
from sam3d_bento.reconstruction import Bool, Float32

# Edge of a chart's box, as a share of the edge of a square with the area of all charts.
LONGEST = 1.2


def overlong(flat: Flat, labels: Indices) -> Bool:
    """(F,) the faces in the far half of every chart that is longer than LONGEST allows. labels (F,): their charts."""
    longest = LONGEST * np.sqrt(_areas(flat.corners).sum())
    long = (flat.extents.max(axis=1) > longest) & (np.bincount(labels) > 1)
    face = np.flatnonzero(long[labels])
    axis = flat.extents.argmax(axis=1)[labels[face]]
    centres = flat.corners[face].mean(axis=1)
    far = centres[np.arange(len(face)), axis] > flat.extents[labels[face], axis] / 2
    result = np.zeros(len(labels), dtype=bool)
    result[face[far]] = True
    return result


def overlapping(flat: Flat, labels: Indices, scale: float, shift: Floats) -> Bool:
    """(F,) the faces without which no point of a grid is covered twice by one chart; the smaller of two layers goes.

    The points are the centres of the cells of a unit grid, when the chart is scaled and then moved by its shift (C, 2).
    """
    size = np.ceil(flat.extents * scale + shift).astype(np.intp) + 1
    windows = Windows(size[:, 0], size[:, 1])
    chart, column, row = windows.locate(layered(flat.outline.moved(scale, shift), windows))
    result = np.zeros(len(labels), dtype=bool)
    for which in np.unique(chart):
        face = np.flatnonzero(labels == which)
        here = chart == which
        edge = int(size[which].max())
        cells = row[here] * edge + column[here]
        corners = flat.corners[face] * scale + shift[which]
        result[face[_smaller_layer(corners, flat.heights[face], cells, edge)]] = True
    return result


def _smaller_layer(corners: Floats, heights: Floats, cells: Indices, edge: int) -> Indices:
    """Which faces cover one of the cells, but none of them on top; or none at the bottom, if these have less area."""
    uv = (corners.reshape(-1, 2) / edge).astype(np.float32)
    covering = list(raster.inside(uv, np.arange(len(uv), dtype=np.int32).reshape(-1, 3), edge))
    index = np.concatenate([texels.index for texels in covering])
    face = np.concatenate([texels.faces for texels in covering])
    weights: Float32 = np.concatenate([texels.weights for texels in covering])
    twice = np.isin(index, cells)
    index, face = index[twice], face[twice]
    height = np.einsum("ij,ij->i", weights[twice], heights[face])
    order = np.lexsort((height, index))
    index, face = index[order], face[order]
    top = np.append(index[1:] != index[:-1], True)
    bottom = np.append(True, index[1:] != index[:-1])
    layers_below = np.unique(face[~top])
    layers_above = np.unique(face[~bottom])
    areas = _areas(corners)
    return min(layers_below, layers_above, key=lambda faces: float(areas[faces].sum()))


def _areas(corners: Floats) -> Floats:
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: Floats = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return areas
