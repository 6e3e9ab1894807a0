"""Photos with known masks for benchmarks/masks.py: composites with exact masks, photos with masks drawn by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import skimage.data
from preview_cases import Case, drawn, named
from preview_scene import Scene
from scipy.ndimage import distance_transform_edt
from skimage.draw import ellipse, polygon

from sam3d_bento.export.render import camera_axes

Array = npt.NDArray[Any]

# Objects of the preview benchmark that are pasted into pictures: both the named ones and the drawn ones of a seed.
NAMED = ("bottle", "vase", "mug", "crate", "duck", "teddy", "chair", "ring", "hammer", "star", "goblet", "cactus")
DRAWN_SEED = 4711
DRAWN = ("turned 0", "cup 1", "block 2", "heap 3")
BACKGROUNDS = ("brick", "gravel", "grass", "coffee", "rocket", "astronaut", "chelsea", "coins")

FIELD_OF_VIEW_DEGREES = 34.0
DISTANCE = 3.0
SAMPLES = 3  # rays along each side of a pixel, for soft edges

# Outlines in pixels of scikit-image's photos, drawn by hand on the enlarged picture, to about two pixels.
OUTLINES = Path(__file__).with_name("mask_outlines.json")
# Centre (x, y) and radii (x, y) of coins.
COINS = {"large coin": (335, 43.5, 29.5, 28.5), "worn coin": (271, 119, 25.5, 24.5), "dark coin": (46, 260, 28, 27.5)}


@dataclass(frozen=True)
class Shown:
    """A photo and the object that is meant. rgb: (H, W, 3) uint8. truth: (H, W) bool."""

    name: str
    rgb: Array
    truth: Array

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The object's box: left, top, right, bottom, in pixels."""
        rows, columns = np.flatnonzero(self.truth.any(1)), np.flatnonzero(self.truth.any(0))
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)

    @property
    def click(self) -> tuple[float, float]:
        """The pixel of the object that is farthest from its outline: where a person clicks."""
        depth = distance_transform_edt(np.pad(self.truth, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(depth.argmax()), depth.shape)
        return float(column) + 0.5, float(row) + 0.5


def photos() -> list[Shown]:
    """Return the photos with masks that were drawn by hand."""
    shown = []
    for name, outline in json.loads(OUTLINES.read_text()).items():
        rgb = np.asarray(getattr(skimage.data, outline["photo"])())
        columns, rows = zip(*outline["corners"], strict=True)
        truth = np.zeros(rgb.shape[:2], bool)
        truth[polygon(rows, columns, truth.shape)] = True
        shown.append(Shown(name, rgb, truth))
    coins = skimage.data.coins()
    for name, (x, y, radius_x, radius_y) in COINS.items():
        truth = np.zeros(coins.shape, bool)
        truth[ellipse(y, x, radius_y, radius_x, coins.shape)] = True
        shown.append(Shown(name, np.repeat(coins[..., None], 3, 2), truth))
    return shown


def composites() -> list[Shown]:
    """Return sixteen objects of known shape, each in front of a picture that is no plain background."""
    cases = [case for case in named() if case.name in NAMED]
    cases += [case for case in drawn(DRAWN_SEED) if case.name in DRAWN]
    return [_composite(case, BACKGROUNDS[index % len(BACKGROUNDS)], index) for index, case in enumerate(cases)]


def _composite(case: Case, background: str, index: int) -> Shown:
    """Return the case in front of a picture of scikit-image: its size, place and side are drawn by its index."""
    random = np.random.default_rng(index)
    rgb = np.asarray(getattr(skimage.data, background)())
    rgb = np.repeat(rgb[..., None], 3, 2) if rgb.ndim == 2 else rgb
    height, width = rgb.shape[:2]
    size = int(min(height, width) * random.uniform(0.55, 0.9))
    axes = camera_axes(float(random.uniform(-60, 60)), float(random.uniform(5, 30)))
    focal_length = size / 2 / np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2))
    colours, covered = Scene(case.vertices, case.faces).picture(
        lambda face, weights, points: case.paint(points), axes, axes @ [0, 0, DISTANCE], focal_length, size, SAMPLES
    )
    top, left = random.integers(0, height - size + 1), random.integers(0, width - size + 1)
    window = slice(top, top + size), slice(left, left + size)
    # `picture` mixes the object's colours with its own background at the rim; take them from inside.
    inside = np.where(covered[..., None] > 0.99, colours, 0)
    colours = inside + np.where(covered[..., None] > 0.99, 0, _nearest(colours, covered > 0.99))
    share = covered[..., None]
    made = rgb.astype(float).copy()
    made[window] = made[window] * (1 - share) + colours * share
    truth = np.zeros((height, width), bool)
    truth[window] = covered > 0.5
    return Shown(f"{case.name} on {background}", made.round().clip(0, 255).astype(np.uint8), truth)


def _nearest(colours: Array, known: Array) -> Array:
    """Return for each pixel the colour of the nearest one that is known."""
    rows, columns = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return colours[rows, columns]
