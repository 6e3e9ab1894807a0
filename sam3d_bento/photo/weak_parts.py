"""Decide which pixels of a soft mask are objects: those that are likely, and weak parts that hang on a certain one.

Two thresholds with hysteresis (Canny: A Computational Approach to Edge Detection, 1986), except along the rim. A
network that sees a photo at a few hundred pixels is unsure of thin and unusual parts: a raised arm, a lattice's legs.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool, UInt8
from sam3d_bento.photo.mask_values import THRESHOLD

# Of 255. With u2netp, an arm or a leg that it half sees has 51 to 128, and the ground around an object has less.
WEAK = 51

# Of 255; a part of which no pixel reaches this is nothing that a weak part may hang on.
FIRM = 153

# Area of an object's weak parts by that of its likely ones. In textures, noise and glare a few likely pixels have large
# weak surroundings: from twice to 50 times their area. The lattice tower of the measurements has 0.9.
MAX_WEAK_BY_LIKELY = 1.0

# Width of the soft rim, in pixels of the network, whose side is NETWORK_SIDE. Pixels that far from a likely one are a
# part of their own. Nearer ones are the blur of enlarging the network's answer: to take them would add background.
RIM_NETWORK_PIXELS = 2
NETWORK_SIDE = 320  # of u2netp; the rims of larger networks are thinner

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)  # pixels that touch at a corner are connected


def select(soft: UInt8) -> Bool:
    """Return the pixels (H, W) bool of a soft mask (H, W) uint8 that are likely, or in a weak part of a firm object."""
    likely: Bool = soft >= THRESHOLD
    weak = soft >= WEAK
    reach = 2 * ceil(RIM_NETWORK_PIXELS * max(soft.shape) / NETWORK_SIDE) + 1
    beyond = weak & ~ndimage.maximum_filter(likely, reach)
    if not beyond.any():
        return likely
    parts = likely | (weak & ndimage.maximum_filter(beyond, reach + 2))
    labels, count = ndimage.label(parts, EIGHT_NEIGHBOURS)
    whole, core = (np.bincount(labels[pixels], minlength=count + 1) for pixels in (parts, likely))
    firm = np.bincount(labels[soft >= FIRM], minlength=count + 1) > 0
    taken = firm & (whole - core <= MAX_WEAK_BY_LIKELY * core)
    taken[0] = False
    selected: Bool = likely | taken[labels]
    return selected
