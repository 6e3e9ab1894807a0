"""Look at a small find again, close up: the network sees a photo at a few hundred pixels, and a small thing at few."""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool

# Of the find's long side, around it. With one of 1 the network took the hole of a small ring for the object.
MARGIN = 2.0
MIN_MARGIN = 0.75  # where MAX_SHARE leaves no room for more
MIN_SIDE = 64  # pixels of the crop; a smaller one would show the network nothing but its own enlargement
MAX_SHARE = 0.6  # of the photo's long side; a larger crop would bring the find not much closer

# Measured: small things reach at least 0.33 and a sum of 1.18; craters and grass at most 0.30 or a sum of 0.94.
MIN_AGREEMENT = 0.3  # intersection over union of the two finds
MIN_AGREEMENT_AND_CERTAINTY = 1.1  # their sum

Window = tuple[slice, slice]


def window(pixels: Bool) -> Window | None:
    """Return rows and columns of a crop around the object `pixels` (H, W); None when there is nothing to gain by it."""
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    if not len(rows):
        return None
    longest = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) + 1
    most = MAX_SHARE * max(pixels.shape)
    if max(longest * (1 + 2 * MIN_MARGIN), MIN_SIDE) > most:
        return None
    half = round(min(max(longest * (1 + 2 * MARGIN), MIN_SIDE), most) / 2)
    middle = (int(rows[0] + rows[-1] + 1) // 2, int(columns[0] + columns[-1] + 1) // 2)
    top, left = (max(0, centre - half) for centre in middle)
    return slice(top, middle[0] + half), slice(left, middle[1] + half)


def is_confirmed(first: Bool, second: Bool, sure: float) -> bool:
    """Return whether a second find (H, W), of which the network is certain in a share `sure` of it, confirms the first.

    The less the two agree (intersection over union), the surer the second must be.
    """
    union = int(np.count_nonzero(first | second))
    agreement = int(np.count_nonzero(first & second)) / union if union else 0.0
    return agreement >= MIN_AGREEMENT and agreement + sure >= MIN_AGREEMENT_AND_CERTAINTY
