"""Equal rows of an integer array, found without sorting all of it by every column."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.export.surface import Indices
from sam3d_bento.reconstruction import Int32

# An odd number with its bits spread evenly: 2**64 divided by the golden ratio (Knuth's multiplicative hashing).
SPREAD = np.uint64(0x9E3779B97F4A7C15)


def first_equal(rows: Int32) -> Indices:
    """(N,) for each row of (N, K) the index of the first row equal to it: its own where there is none before.

    Rows whose hash no other row has are unique. Only the rest, mostly few, are sorted and compared.
    """
    first = np.arange(len(rows))
    hashed = _hashed(rows)
    ordered = np.sort(hashed)
    shared = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(shared):
        return first
    place = np.searchsorted(shared, hashed).clip(max=len(shared) - 1)
    alike = np.flatnonzero(shared[place] == hashed)
    order = alike[np.lexsort(rows[alike].T)]  # stable: equal rows stay in order
    leads = np.ones(len(order), dtype=bool)
    leads[1:] = (rows[order[1:]] != rows[order[:-1]]).any(axis=1)
    first[order] = order[leads][np.cumsum(leads) - 1]
    return first


def _hashed(rows: Int32) -> npt.NDArray[Any]:
    """(N,) uint64: equal for equal rows, and hardly ever for others."""
    mixed = np.zeros(len(rows), dtype=np.uint64)
    for column in rows.T:
        mixed ^= column.astype(np.uint32)
        mixed *= SPREAD
        mixed ^= mixed >> np.uint64(29)
    return mixed
