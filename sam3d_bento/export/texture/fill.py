"""Colours for the texels that no face covers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from sam3d_bento.arrays import Bool, Floats, UInt8

LEVEL = 2  # the mip level at which charts still do not bleed into each other


def fill(image: UInt8, painted: Bool) -> UInt8:
    """The image (S, S, 3), S a multiple of four, with a colour in every texel; painted (S, S), at least one True.

    An unpainted texel gets the mean of the painted ones in its square of 2 x 2, else of 4 x 4 texels, else that of the
    nearest such square. These are the squares that mip levels 1 and 2 average: there, a texel over painted texels of
    one chart alone has exactly their mean. A fill with the nearest texel would mix other charts in, and makes files
    a tenth (PNG, WebP) to a third (JPEG) larger. (Pull and push: Gortler et al., The Lumigraph, SIGGRAPH 1996.)
    """
    own = image * _thrice(painted)
    colours: Floats = own.astype(np.float32)
    there = painted
    finer = []
    for _ in range(LEVEL):
        count = _quarters(there[..., None].astype(np.float32))
        colours, there = _quarters(colours) / np.maximum(count, 1), count[..., 0] > 0
        finer.append((colours, there))
    colours, there = finer.pop()
    rows, columns = distance_transform_edt(~there, return_distances=False, return_indices=True)
    filled = colours[rows, columns]
    for colours, there in reversed(finer):
        filled = colours + _doubled(filled) * _thrice(~there)
    result: UInt8 = own + _doubled(np.rint(filled).astype(np.uint8)) * _thrice(~painted)
    return result


def _thrice(there: Bool) -> Bool:
    """(S, S) as (S, S, 3). numpy multiplies by such an array in a twelfth of the time in which it chooses by one, or
    multiplies by one that has to be broadcast over the last axis."""
    return there.repeat(3).reshape(*there.shape, 3)


def _doubled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(S, S, K), each value four times: (2 S, 2 S, K)."""
    return values.repeat(2, axis=1).repeat(2, axis=0)


def _quarters(values: Floats) -> Floats:
    """(S, S, K) summed over squares of 2 x 2: (S / 2, S / 2, K)."""
    rows = values[0::2] + values[1::2]
    sums: Floats = rows[:, 0::2] + rows[:, 1::2]
    return sums
