"""Read a picture of a mask: which of its values mean the object.

White on black and opaque on transparent need no reading. But labelling programs write the number of a class, 1, where
the object is, or its colour in a palette, and drawing programs whatever colour was at hand.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from sam3d_bento.arrays import Bool, UInt8
from sam3d_bento.reconstruction import Photo

THRESHOLD = 128  # of 255; from here on a pixel means the object

SPREAD_SHARE = 1 / 8  # of the distance between two values: what Lanczos resampling and JPEG add beside an edge
OVERSHOOT_SHARE = 1 / 4  # of the same distance: Lanczos resampling adds a little less beyond a corner
RIM_PIXELS = 5  # between the areas of two values, where resizing and antialiasing mix them


def brightness(picture: Photo) -> UInt8:
    """Return the brightness (H, W) uint8 of `picture`, by the weights of ITU-R BT.601."""
    return np.asarray(Image.fromarray(picture.rgb).convert("L"))


def values_of(picture: Photo) -> UInt8:
    """Return the values (H, W) of a mask: its alpha where that separates anything at THRESHOLD, else its brightness."""
    alpha = picture.alpha
    if alpha is not None and alpha.min() < THRESHOLD <= alpha.max():
        return alpha
    return brightness(picture)


def higher_of_two(picture: Photo) -> Bool | None:
    """Return the pixels (H, W) of the higher of two values in a mask whose values are not white and black, else None.

    The value is the brightness; where that is the same throughout, the largest of the three channels, then alpha. Two
    values are exactly two, or two with what lies between them only at rims of at most RIM_PIXELS.
    """
    alpha = [] if picture.alpha is None else [picture.alpha]
    for values in (brightness(picture), picture.rgb.max(axis=2), *alpha):
        if values.min() < values.max():
            return _higher(values)
    return None


def _higher(values: UInt8) -> Bool | None:
    """Return the pixels (H, W) of the higher of two values, or None when `values` (H, W) has more of them."""
    lowest, highest = int(values.min()), int(values.max())
    middle = (lowest + highest + 1) // 2
    counts = np.bincount(values.ravel(), minlength=256)
    # Resizing may overshoot, so the two are the most frequent values of each half, not the lowest and the highest.
    low, high = int(counts[:middle].argmax()), middle + int(counts[middle:].argmax())
    levels = np.arange(256)
    spread = SPREAD_SHARE * (high - low)
    is_low, is_high = np.abs(levels - low) <= spread, np.abs(levels - high) <= spread
    between = counts[~(is_low | is_high)].sum()
    if between:
        overshoot = OVERSHOOT_SHARE * (high - low)
        if lowest < low - overshoot or highest > high + overshoot:
            return None
        if between > min(counts[is_low].sum(), counts[is_high].sum()):
            return None
        away = [ndimage.distance_transform_edt(~which[values]) for which in (is_low, is_high)]
        if np.maximum(*away)[~(is_low | is_high)[values]].max() > RIM_PIXELS:
            return None
    pixels: Bool = 2 * values.astype(np.int32) >= low + high
    return pixels
