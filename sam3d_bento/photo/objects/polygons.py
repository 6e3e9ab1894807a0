"""Draw polygons as a mask, by the even-odd rule over all rings together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam3d_bento.arrays import Bool
from sam3d_bento.errors import BadRequest

# Crossings of edges with the rows of pixels. An outline drawn by hand has some thousand; this many take a second.
MAX_CROSSINGS = 10_000_000
# Crossings that are drawn at a time, which bounds the memory.
CHUNK = 1_000_000


def draw(rings: Sequence[Sequence[float]], size: tuple[int, int]) -> Bool:
    """Return the pixels (H, W) whose centres are inside of an odd number of rings.

    rings: each x0, y0, x1, y1, … in pixels, closed by itself. size: height and width. Raises BadRequest for a ring of
    fewer than three points, or too long an outline.
    """
    height, width = size
    edges = np.concatenate([_edges(ring) for ring in rings])
    upward = edges[:, 1] > edges[:, 3]
    edges[upward] = edges[upward][:, [2, 3, 0, 1]]
    x0, y0, x1, y1 = edges.T
    # Rows whose centres are in [y0, y1): an edge that ends at a centre leaves that row to the edge that begins there.
    first = np.ceil(np.clip(y0, 0, height) - 0.5).astype(np.int64)
    last = np.ceil(np.clip(y1, 0, height) - 0.5).astype(np.int64)
    counts = np.maximum(last - first, 0)
    if counts.sum() > MAX_CROSSINGS:
        raise BadRequest("its outline is too long; leave out points, or send the mask as a picture")
    parity = np.zeros((height, width + 1), bool)
    ends = np.cumsum(counts)
    for begin in range(0, int(counts.sum()), CHUNK):
        place = np.arange(begin, min(begin + CHUNK, int(ends[-1])))
        edge = np.searchsorted(ends, place, "right")
        row = first[edge] + place - (ends[edge] - counts[edge])
        share = (row + 0.5 - y0[edge]) / (y1[edge] - y0[edge])
        x = np.clip(x0[edge] + share * (x1[edge] - x0[edge]), 0, width)
        np.logical_xor.at(parity, (row, np.ceil(x - 0.5).astype(np.int64)), True)
    mask: Bool = np.logical_xor.accumulate(parity, axis=1)[:, :width]
    return mask


def _edges(ring: Sequence[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return the edges (N, 4), float64, of a ring: x and y of the beginning, x and y of the end."""
    if len(ring) < 6 or len(ring) % 2:
        raise BadRequest("each of its 'polygons' must have x and y of at least three points")
    points = np.array(ring, np.float64).reshape(-1, 2)
    return np.hstack([points, np.roll(points, -1, axis=0)])
