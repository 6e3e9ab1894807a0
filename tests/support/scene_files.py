"""Photos and masks of scenes as files."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sam3d_bento.submission import SceneInput, Submission
from tests.support.scene_truth import Truth


def png(pixels: np.ndarray) -> bytes:
    """Of colours (H, W, 3), of grey values or of a mask (H, W)."""
    file = io.BytesIO()
    values = pixels.astype(np.uint8) * np.uint8(255) if pixels.dtype == bool else pixels
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def masks_of(truth: Truth) -> tuple[bytes, ...]:
    return tuple(png(mask) for mask in truth.masks.values())


def submission(truth: Truth, options, **scene) -> Submission:
    return Submission(png(truth.photo), options=options, scene=SceneInput(**scene))


def coco_counts(mask: np.ndarray) -> list[int]:
    """The plain run lengths of a mask: down the columns, background first."""
    values = mask.T.ravel()
    changes = np.flatnonzero(np.diff(values)) + 1
    counts = np.diff([0, *changes, len(values)]).tolist()
    return [0, *counts] if values[0] else counts


def coco_text(counts: list[int]) -> str:
    """The compressed form of run lengths, by the definition in COCO's maskApi.c."""
    text = ""
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = number & 0x1F
            number >>= 5
            more = number != -1 if bits & 0x10 else number != 0
            text += chr(bits + (0x20 if more else 0) + 48)
    return text
