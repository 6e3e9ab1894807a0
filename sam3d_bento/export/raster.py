"""Find the texels that a mesh covers in its texture, and the point of a face that each of them shows.

Texture coordinates become texels by `uv * size`. The texel in column x and row y has its centre at (x + 0.5, y + 0.5).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import distinct, expand_ranges

# Texels in a batch. It bounds the memory of a batch to some tens of megabytes and its time to a fraction of a second.
BATCH_TEXELS = 1 << 17

# Distance in texels from a chart's border at which texels are painted too: bilinear sampling inside a chart reads
# texels up to one column and one row outside it.
BORDER_REACH_TEXELS = 1.5

EDGE_TOLERANCE_TEXELS = 1e-9  # texels; so a centre exactly on an edge is inside the faces on both sides


@dataclass(frozen=True)
class Texels:
    """Texels with the points of faces that they show.

    index (N,) int: row * size + column.
    faces (N,) int: the face that each texel shows.
    weights (N, 3) float32: barycentric, of the face's corners.
    """

    index: Indices
    faces: Indices
    weights: Float32


def rasterize(uv: Float32, faces: Int32, size: int) -> Iterator[Texels]:
    """Yield batches of the texels whose centre lies in a face.

    A texel comes several times where faces meet or overlap. uv (V, 2) float32, faces (F, 3) int32; size of the texture
    in texels.
    """
    corners = uv.take(faces, axis=0).astype(np.float64) * size
    face, row = _find_rows(corners[:, :, 1].min(axis=1), corners[:, :, 1].max(axis=1), size)
    left, right = _find_row_ends(corners, face, row)
    slopes, starts = _find_weight_lines(corners, face, row + 0.5)
    for span, x in _find_columns(left, right, size):
        chosen = face.take(span)
        weights = _compute_weights(slopes.take(chosen, axis=1), starts.take(span, axis=1), x + 0.5)
        yield Texels(row.take(span) * size + x, chosen, weights)


def rasterize_at(index: Indices, corners: Floats, columns: int) -> Texels:
    """Find which of the given texels have their centre in a face; a texel comes several times where faces overlap.

    index (N,) int: row * columns + column of the texels, ascending. corners (F, 3, 2) float64: of the faces, in texels.
    """
    rows = int(index[-1]) // columns + 1
    wanted = np.zeros(rows, dtype=bool)
    wanted[index // columns] = True
    face, row = _find_rows(corners[:, :, 1].min(axis=1), corners[:, :, 1].max(axis=1), rows)
    met = wanted.take(row)
    face, row = face.compress(met), row.compress(met)
    first, stop = _find_centres(*_find_row_ends(corners, face, row), columns)
    span, which = expand_ranges(*(np.searchsorted(index, row * columns + column) for column in (first, stop)))
    found = index.take(which)
    slopes, starts = _find_weight_lines(corners, face, row + 0.5)
    chosen = face.take(span)
    weights = _compute_weights(slopes.take(chosen, axis=1), starts.take(span, axis=1), found % columns + 0.5)
    return Texels(found, chosen, weights)


def rasterize_borders(uv: Float32, faces: Int32, size: int, covered: Bool) -> Iterator[Texels]:
    """Yield batches of the uncovered texels close to a chart's border, with the nearest point of a border.

    covered (size * size,) bool: the texels that faces cover. These texels serve two purposes: a chart thinner than a
    texel is painted too, and sampling along a seam reads nothing of another chart.
    """
    face, corner = _find_border_edges(faces)
    start = uv[faces[face, corner]].astype(np.float64) * size
    end = uv[faces[face, (corner + 1) % 3]].astype(np.float64) * size

    nearest = np.full(size * size, BORDER_REACH_TEXELS**2, dtype=np.float32)
    owner = np.full(size * size, -1, dtype=np.int32)
    for edge, index, x, y in _find_near_texels(start, end, size):
        near, far = start.take(edge, axis=0), end.take(edge, axis=0)
        along = _project_onto_edges(near, far, x + 0.5, y + 0.5)
        foot = near + along[:, None] * (far - near)
        distance = ((x + 0.5 - foot[:, 0]) ** 2 + (y + 0.5 - foot[:, 1]) ** 2).astype(np.float32)
        np.minimum.at(nearest, index, distance)
        closest = distance <= nearest[index]
        owner[index[closest]] = edge[closest]
    owner[covered] = -1

    border = np.flatnonzero(owner >= 0)
    for first in range(0, len(border), BATCH_TEXELS):
        index = border[first : first + BATCH_TEXELS]
        edge = owner[index].astype(np.intp)
        along = _project_onto_edges(start[edge], end[edge], index % size + 0.5, index // size + 0.5)
        weights = np.zeros((len(index), 3), dtype=np.float32)
        texel = np.arange(len(index))
        weights[texel, corner[edge]] = 1 - along
        weights[texel, (corner[edge] + 1) % 3] = along
        yield Texels(index, face[edge], weights)


def _find_rows(low: Floats, high: Floats, size: int) -> tuple[Indices, Indices]:
    """Find the rows whose centre is between the low and high y of a shape; return (number of the shape, row)."""
    return expand_ranges(*_find_centres(low, high, size))


def _find_centres(low: Floats, high: Floats, size: int) -> tuple[Indices, Indices]:
    """Return the first texel whose centre is between low and high, and the one after the last."""
    first = np.ceil(low - 0.5 - EDGE_TOLERANCE_TEXELS).clip(0, size).astype(np.intp)
    stop = np.floor(high + 0.5 + EDGE_TOLERANCE_TEXELS).clip(0, size).astype(np.intp)
    return first, stop


def _find_columns(left: Floats, right: Floats, size: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield batches of (number of the span, column), for the texels whose centre is between its left and right."""
    first, stop = _find_centres(left, right, size)
    batch = np.cumsum(np.maximum(stop - first, 0)) // BATCH_TEXELS
    for begin, end in _find_runs(batch):
        which, column = expand_ranges(first[begin:end], stop[begin:end])
        if len(which):
            yield which + begin, column


