"""Answers of a model to a prompt: make them clean, drop those that say the same, and put them in order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import ndimage
from skimage.morphology import remove_small_holes
from skimage.segmentation import watershed

from sam3d_bento.arrays import Bool, Int32, UInt8
from sam3d_bento.prompt import MAX_CANDIDATES, Box, Prompt

THRESHOLD = 128  # of 255; a pixel of a soft answer with at least this value belongs to the object
HOLE_SHARE = 0.002  # of the object's area; a smaller hole is a flaw of the mask, a larger one may be a handle
SPECK_SHARE = 0.02  # of the largest part's area; a smaller part without a point on it is a flaw of the mask
RIVAL_SHARE = 0.1  # of the largest part's area; a smaller part in a box is debris
CUT_WORTH = 0.5  # of the score of an answer that a point beside the object had to be cut off: it meant too much
SAME_IOU = 0.9  # of two answers that a person would hardly tell apart
MIN_PIXELS = 64  # as for an uploaded mask: with fewer nothing can be done

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)  # pixels that touch at a corner are connected


@dataclass(frozen=True)
class Answer:
    """What a prompt may mean. soft: (H, W) uint8, at least THRESHOLD on the object. score: 0..1, how sure it is."""

    soft: UInt8
    score: float


class PromptModel(Protocol):
    """Model that answers prompts about a photo. What it needs to know of the photo, its encoding, is made once."""

    name: str

    def encode(self, rgb: UInt8) -> Any:
        """Return the encoding of a picture (H, W, 3) uint8 sRGB."""

    def answers(self, rgb: UInt8, encoding: Any, prompt: Prompt) -> list[Answer]:
        """Return the answers to a prompt in pixels of the picture `rgb`, which `encoding` belongs to."""


def cleaned(answer: Answer, prompt: Prompt, visible: Bool | None) -> Answer | None:
    """Return the answer with an outline that agrees with the prompt; None if hardly anything is left.

    Pixels beside `visible`, (H, W) or None for all, are never object. The points beside the object, and what is
    nearer to them than to its points, are cut off. Pinholes are filled and specks removed.
    """
    pixels = answer.soft >= THRESHOLD
    if visible is not None:
        pixels &= visible
    uncut = pixels
    pixels = _without_flaws(_without_excluded(pixels, prompt), prompt)
    score = answer.score
    if any(uncut[pixel(point.x, point.y, pixels.shape)] for point in prompt.points if not point.inside):
        score *= CUT_WORTH
    if visible is not None:
        pixels &= visible
    if np.count_nonzero(pixels) < MIN_PIXELS:
        return None
    soft = np.where(pixels, np.maximum(answer.soft, THRESHOLD), np.minimum(answer.soft, THRESHOLD - 1))
    return Answer(soft.astype(np.uint8), score)


def distinct(answers: list[Answer]) -> list[Answer]:
    """Return at most MAX_CANDIDATES answers, the surest ones of those that differ, the smallest first."""
    kept: list[tuple[Answer, Bool]] = []
    for answer in sorted(answers, key=lambda one: -one.score):
        pixels = answer.soft >= THRESHOLD
        if len(kept) < MAX_CANDIDATES and all(_iou(pixels, other) < SAME_IOU for _, other in kept):
            kept.append((answer, pixels))
    return [answer for answer, pixels in sorted(kept, key=lambda one: np.count_nonzero(one[1]))]


def pixel(x: float, y: float, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return row and column of the pixel at a place in an array of this shape (H, W); at its rim, the last one."""
    return min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)


def select(soft: UInt8, prompt: Prompt) -> UInt8 | None:
    """Return the soft mask (H, W) without the connected parts that the prompt does not point at; None if none is left.

    These are the parts without a point of the object on them; or, without such points, debris. What lies beyond the
    box is left out before.
    """
    if prompt.box is not None:
        soft = soft * inside_box(prompt.box, soft.shape)
    parts, count = ndimage.label(soft >= THRESHOLD, _EIGHT_NEIGHBOURS)
    points = [pixel(point.x, point.y, soft.shape) for point in prompt.points if point.inside]
    if points:
        kept = np.isin(parts, [parts[place] for place in points if parts[place]])
    else:
        sizes = np.bincount(parts.ravel(), minlength=count + 1)
        sizes[0] = 0
        kept = (sizes >= max(1, RIVAL_SHARE * sizes.max()))[parts]
    return np.where(kept | (soft < THRESHOLD), soft, THRESHOLD - 1).astype(np.uint8) if kept.any() else None


def inside_box(box: Box, shape: tuple[int, ...]) -> Bool:
    """Return which pixels of an array of this shape (H, W) a box touches."""
    left, top, right, bottom = box
    inside = np.zeros(shape, bool)
    inside[math.floor(top) : math.ceil(bottom), math.floor(left) : math.ceil(right)] = True
    return inside


def _iou(first: Bool, second: Bool) -> float:
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


def _without_excluded(pixels: Bool, prompt: Prompt) -> Bool:
    """Return the pixels without the regions of the points beside the object.

    Where such a point lies on the object, what is nearer to it than to the points of the object is cut off, by ways
    within the object. Without points of the object, the pixel farthest from the outline stands for them.
    """
    excluded = [pixel(point.x, point.y, pixels.shape) for point in prompt.points if not point.inside]
    excluded = [place for place in excluded if pixels[place]]
    if not excluded:
        return pixels
    included = [pixel(point.x, point.y, pixels.shape) for point in prompt.points if point.inside]
    if not included:
        apart = pixels.copy()
        apart[tuple(np.transpose(excluded))] = False
        depth = ndimage.distance_transform_edt(np.pad(apart, 1))[1:-1, 1:-1]
        included = [tuple(np.unravel_index(int(depth.argmax()), depth.shape))]  # type: ignore[list-item]
    markers = np.zeros(pixels.shape, np.int32)
    markers[tuple(np.transpose(excluded))] = 2
    markers[tuple(np.transpose(included))] = 1
    # On level ground all regions grow at one speed and meet halfway, as far as a way within the object is.
    regions: Int32 = watershed(np.zeros(pixels.shape, np.uint8), markers, connectivity=2, mask=pixels)
    parts, _ = ndimage.label(pixels, _EIGHT_NEIGHBOURS)
    touched = np.unique([parts[place] for place in excluded])
    return np.asarray(pixels & ((regions == 1) | ~np.isin(parts, touched)), bool)


def _without_flaws(pixels: Bool, prompt: Prompt) -> Bool:
    """Return the pixels without specks and pinholes."""
    parts, _ = ndimage.label(pixels, _EIGHT_NEIGHBOURS)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    if len(sizes) == 1:
        return pixels
    kept = sizes >= SPECK_SHARE * sizes.max()
    for point in prompt.points:
        if point.inside:
            kept[parts[pixel(point.x, point.y, pixels.shape)]] = True
    kept[0] = False
    whole = kept[parts]
    # Padded with background, so that a corner of the picture does not count as a hole.
    filled = remove_small_holes(np.pad(whole, 1), max_size=int(HOLE_SHARE * np.count_nonzero(whole)))
    return np.asarray(filled[1:-1, 1:-1])
