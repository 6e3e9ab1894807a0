"""Sums over groups of rows, as a product with a sparse matrix: where a face is added at each of its corners, that takes
a quarter of the time of a `bincount` for each corner and column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from sam3d_bento.export.surface import Floats, Indices
from sam3d_bento.reconstruction import Int32


def added_up(groups: Int32 | Indices, values: npt.NDArray[Any], count: int) -> Floats:
    """(count, K) float64: of each group, the sum of its rows of `values` (N, K).

    groups (N,) or (N, M): the group that each row is added to, or the M of them: the corners of a face, say.
    """
    starts = np.arange(len(groups) + 1) * (groups.size // max(len(groups), 1))
    which = csr_array((np.ones(groups.size), groups.ravel(), starts), shape=(len(groups), count))
    sums: Floats = which.T @ values.astype(np.float64)
    return sums
