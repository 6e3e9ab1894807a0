"""Read a picture of a mask: decide which of its values mean the object.

White on black and opaque on transparent are clear. But labelling programs mark the object with the number of a class,
1, or with the class's colour in a palette, and users of drawing programs with any colour.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from sam3d_bento.arrays import Bool, UInt8
from sam3d_bento.photo.images import Turn, decode, no_turn
from sam3d_bento.reconstruction import Photo

THRESHOLD = 128  # of 255; a pixel with at least this value means the object

SPREAD_SHARE = 1 / 8  # of the distance between two values; Lanczos resampling and JPEG add this much beside an edge
OVERSHOOT_SHARE = 1 / 4  # of the same distance; Lanczos resampling adds a little less beyond a corner
RIM_PIXELS = 5  # maximum width between the areas of two values, where resizing and antialiasing mix them


def read_mask(data: bytes, *, max_pixels: int, turn: Turn = no_turn) -> Photo:
    """Decode the file of a mask, as `decode` does.

    The exception is a grey mask of 16 bits whose values are all below 256, such as class numbers. It is read by these
    values, because scaling to 8 bits would make them 0 or 1. Raises the errors of `decode`.
    """
    picture = decode(data, max_pixels=max_pixels, turn=turn)
    if picture.rgb.max() > 1:  # 255 of 65,535 is 1 of 255
        return picture
    values = _small_values(data)
    if values is None:
        return picture
    small = io.BytesIO()
    Image.fromarray(values).save(small, "PNG", compress_level=1)
    return decode(small.getvalue(), max_pixels=max_pixels, turn=turn)


def _small_values(data: bytes) -> UInt8 | None:
    """Return the values (H, W) of a grey picture of 16 bits if none is above 255 and not all are 0, else None."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            values = np.asarray(image) if image.mode.startswith("I;16") else np.zeros(1)
    except Exception:  # noqa: BLE001  # Pillow reads less than `decode` does, and raises anything
        return None
    return values.astype(np.uint8) if 0 < values.max() < 256 else None


def brightness(picture: Photo) -> UInt8:
    """Return the brightness (H, W) uint8 of `picture`, with the weights of ITU-R BT.601."""
    return np.asarray(Image.fromarray(picture.rgb).convert("L"))


def values_of(picture: Photo) -> UInt8:
    """Return the values (H, W) of a mask: its alpha if that separates anything at THRESHOLD, else its brightness."""
    alpha = picture.alpha
    if alpha is not None and alpha.min() < THRESHOLD <= alpha.max():
        return alpha
    return brightness(picture)


def higher_of_two(picture: Photo) -> Bool | None:
    """Return the pixels (H, W) with the higher of a mask's two values; None if it has more or fewer values.

    The value is the brightness. If the brightness is the same everywhere, the largest of the three channels is used,
    then alpha. A mask also counts as one of two values if others lie between them, but only at rims of at most
    RIM_PIXELS.
    """
    alpha = [] if picture.alpha is None else [picture.alpha]
    for values in (brightness(picture), picture.rgb.max(axis=2), *alpha):
        if values.min() < values.max():
            return _higher(values)
    return None


def _higher(values: UInt8) -> Bool | None:
    """Return the pixels (H, W) with the higher of two values; None if `values` (H, W) has more than two."""
    lowest, highest = int(values.min()), int(values.max())
    middle = (lowest + highest + 1) // 2
    counts = np.bincount(values.ravel(), minlength=256)
    # Resizing may overshoot. So the two values are the most frequent ones of each half, not the lowest and the highest.
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
