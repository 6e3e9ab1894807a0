"""Textured objects of known shape, made from formulas: what benchmarks/preview.py photographs and reconstructs.

`named` are those that the engine's constants were chosen on. `drawn` gives others, by a seed: random profiles, handles,
proportions and heaps of balls, on which nothing was chosen. Frame: y up, right-handed, the longest side 1.
"""

from __future__ import annotations

import numpy as np
from preview_primitives import (
    Array,
    Case,
    Field,
    ball,
    bands,
    block,
    body,
    box,
    checks,
    lathe,
    mug,
    rings,
    rod,
    union,
    waves,
)


def named() -> list[Case]:
    return [
        lathe("bottle", [(0.15, -0.5), (0.15, 0.1), (0.13, 0.2), (0.05, 0.3), (0.05, 0.5)], bands(1)),
        lathe("vase", [(0.14, -0.5), (0.27, -0.15), (0.2, 0.2), (0.1, 0.35), (0.18, 0.5)], waves(2), smooth=True),
        lathe("can", [(0.33, -0.5), (0.33, 0.5)], bands(3)),
        lathe("bowl", [(0.2, -0.22), (0.4, -0.05), (0.5, 0.22)], waves(4), smooth=True),
        lathe("goblet", [(0.25, -0.5), (0.06, -0.44), (0.05, -0.1), (0.27, 0.1), (0.3, 0.5)], waves(5)),
        lathe("plate", [(0.28, -0.06), (0.5, 0.06)], rings(6)),
        lathe(
            "candlestick", [(0.3, -0.5), (0.26, -0.4), (0.06, -0.3), (0.12, 0.0), (0.06, 0.2), (0.13, 0.5)], bands(7)
        ),
        body("ball", "lathe", lambda p: np.linalg.norm(p, axis=1) - 0.45, waves(8)),
        mug("mug", [(0.28, -0.35), (0.3, 0.35)], 0.22, 0.045, 0.02, bands(9)),
        mug("jug", [(0.22, -0.5), (0.32, -0.2), (0.2, 0.25), (0.24, 0.5)], 0.25, 0.04, 0.1, waves(10)),
        box("crate", (0.8, 0.7, 0.75), checks(9, 11)),
        box("book", (0.7, 0.14, 1.0), waves(12)),
        box("carton", (0.3, 1.0, 0.4), bands(13)),
        box("board", (1.0, 0.7, 0.05), checks(7, 14)),
        body("duck", "other", _duck, waves(15)),
        body("fish", "other", _fish, bands(16)),
        body("teddy", "other", _teddy, waves(17)),
        body("chair", "other", _chair, bands(18)),
        body("star", "other", _star, waves(19)),
        body("ring", "other", lambda p: np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.38, p[:, 2]) - 0.11, checks(9, 20)),
        body("cactus", "other", _cactus, waves(21)),
        body("hammer", "other", _hammer, bands(22)),
        body("bracket", "other", _bracket, checks(8, 23)),
        body("pyramid", "other", _pyramid, bands(24)),
    ]


def drawn(seed: int) -> list[Case]:
    """Return four random cases of each kind."""
    random = np.random.default_rng(seed)
    cases = []
    for index in range(4):
        heights = np.sort(np.concatenate([[-0.5, 0.5], random.uniform(-0.4, 0.4, 3)]))
        radii = random.uniform(0.07, 0.45, 5)
        radii[0] = random.uniform(0.15, 0.4)
        paints = [bands, waves]
        cases.append(
            lathe(
                f"turned {index}", list(zip(radii, heights, strict=True)), paints[index % 2](seed + index), smooth=True
            )
        )
        foot, rim, tall = random.uniform(0.2, 0.34), random.uniform(0.22, 0.36), random.uniform(0.3, 0.5)
        loop, thick = random.uniform(0.45, 0.7) * tall, random.uniform(0.03, 0.06)
        profile = [(foot, -tall), ((foot + rim) / 2 + random.uniform(-0.04, 0.06), 0.0), (rim, tall)]
        cases.append(mug(f"cup {index}", profile, loop, thick, random.uniform(-0.1, 0.1), waves(seed + 10 + index)))
        cases.append(box(f"block {index}", tuple(random.uniform(0.12, 1, 3)), checks(8, seed + 20 + index)))
        cases.append(body(f"heap {index}", "other", _heap(random), waves(seed + 30 + index)))
    return cases


