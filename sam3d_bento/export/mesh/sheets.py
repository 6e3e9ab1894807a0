"""Recognize a mesh that is a sheet whose two sides have the same vertices."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Int32
from sam3d_bento.export.grouping import first_equal

SAMPLE_FACES = 64  # looked at first, in a millisecond: other meshes are recognized by them


def front_sides(faces: Int32) -> Int32 | None:
    """Return one face of each pair back to back if all faces (F, 3) are in such pairs, else None.

    To a simplifier such a sheet is a closed surface: it does not see the border, and moves it.
    """
    mask = np.zeros(int(faces.max()) + 1, dtype=bool)
    some = faces[:: max(1, len(faces) // SAMPLE_FACES)]
    mask[some] = True
    a, b, c = (mask.take(faces[:, corner]) for corner in range(3))
    if np.count_nonzero(a & b & c) < 1.5 * len(some):
        return None
    first = first_equal(np.sort(faces, axis=1))
    pairs = np.bincount(first, minlength=len(faces))
    front = pairs == 2
    return faces.compress(front, axis=0) if 2 * np.count_nonzero(front) == len(faces) else None
