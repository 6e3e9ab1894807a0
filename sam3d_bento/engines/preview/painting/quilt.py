"""Make detail for what the photo does not show, out of blocks of the object's own detail.

Image quilting (Efros, Freeman: Image Quilting for Texture Synthesis and Transfer, SIGGRAPH 2001) of a texture without
its low frequencies. Without these, blocks can be blended, and no seam has to be cut; then the contrast is restored.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Indices

# Edge of a block, in square roots of the object's area: larger than most textures' elements, smaller than a face.
BLOCK = 0.09
MIN_BLOCK_CELLS = 6  # a smaller block has no texture
OVERLAP = 2  # blocks begin every 1/OVERLAP of their edge

# Blocks are compared at a resolution of this many places along their edge.
PLACES = 6

# Contrast of a block, by the median of the object's, above which it is a feature of its own: an eye, a letter, a
# highlight. These are on an object once.
MAX_CONTRAST = 1.3

# Distance from its own place below which a block is not used, in edges of a block. The back would repeat the front.
MIN_MOVE = 2.0

MAX_SOURCES = 600  # blocks to choose from; more take time and add nothing new

# Terms of a block's cost in squared sRGB differences, beside how it fits the detail that is there already: the weight
# of the difference in colour of the surroundings, and the difference that each earlier use of the block counts for.
COLOUR_WEIGHT = 0.3
USED = 6.0

# Highest factor by which the contrast that blending took away is given back, and the share of the front's contrast that
# is wanted. Detail in the wrong place hides a little of the guess; much of it looks like a pattern of its own.
MAX_GAIN = 1.6
KEPT_CONTRAST = 0.8


@dataclass(frozen=True)
class _Blocks:
    """Blocks to choose from: the rows and columns (N,) of their first cells, and what they show.

    detail: (N, PLACES² * 3) float32; squares: the same, squared. colour: (N, 3) float32, of the low frequencies.
    contrast: (N,) float32, root of the mean square of the detail.
    """

    rows: Indices
    columns: Indices
    detail: Float32
    squares: Float32
    colour: Float32
    contrast: Float32


def synthesise_detail(detail: Float32, colour: Float32, wanted: Float32, core: Bool, needed: Bool) -> Float32:
    """Make new detail (R, C, 3) of blocks of `detail` (R, C, 3), both sRGB differences; it is 0 where none is needed.

    colour (R, C, 3): the low frequencies that belong to `detail`. wanted (R, C, 3): those under the new detail; blocks
    come from places of similar colour. core (R, C) bool: where `detail` is the object's own. needed (R, C) bool: where
    new detail is made. Deterministic. Returns zeros for an object too small or too plain to have a texture.
    """
    shape = core.shape
    edge = max(MIN_BLOCK_CELLS, round(BLOCK * sqrt(np.count_nonzero(core))))
    blocks = _find_blocks(detail, colour, core, edge)
    # The sheet begins an edge before the grid, so that blocks may reach beyond it.
    sheet = np.zeros((shape[0] + 2 * edge, shape[1] + 2 * edge, 3), np.float32)
    if blocks is None:
        return sheet[: shape[0], : shape[1]]
    ramp = np.sin(np.pi * (np.arange(edge, dtype=np.float32) + 0.5) / edge) ** 2
    window = (ramp[:, None] * ramp)[:, :, None]
    total, strength = np.zeros((2, *sheet.shape[:2], 1), np.float32)
    places = _places(edge)
    used = np.zeros(len(blocks.rows), np.float32)
    step = max(1, round(edge / OVERLAP))
    for row in range(step - edge, shape[0], step):
        for column in range(step - edge, shape[1], step):
            if not needed[max(row, 0) : row + edge, max(column, 0) : column + edge].any():
                continue
            at = (row + edge + places[0], column + edge + places[1])
            share = np.minimum(total[at], 1)
            known = sheet[at] / np.maximum(total[at], 1e-6)
            middle = (min(max(row + edge // 2, 0), shape[0] - 1), min(max(column + edge // 2, 0), shape[1] - 1))
            cost = blocks.squares @ np.repeat(share, 3) - 2 * blocks.detail @ (share * known).ravel()
            cost = cost / len(share) + COLOUR_WEIGHT * np.square(blocks.colour - wanted[middle]).sum(1)
            cost += USED**2 * used
            near = np.hypot(blocks.rows - row, blocks.columns - column) < MIN_MOVE * edge
            if not near.all():
                cost[near] = np.inf
            best = int(np.argmin(cost))
            used[best] += 1
            top, left = blocks.rows[best], blocks.columns[best]
            here = np.s_[row + edge : row + 2 * edge, column + edge : column + 2 * edge]
            sheet[here] += window * detail[top : top + edge, left : left + edge]
            total[here] += window
            strength[here] += window * blocks.contrast[best] ** 2
    sheet /= np.maximum(total, 1e-6)
    # Where blocks that differ are blended, contrast is lost.
    actual = ndimage.uniform_filter(np.square(sheet).sum(2, keepdims=True), (edge, edge, 1))
    gain = np.sqrt(strength / np.maximum(total, 1e-6) / np.maximum(actual, 1e-3))  # rounding may leave less than 0
    sheet *= KEPT_CONTRAST * np.minimum(gain, MAX_GAIN)
    return sheet[edge : edge + shape[0], edge : edge + shape[1]]


def _places(edge: int) -> tuple[Indices, Indices]:
    """Return the rows and columns (PLACES²,) within a block at which blocks are compared."""
    steps = ((np.arange(PLACES) + 0.5) * edge / PLACES).astype(np.intp)
    rows, columns = np.meshgrid(steps, steps, indexing="ij")
    return rows.ravel(), columns.ravel()


def _find_blocks(detail: Float32, colour: Float32, core: Bool, edge: int) -> _Blocks | None:
    """Find the blocks of a texture that are inside the object and show nothing that is there only once."""
    inside = ndimage.uniform_filter(core.astype(np.float32), edge)
    power = ndimage.uniform_filter(np.where(core, np.square(detail).sum(2), 0), edge)
    contrast = np.sqrt(np.maximum(power, 0) / np.maximum(inside, 1e-3))  # rounding may leave less than nothing
    # Filters are centred; blocks are named by their first cell.
    half = edge // 2
    rows, columns = np.mgrid[half : core.shape[0] - edge + half, half : core.shape[1] - edge + half]
    step = max(1, edge // 3)
    while True:
        tried = np.s_[::step, ::step]
        row, column = rows[tried].ravel(), columns[tried].ravel()
        fits = inside[row, column] > 0.98
        if np.count_nonzero(fits) <= MAX_SOURCES:
            break
        step += 1
    row, column = row[fits], column[fits]
    if len(row) < 4:
        return None
    strength = contrast[row, column]
    plain = strength <= MAX_CONTRAST * max(float(np.median(strength)), 1.0)
    row, column, strength = row[plain], column[plain], strength[plain]
    places = _places(edge)
    at = (row[:, None] - half + places[0], column[:, None] - half + places[1])
    coarse = ndimage.uniform_filter(detail, (max(1, edge // PLACES), max(1, edge // PLACES), 1))
    shown = coarse[at].reshape(len(row), -1)
    return _Blocks(row - half, column - half, shown, shown**2, colour[row, column], strength)