def _duck(p: Array) -> Array:
    body, head = ball(p, (0, -0.15, -0.05), 0.3, (0.85, 0.75, 1.3)), ball(p, (0, 0.25, 0.2), 0.17)
    bill, tail = ball(p, (0, 0.22, 0.4), 0.09, (1, 0.4, 1)), rod(p, (0, -0.05, -0.35), (0, 0.1, -0.5), 0.05)
    return union(body, head, bill, tail, blend=0.02)


def _fish(p: Array) -> Array:
    fins = [ball(p, (-0.46, 0.13 * s, 0), 0.16, (0.6, 1, 0.2)) for s in (-1, 1)]
    return union(
        ball(p, (0.05, 0, 0), 0.4, (1.1, 0.55, 0.35)),
        *fins,
        ball(p, (0.05, 0.22, 0), 0.12, (1.4, 1, 0.2)),
        blend=0.015,
    )


def _teddy(p: Array) -> Array:
    limbs = [
        rod(p, (0.15 * s, y, 0), (0.33 * s, y + d, 0.12), 0.09)
        for s in (-1, 1)
        for y, d in ((0.02, -0.1), (-0.3, -0.15))
    ]
    ears = [ball(p, (0.17 * s, 0.44, 0), 0.08) for s in (-1, 1)]
    return union(ball(p, (0, -0.12, 0), 0.25), ball(p, (0, 0.28, 0), 0.2), *limbs, *ears, blend=0.012)


def _chair(p: Array) -> Array:
    legs = [rod(p, (x, -0.5, z), (x, -0.05, z), 0.03) for x in (-0.24, 0.24) for z in (-0.24, 0.24)]
    return union(*legs, block(p, (0, -0.04, 0), (0.28, 0.03, 0.28)), block(p, (0, 0.25, -0.26), (0.27, 0.27, 0.025)))


def _star(p: Array) -> Array:
    turn = np.arctan2(p[:, 0], p[:, 1])
    sector = np.abs((turn + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    radius = np.hypot(p[:, 0], p[:, 1])
    edge = radius * np.cos(sector) * 0.55 + radius * np.sin(sector) * 0.83 - 0.27
    return np.maximum(edge, np.abs(p[:, 2]) - 0.09)


def _cactus(p: Array) -> Array:
    arms = [rod(p, (0, y, 0), (0.27 * s, y, 0.05), 0.07) for s, y in ((-1, 0.05), (1, -0.1))]
    tips = [rod(p, (0.27 * s, y, 0.05), (0.27 * s, y + 0.25, 0.05), 0.07) for s, y in ((-1, 0.05), (1, -0.1))]
    return union(rod(p, (0, -0.4, 0), (0, 0.4, 0), 0.11), *arms, *tips)


def _hammer(p: Array) -> Array:
    return union(rod(p, (0, -0.5, 0), (0, 0.35, 0), 0.045), block(p, (0.02, 0.38, 0), (0.24, 0.09, 0.09)))


def _bracket(p: Array) -> Array:
    return union(block(p, (0, -0.35, 0), (0.4, 0.13, 0.3)), block(p, (-0.27, 0.0, 0), (0.13, 0.48, 0.3)))


def _pyramid(p: Array) -> Array:
    return np.maximum(np.maximum(np.abs(p[:, 0]), np.abs(p[:, 2])) * 0.8 + p[:, 1] * 0.45 - 0.2, -0.4 - p[:, 1])


def _heap(random: np.random.Generator) -> Field:
    """Balls and rods that hang together: each starts where an earlier one lies."""
    places = [np.zeros(3)]
    parts: list[tuple[Array, Array, float]] = []
    for _ in range(7):
        start = places[random.integers(len(places))]
        end = np.clip(start + random.normal(size=3) * 0.22, -0.4, 0.4)
        parts.append((start, end, float(random.uniform(0.04, 0.17))))
        places.append(end)
    return lambda p: union(*(rod(p, *part) for part in parts))
