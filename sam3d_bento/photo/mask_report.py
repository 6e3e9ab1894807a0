"""Describe a mask in the report: its source, what else was found or may have been meant, with boxes to choose by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from sam3d_bento.arrays import Bool
from sam3d_bento.reconstruction import Mask, Photo

MAX_OBJECTS = 16  # that are listed; a person is asked which one, so more are of no use

_EIGHT_NEIGHBOURS = np.ones((3, 3), bool)  # pixels that touch at a corner are connected


def describe(mask: Mask, photo: Photo) -> dict[str, Any]:
    """Return the report's entry `mask` as JSON values. Boxes are in pixels of the upright photo as it was sent.

    objects: what the mask model found, the one that was used first, then by size; empty for any other source.
    """
    choice = mask.choice
    return {
        "source": mask.source,
        "coverage": round(mask.coverage, 4),
        "model": None if choice is None else choice.model,
        "score": None if choice is None else round(choice.candidates[choice.chosen].score, 3),
        "candidate": None if choice is None else choice.chosen,
        "candidates": []
        if choice is None
        else [
            {"box": _in_original(one.box, photo), "coverage": round(one.coverage, 4), "score": round(one.score, 3)}
            for one in choice.candidates
        ],
        "objects": [] if mask.others is None else _objects(mask.pixels, mask.others, photo),
    }


def describe_union(masks: Sequence[Mask]) -> dict[str, Any]:
    """Return the entry `mask` of a scene, which covers all its objects. Each object has an entry of its own."""
    coverage = float(np.any([mask.pixels for mask in masks], axis=0).mean())
    unknown: dict[str, Any] = {"model": None, "score": None, "candidate": None, "candidates": [], "objects": []}
    return {"source": masks[0].source, "coverage": round(coverage, 4), **unknown}


def _objects(pixels: Bool, others: Bool, photo: Photo) -> list[dict[str, Any]]:
    labels, count = ndimage.label(others, _EIGHT_NEIGHBOURS)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    boxes = ndimage.find_objects(labels)
    order = sorted(range(count), key=lambda index: -sizes[index + 1])
    (own,) = ndimage.find_objects(pixels.view(np.uint8))
    found = [(own, int(np.count_nonzero(pixels)))] + [(boxes[index], int(sizes[index + 1])) for index in order]
    return [
        {
            "box": _in_original((box[1].start, box[0].start, box[1].stop, box[0].stop), photo),
            "coverage": round(area / pixels.size, 4),
        }
        for box, area in found[:MAX_OBJECTS]
    ]


def _in_original(box: tuple[int, int, int, int], photo: Photo) -> list[int]:
    height, width = photo.rgb.shape[:2]
    original_width, original_height = photo.original_size
    factors = (original_width / width, original_height / height) * 2
    return [round(side * factor) for side, factor in zip(box, factors, strict=True)]
