"""Which texels a mesh covers in its texture, and which point of which face each of them shows.

Texture coordinates become texels by `uv * size`; the texel in column x and row y has its centre at (x + 0.5, y + 0.5).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import distinct, members

BATCH_TEXELS = 1 << 17  # bounds the memory of a batch to some tens of megabytes, its time to a fraction of a second

# Bilinear sampling inside a chart meets texels up to one column and one row outside of it.
BORDER_REACH = 1.5

ON_EDGE = 1e-9  # texels; a centre exactly on an edge is inside the faces on both sides


@dataclass(frozen=True)
class Texels:
    """index (N,) int: row * size + column; faces (N,) int; weights (N, 3) float32: barycentric, of the corners."""

    index: Indices
    faces: Indices
    weights: Float32


def inside(uv: Float32, faces: Int32, size: int) -> Iterator[Texels]:
    """In batches, the texels whose centre lies in a face. Where faces meet or overlap a texel comes several times."""
    corners = uv.take(faces, axis=0).astype(np.float64) * size
    face, row = _rows(corners[:, :, 1].min(axis=1), corners[:, :, 1].max(axis=1), size)
    left, right = _ends(corners, face, row)
    slopes, starts = _lines(corners, face, row + 0.5)
    for span, x in _columns(left, right, size):
        chosen = face.take(span)
        weights = _weights(slopes.take(chosen, axis=1), starts.take(span, axis=1), x + 0.5)
        yield Texels(row.take(span) * size + x, chosen, weights)


def among(index: Indices, corners: Floats, columns: int) -> Texels:
    """Those of the texels index (N,), row * columns + column, in order, whose centre lies in a face; several times
    where faces overlap. corners (F, 3, 2) float64 of the faces, in texels."""
    rows = int(index[-1]) // columns + 1
    wanted = np.zeros(rows, dtype=bool)
    wanted[index // columns] = True
    face, row = _rows(corners[:, :, 1].min(axis=1), corners[:, :, 1].max(axis=1), rows)
    met = wanted.take(row)
    face, row = face.compress(met), row.compress(met)
    first, stop = _centres(*_ends(corners, face, row), columns)
    span, which = members(*(np.searchsorted(index, row * columns + column) for column in (first, stop)))
    found = index.take(which)
    slopes, starts = _lines(corners, face, row + 0.5)
    chosen = face.take(span)
    weights = _weights(slopes.take(chosen, axis=1), starts.take(span, axis=1), found % columns + 0.5)
    return Texels(found, chosen, weights)


def around(uv: Float32, faces: Int32, size: int, covered: Bool) -> Iterator[Texels]:
    """In batches, the texels close to a chart's border that no face covers, with the nearest point of a border.

    covered: (size * size,) bool. With these, a chart thinner than a texel is in the picture too, and sampling
    along a seam meets nothing of another chart.
    """
    face, corner = _border_edges(faces)
    start = uv[faces[face, corner]].astype(np.float64) * size
    end = uv[faces[face, (corner + 1) % 3]].astype(np.float64) * size

    nearest = np.full(size * size, BORDER_REACH**2, dtype=np.float32)
    owner = np.full(size * size, -1, dtype=np.int32)
    for edge, index, x, y in _near_edges(start, end, size):
        near, far = start.take(edge, axis=0), end.take(edge, axis=0)
        along = _along(near, far, x + 0.5, y + 0.5)
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
        along = _along(start[edge], end[edge], index % size + 0.5, index // size + 0.5)
        weights = np.zeros((len(index), 3), dtype=np.float32)
        texel = np.arange(len(index))
        weights[texel, corner[edge]] = 1 - along
        weights[texel, (corner[edge] + 1) % 3] = along
        yield Texels(index, face[edge], weights)


def _rows(low: Floats, high: Floats, size: int) -> tuple[Indices, Indices]:
    """(which shape, row) for every row whose centre is between the low and the high y of a shape."""
    return members(*_centres(low, high, size))


def _centres(low: Floats, high: Floats, size: int) -> tuple[Indices, Indices]:
    """The first texel whose centre is between low and high, and the one behind the last."""
    first = np.ceil(low - 0.5 - ON_EDGE).clip(0, size).astype(np.intp)
    stop = np.floor(high + 0.5 + ON_EDGE).clip(0, size).astype(np.intp)
    return first, stop


def _columns(left: Floats, right: Floats, size: int) -> Iterator[tuple[Indices, Indices]]:
    """In batches: (which span, column) for every texel whose centre is between left and right of a span."""
    first, stop = _centres(left, right, size)
    batch = np.cumsum(np.maximum(stop - first, 0)) // BATCH_TEXELS
    for begin, end in _runs(batch):
        which, column = members(first[begin:end], stop[begin:end])
        if len(which):
            yield which + begin, column


def _runs(batch: Indices) -> Iterator[tuple[int, int]]:
    """Begin and stop of each run of equal numbers."""
    changes = np.flatnonzero(np.diff(batch)) + 1
    bounds = [0, *changes.tolist(), len(batch)]
    yield from itertools.pairwise(bounds)


def _ends(corners: Floats, face: Indices, row: Indices) -> tuple[Floats, Floats]:
    """(N,) x where the horizontal line through the centres of the row begins and ends to be in the face of corners
    (F, 3, 2); infinite, and the end before the beginning, where it never is."""
    left, right = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        ends = corners[:, start].take(face, axis=0), corners[:, end].take(face, axis=0)
        crossing = _crossing(*ends, row + 0.5)
        np.fmin(left, crossing, out=left)
        np.fmax(right, crossing, out=right)
    return left, right


def _crossing(start: Floats, end: Floats, y: Floats) -> Floats:
    """(N,) x where the edge meets the horizontal line at y; NaN where it does not, or lies in it."""
    rise = end[:, 1] - start[:, 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (y - start[:, 1]) / rise
        x = start[:, 0] + along * (end[:, 0] - start[:, 0])
    met: Floats = np.where((along >= -ON_EDGE) & (along <= 1 + ON_EDGE), x, np.nan)
    return met


def _lines(corners: Floats, face: Indices, y: Floats) -> tuple[Floats, Floats]:
    """Along horizontal lines at y (N,) through the triangles `face` (N,) of `corners` (F, 3, 2), the weights of the
    second and third corner are slope * x + start: (2, F) slopes, which do not depend on y, and (2, N) starts. NaN or
    infinite for a triangle without area."""
    ax, ay, bx, by, cx, cy = corners.reshape(-1, 6).T
    bx, by, cx, cy = bx - ax, by - ay, cx - ax, cy - ay
    with np.errstate(divide="ignore", invalid="ignore"):
        over_area = 1 / (bx * cy - by * cx)
        slopes = np.stack([cy * over_area, -by * over_area])
        rises = np.stack([-cx * over_area, bx * over_area])
        offsets = -slopes * ax - rises * ay
        starts = rises.take(face, axis=1) * y + offsets.take(face, axis=1)
    return slopes, starts


def _weights(slopes: Floats, starts: Floats, x: Floats) -> Float32:
    """(N, 3) the weights of all three corners at x (N,) on lines (2, N), see `_lines`; kept inside the triangle."""
    weights = np.empty((len(x), 3), dtype=np.float32)
    with np.errstate(invalid="ignore"):
        second, third = slopes * x + starts
        first = 1 - second - third
        for corner, weight in enumerate((first, second, third)):
            np.clip(weight, 0, 1, out=weights[:, corner], casting="same_kind")
    weights[~np.isfinite(first)] = 1  # a face without area: its middle will do
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _border_edges(faces: Int32) -> tuple[Indices, Indices]:
    """(face, corner) of every edge that no other face shares; the edge runs from that corner to the next one."""
    following = np.roll(faces, -1, axis=1)
    low, high = np.minimum(faces, following).astype(np.int64), np.maximum(faces, following)
    first, which = distinct((low * (int(faces.max()) + 1) + high).ravel())
    edge = first[np.bincount(which) == 1]
    return edge // 3, edge % 3


def _near_edges(start: Floats, end: Floats, size: int) -> Iterator[tuple[Indices, Indices, Indices, Indices]]:
    """In batches: (edge, texel index, column, row) of at least all texels within BORDER_REACH of an edge."""
    low = np.minimum(start[:, 1], end[:, 1]) - BORDER_REACH
    high = np.maximum(start[:, 1], end[:, 1]) + BORDER_REACH
    edge, row = _rows(low, high, size)
    # The part of the edge at most BORDER_REACH above or below the row.
    x, rise = start[edge, 0], end[edge, 1] - start[edge, 1]
    run = end[edge, 0] - x
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (row + 0.5 - start[edge, 1] + np.array([[-BORDER_REACH], [BORDER_REACH]])) / rise
    ends = np.where(np.isfinite(ends), ends, [[0.0], [1.0]]).clip(0, 1)
    left = x + np.minimum(ends[0] * run, ends[1] * run) - BORDER_REACH
    right = x + np.maximum(ends[0] * run, ends[1] * run) + BORDER_REACH
    for span, column in _columns(left, right, size):
        beside, y = edge.take(span), row.take(span)
        yield beside, y * size + column, column, y


def _along(start: Floats, end: Floats, x: Floats, y: Floats) -> Floats:
    """(N,) where on the edge its point nearest to (x, y) lies: 0 at the start, 1 at the end."""
    run = end - start
    length = np.einsum("ij,ij->i", run, run)
    projection = run[:, 0] * (x - start[:, 0]) + run[:, 1] * (y - start[:, 1])
    with np.errstate(divide="ignore", invalid="ignore"):
        along = projection / length
    inside_edge: Floats = np.where(length > 0, along, 0.0).clip(0, 1)
    return inside_edge
