"""Many ranges of integers at once."""

from __future__ import annotations

import numpy as np

from sam3d_bento.export.surface import Indices


def members(first: Indices, stop: Indices) -> tuple[Indices, Indices]:
    """(which range, member) for every member of the ranges first..stop - 1, both (N,); a range may be empty."""
    lengths = np.maximum(stop - first, 0)
    which = np.repeat(np.arange(len(lengths)), lengths)
    offset = first - (np.cumsum(lengths) - lengths)
    return which, np.arange(len(which)) + offset.take(which)
