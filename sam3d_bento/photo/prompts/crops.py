"""Answer prompts with the mask model that every install has: it looks at crops around what is pointed at.

The mask model finds the salient object of a picture. In a crop around a box or a click, that is what is meant.
Measured with u2netp by benchmarks/masks.py.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from sam3d_bento.arrays import Bool, UInt8
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.photo.prompts.answers import THRESHOLD, Answer, pixel, select
from sam3d_bento.prompt import Box, Prompt

NAME = "crop"

# Margins around a box, in its long side, and how much an answer at that margin is worth. With the first, u2netp is
# best; a wider one shows it more of what surrounds the object, for boxes that are drawn too tight.
BOX_MARGINS = {0.15: 1.0, 0.4: 0.9}
# Sides of the squares around a click, in the photo's long side.
CLICK_SIDES = (1.0, 0.7, 0.5, 0.35, 0.22)
# A square is at least so many times as long as what the points of the object span.
MIN_SPAN_SHARE = 1.6
MIN_SIDE_PIXELS = 16  # of a crop; in a smaller one there is nothing to see

CERTAIN = 230  # of 255; from here on the mask model is sure of a pixel
LONGEST_SIDE = 1024  # pixels of the picture that the mask model is given; it reduces it further
MAX_KEPT_CROPS = 16  # of one photo, 1 MB each at most and usually a tenth

Window = tuple[int, int, int, int]  # left, top, right, bottom in pixels


class CropModel:
    """Prompt model that asks a mask model. An encoding is what it has answered about crops of a photo so far."""

    name = NAME

    def __init__(self, mask_model: MaskModel) -> None:
        self._mask_model = mask_model

    def encode(self, rgb: UInt8) -> dict[Window, UInt8]:
        """Return an empty collection of crops: what is to be looked at depends on the prompt."""
        return {}

    def answers(self, rgb: UInt8, encoding: dict[Window, UInt8], prompt: Prompt) -> list[Answer]:
        """See `PromptModel`."""
        height, width = rgb.shape[:2]
        if prompt.box is not None:
            worth = {_around(prompt.box, margin, width, height): worth for margin, worth in BOX_MARGINS.items()}
        else:
            worth = dict.fromkeys(_squares(prompt, width, height), 1.0)
        answers = []
        for window in worth:
            answer = _answer(self._look(rgb, encoding, window), window, (height, width), prompt)
            if answer is not None:
                answers.append(Answer(answer.soft, answer.score * worth[window]))
        return answers

    def _look(self, rgb: UInt8, seen: dict[Window, UInt8], window: Window) -> UInt8:
        """Return how certain each pixel of the crop is to be the object, (H, W) uint8; remember it in `seen`."""
        left, top, right, bottom = window
        soft = seen.pop(window, None)
        if soft is None:
            crop = Image.fromarray(rgb[top:bottom, left:right])
            crop.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            soft = self._mask_model.soft_mask(np.asarray(crop))
        seen[window] = soft  # the last of them
        while len(seen) > MAX_KEPT_CROPS:
            del seen[next(iter(seen))]
        return np.asarray(Image.fromarray(soft).resize((right - left, bottom - top), Image.Resampling.BILINEAR))


def _around(box: Box, margin: float, width: int, height: int) -> Window:
    """Return the window around a box, with a margin in its long side, within the picture."""
    left, top, right, bottom = box
    shortest = min(right - left, bottom - top)
    wide = max(margin * max(right - left, bottom - top), (MIN_SIDE_PIXELS - shortest) / 2)
    return _within((left - wide, top - wide, right + wide, bottom + wide), width, height)


def _squares(prompt: Prompt, width: int, height: int) -> list[Window]:
    """Return the windows around the points of the object, the largest first, within the picture."""
    inside = [point for point in prompt.points if point.inside]
    left, right = min(point.x for point in inside), max(point.x for point in inside)
    top, bottom = min(point.y for point in inside), max(point.y for point in inside)
    x, y = (left + right) / 2, (top + bottom) / 2
    windows = []
    for share in CLICK_SIDES:
        half = max(share * max(width, height), MIN_SPAN_SHARE * max(right - left, bottom - top), MIN_SIDE_PIXELS) / 2
        windows.append(_within((x - half, y - half, x + half, y + half), width, height))
    return list(dict.fromkeys(windows))


def _within(box: Box, width: int, height: int) -> Window:
    left, top, right, bottom = box
    return max(0, int(left)), max(0, int(top)), min(width, math.ceil(right)), min(height, math.ceil(bottom))


def _answer(crop: UInt8, window: Window, shape: tuple[int, int], prompt: Prompt) -> Answer | None:
    """Return what a crop's soft mask answers, at the size of the picture; None if it is nothing.

    crop: (H, W) of the window. shape: (H, W) of the picture.
    """
    left, top, right, bottom = window
    soft = np.zeros(shape, np.uint8)
    soft[top:bottom, left:right] = crop
    selected = select(soft, prompt)
    if selected is None:
        return None
    kept = selected >= THRESHOLD
    points = [pixel(point.x, point.y, shape) for point in prompt.points if point.inside]
    reached = sum(bool(kept[place]) for place in points) / len(points) if points else 1.0
    return Answer(selected, reached * _sureness(selected, kept, window, shape))


def _sureness(soft: UInt8, kept: Bool, window: Window, shape: tuple[int, int]) -> float:
    """Return how likely an answer is a whole object, 0..1: sure of its pixels, and not cut by the crop.

    soft, kept: (H, W) of the picture; the object's pixels are `kept`.
    """
    left, top, right, bottom = window
    height, width = shape
    sides = [(left > 0, kept[:, left]), (right < width, kept[:, right - 1])]
    sides += [(top > 0, kept[top]), (bottom < height, kept[bottom - 1])]
    cut = sum(int(np.count_nonzero(side)) for is_inner, side in sides if is_inner)
    certain = float((soft[kept] >= CERTAIN).mean())
    return certain * max(0.0, 1.0 - cut / (2 * math.sqrt(np.count_nonzero(kept))))
