"""Colours for the texels that no face covers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from sam3d_bento.reconstruction import Bool, UInt8

LEVEL = 2  # the mip level at which charts still do not bleed into each other


def fill(image: UInt8, painted: Bool) -> UInt8:
    """The image (S, S, 3), S a multiple of four, with a colour in every texel; painted (S, S), at least one True.

    An unpainted texel gets the mean of the painted ones in its square of 2 x 2, else of 4 x 4 texels, else that of the
    nearest such square. These are the squares that mip levels 1 and 2 average: there, a texel over painted texels of
    one chart alone has exactly their mean. A fill with the nearest texel would mix other charts in, and makes files
    a tenth (PNG, WebP) to a third (JPEG) larger. (Pull and push: Gortler et al., The Lumigraph, SIGGRAPH 1996.)
    """
    colours, there = np.where(painted[..., None], image, 0).astype(np.float32), painted
    finer = []
    for _ in range(LEVEL):
        finer.append((colours, there))
        count = _quarters(there[..., None].astype(np.float32))
        colours, there = (_quarters(colours) / np.maximum(count, 1)).astype(np.float32), count[..., 0] > 0
    rows, columns = distance_transform_edt(~there, return_distances=False, return_indices=True)
    filled = colours[rows, columns]
    for colours, there in reversed(finer):
        filled = filled.repeat(2, axis=0).repeat(2, axis=1)
        filled[there] = colours[there]
    result: UInt8 = np.rint(filled).astype(np.uint8)
    return result


def _quarters(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(S, S, K) summed over squares of 2 x 2: (S / 2, S / 2, K)."""
    columns = values[:, 0::2] + values[:, 1::2]
    return columns[0::2] + columns[1::2]
