"""Shapes with photos and drawings on them, for benchmarks/colour_sources.py: vertices have the exact colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from export_cases import Case, Floats, Paint, X, Y, Z, balls, box, length, make_case, nothing, stripes
from scipy.ndimage import map_coordinates
from skimage import data

# Oblique axes, so that a picture's rows run along no edge of a shape.
ACROSS, DOWN = np.array([0.9, 0.25, 0.4]), np.array([0.2, -0.9, -0.45])


def photo(name: str, repeats: float) -> Paint:
    """Project a photo of scikit-image, mirrored at its borders, so many times over the unit cube."""
    picture = np.atleast_3d(getattr(data, name)())[..., :3] / 255
    picture = np.broadcast_to(picture, (*picture.shape[:2], 3))

    def paint(points: Floats) -> Floats:
        places = [0.5 + repeats * (points @ axis) for axis in (DOWN, ACROSS)]
        mirrored = [(1 - abs(place % 2 - 1)) * (size - 1) for place, size in zip(places, picture.shape, strict=False)]
        channels = [map_coordinates(picture[..., k], mirrored, order=1, mode="nearest") for k in range(3)]
        return np.stack(channels, axis=1)

    return paint


def _blob(seed: int) -> Floats:
    return balls(np.random.default_rng(seed), count=7, spread=0.22, size=1.1)


def _brick() -> Floats:
    return box(X, Y, Z, 0.35, 0.25, 0.42) + nothing()


def _tube() -> Floats:
    return np.maximum(abs(np.hypot(X, Z) - 0.2 - 0.1 * np.sin(7 * Y + 1)) - 0.02, abs(Y) - 0.45) + nothing()


def _capsule() -> Floats:
    return length(abs(X).clip(0.15, None) - 0.15, Y, Z, (0, 0, 0)) - 0.28 + nothing()


def _torus() -> Floats:
    return np.hypot(np.hypot(X, Y) - 0.3, Z) - 0.13 + nothing()


def _machine() -> Floats:
    return np.minimum(box(X, Y, Z, 0.42, 0.18, 0.3), np.maximum(np.hypot(X + 0.15, Z) - 0.17, abs(Y - 0.22) - 0.2))


# By name: shape, paint, number of splats. Constants of the fusion were chosen on the first ones.
CHOSEN_ON: dict[str, tuple[Callable[[], Floats], Callable[[], Paint], int]] = {
    "coffee": (_brick, lambda: photo("coffee", 1.0), 300_000),
    "astronaut": (lambda: _blob(21), lambda: photo("astronaut", 1.2), 300_000),
    "stripes": (_torus, lambda: stripes(30), 400_000),
    "machine": (_machine, lambda: stripes(11), 400_000),
}
NOT_CHOSEN_ON: dict[str, tuple[Callable[[], Floats], Callable[[], Paint], int]] = {
    "page": (_brick, lambda: photo("page", 1.4), 500_000),
    "hubble": (lambda: _blob(31), lambda: photo("hubble_deep_field", 1.3), 800_000),
    "brick": (_tube, lambda: photo("brick", 3), 200_000),
    "bands": (lambda: _blob(33), lambda: stripes(18), 600_000),
    "retina": (_torus, lambda: photo("retina", 1.1), 250_000),
    "rocket": (_capsule, lambda: photo("rocket", 1.6), 300_000),
}
TEXTURED = CHOSEN_ON | NOT_CHOSEN_ON


def make_textured(name: str, splat_noise: float) -> Case:
    """Make a model whose splats' colours have noise of this standard deviation, as a share of white."""
    shape, paint_of, splats = TEXTURED[name]
    paint = paint_of()
    case = make_case(name, shape(), paint, splats=splats, splat_noise=splat_noise, vertex_noise=0.0)
    return replace(case, paint=paint)