def _find_runs(batch: Indices) -> Iterator[tuple[int, int]]:
    """Yield the begin and the stop of each run of equal numbers."""
    changes = np.flatnonzero(np.diff(batch)) + 1
    bounds = [0, *changes.tolist(), len(batch)]
    yield from itertools.pairwise(bounds)


def _find_row_ends(corners: Floats, face: Indices, row: Indices) -> tuple[Floats, Floats]:
    """Find where the horizontal line through the centres of a row enters and leaves a face; two x (N,).

    corners (F, 3, 2); face, row (N,). Where the line misses the face, both are infinite, and the end is before the
    start.
    """
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        ends = corners[:, start].take(face, axis=0), corners[:, end].take(face, axis=0)
        crossing = _cross_edges(*ends, row + 0.5)
        np.fmin(left, crossing, out=left)
        np.fmax(right, crossing, out=right)
    return left, right


def _cross_edges(start: Floats, end: Floats, y: Floats) -> Floats:
    """Return the x (N,) at which an edge meets the horizontal line at y; NaN where it does not or lies in it."""
    rise = end[:, 1] - start[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (y - start[:, 1]) / rise
        x = start[:, 0] + along * (end[:, 0] - start[:, 0])
    met: Floats = np.where((along >= -EDGE_TOLERANCE_TEXELS) & (along <= 1 + EDGE_TOLERANCE_TEXELS), x, np.nan)
    return met


def _find_weight_lines(corners: Floats, face: Indices, y: Floats) -> tuple[Floats, Floats]:
    """Return the weights of the second and third corner along horizontal lines as linear functions, slope * x + start.

    corners (F, 3, 2): of triangles; face (N,): the triangle that each line crosses; y (N,): of the lines. Returns
    slopes (2, F), which do not depend on y, and starts (2, N). Both are NaN or infinite for a triangle without area.
    """
    ax, ay, bx, by, cx, cy = corners.reshape(-1, 6).T
    bx, by, cx, cy = bx - ax, by - ay, cx - ax, cy - ay
    with np.errstate(divide="ignore", invalid="ignore"):
        over_area = 1 / (bx * cy - by * cx)
        slopes = np.stack([cy * over_area, -by * over_area])
        rises = np.stack([-cx * over_area, bx * over_area])
        offsets = -slopes * ax - rises * ay
        starts = rises.take(face, axis=1) * y + offsets.take(face, axis=1)
    return slopes, starts


def _compute_weights(slopes: Floats, starts: Floats, x: Floats) -> Float32:
    """Compute the weights (N, 3) of all three corners at x (N,), from slopes and starts (2, N) of `_find_weight_lines`.

    Weights are clipped to the triangle.
    """
    weights = np.empty((len(x), 3), dtype=np.float32)
    with np.errstate(invalid="ignore"):
        second, third = slopes * x + starts
        first = 1 - second - third
        for corner, weight in enumerate((first, second, third)):
            np.clip(weight, 0, 1, out=weights[:, corner], casting="same_kind")
    weights[~np.isfinite(first)] = 1  # a face without area shows its middle
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _find_border_edges(faces: Int32) -> tuple[Indices, Indices]:
    """Find every edge that no other face shares, as (face, corner); it runs from that corner to the next."""
    following = np.roll(faces, -1, axis=1)
    low, high = np.minimum(faces, following).astype(np.int64), np.maximum(faces, following)
    first, which = distinct((low * (int(faces.max()) + 1) + high).ravel())
    edge = first[np.bincount(which) == 1]
    return edge // 3, edge % 3


def _find_near_texels(start: Floats, end: Floats, size: int) -> Iterator[tuple[Indices, Indices, Indices, Indices]]:
    """Yield batches of (edge, texel index, column, row), for all texels near an edge.

    These are at least those within BORDER_REACH_TEXELS of the edge.
    """
    low = np.minimum(start[:, 1], end[:, 1]) - BORDER_REACH_TEXELS
    high = np.maximum(start[:, 1], end[:, 1]) + BORDER_REACH_TEXELS
    edge, row = _find_rows(low, high, size)
    # The part of the edge at most BORDER_REACH_TEXELS above or below the row.
    x, rise = start[edge, 0], end[edge, 1] - start[edge, 1]
    run = end[edge, 0] - x
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (row + 0.5 - start[edge, 1] + np.array([[-BORDER_REACH_TEXELS], [BORDER_REACH_TEXELS]])) / rise
    ends = np.where(np.isfinite(ends), ends, [[0.0], [1.0]]).clip(0, 1)
    left = x + np.minimum(ends[0] * run, ends[1] * run) - BORDER_REACH_TEXELS
    right = x + np.maximum(ends[0] * run, ends[1] * run) + BORDER_REACH_TEXELS
    for span, column in _find_columns(left, right, size):
        beside, y = edge.take(span), row.take(span)
        yield beside, y * size + column, column, y


def _project_onto_edges(start: Floats, end: Floats, x: Floats, y: Floats) -> Floats:
    """Find the nearest point to (x, y) on each edge (N,), from 0 at the start of the edge to 1 at its end."""
    run = end - start
    length = np.einsum("ij,ij->i", run, run)
    projection = run[:, 0] * (x - start[:, 0]) + run[:, 1] * (y - start[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        along = projection / length
    on_edge: Floats = np.where(length > 0, along, 0.0).clip(0, 1)
    return on_edge
