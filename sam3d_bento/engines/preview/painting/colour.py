"""Colour an inflated silhouette: the photo on its front, and on its sides and back what may well be there.

Every colour is a low frequency plus detail. On the front both are the photo's. On the back the low frequencies come
from the rim, and the detail is made of blocks of the object's own: so no face, letter or highlight is there twice. On
the sides the detail is sampled along the surface, where the photo itself would be drawn out to streaks.
"""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Int32, UInt8
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.base import compute_base, inpaint_back
from sam3d_bento.engines.preview.painting.quilt import synthesise_detail
from sam3d_bento.engines.preview.painting.texture import (
    FRINGE_CELLS,
    extend_foreground,
    sample,
    sample_colours,
    to_colours,
)
from sam3d_bento.engines.preview.surface import compute_normals

# Cosines of the angle between line of sight and normal. From FRONT on, the photo's detail is used alone; it fades down
# to 0, where a pixel would be drawn out without end. From OWN on, a pixel's own colour is used and not one from further
# inside. From BACK on, the back's colours are used alone.
FRONT = 0.2
OWN = 0.32
BACK = -0.4

# Width of the rim whose colours are taken from further inside, in square roots of the object's area: masks are wrong by
# a few pixels, and the light of the background shines round the rim.
RIM = 0.018


def paint(canvas: Canvas, vertices: Float32, faces: Int32) -> UInt8:
    """Paint vertices (V, 3) of a closed mesh in the canvas frame, faces (F, 3); return (V, 3) uint8 sRGB."""
    inside = canvas.distance > 0
    rim = RIM * sqrt(np.count_nonzero(inside))
    # Thin parts consist of rim only. The middle half of their width is the best that the photo shows of them.
    radius = ndimage.maximum_filter(canvas.distance, 2 * ceil(rim) + 1)
    own = _find_core(canvas.distance, np.minimum(FRINGE_CELLS, radius / 2))
    sharp, _ = extend_foreground(canvas.rgb, *own)
    core, nearest = _find_core(canvas.distance, np.minimum(rim, radius / 2))
    front = compute_base(canvas.rgb[tuple(nearest)], inside)
    back = inpaint_back(front, inside)
    detail = sharp - front
    sheet = synthesise_detail(detail, front, back, core, canvas.distance > -float(canvas.distance.max()) / 2)

    # The canvas frame is left-handed.
    facing = compute_normals(vertices * np.array([1, -1, 1], np.float32), faces)[:, 2].astype(np.float32)
    place = vertices[:, [1, 0]].T.astype(np.float64)
    inwards = np.stack([sample(np.gradient(canvas.distance, axis=axis), place) for axis in (0, 1)])
    on_front = _smooth_step(0, FRONT, facing)
    on_back = _smooth_step(0, BACK, facing)
    depth = np.minimum(rim, sample(radius, place) / 2) - sample(canvas.distance, place)
    photographed = place + inwards * (np.maximum(depth, 0) * (1 - _smooth_step(FRONT, OWN, facing)))
    # Along the sides a step in depth is a step on the surface.
    around = place - inwards * vertices[:, 2]

    colours = on_front * sample_colours(detail, photographed)
    colours += (1 - on_back) * sample_colours(front, photographed) + on_back * sample_colours(back, place)
    on_side = 1 - on_front - on_back
    kept = (1 - on_front) / np.maximum(np.hypot(on_back, on_side), 1e-6)  # blended, they would lose contrast
    colours += kept * (on_back * sample_colours(sheet, place) + on_side * sample_colours(sheet, around))
    return to_colours(colours)


def _find_core(distance: Float32, rim: Float32) -> tuple[Bool, Int32]:
    """Find the cells (R, C) bool that are farther inside than `rim` (R, C), and each cell's nearest of them.

    Returns also the rows and columns (2, R, C) of the nearest ones.
    """
    core = distance > rim
    return core, ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)


def _smooth_step(low: float, high: float, values: Float32) -> Float32:
    """Return 0 up to `low`, 1 from `high` on, and what rises smoothly between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    smooth: Float32 = share * share * (3 - 2 * share)
    return smooth
