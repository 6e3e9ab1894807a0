"""Textured objects of known shape, made from formulas: what benchmarks/preview.py photographs and reconstructs.

`named` are those that the engine's constants were chosen on. `drawn` gives others, by a seed: random profiles, handles,
proportions and heaps of balls, on which nothing was chosen. Frame: y up, right-handed, the longest side 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from scipy.interpolate import PchipInterpolator
from skimage.measure import marching_cubes

Array = npt.NDArray[Any]
Paint = Callable[[Array], Array]  # points (N, 3) -> sRGB (N, 3), 0..255
Field = Callable[[Array], Array]  # points (N, 3) -> signed distance (N,), negative inside

CELLS = 120  # along each side of the grid for what is given by a distance


@dataclass(frozen=True)
class Case:
    """kind: the shape class that fits: `lathe`, `handle` (a lathe with a handle), `box`, or `other`."""

    name: str
    kind: str
    vertices: Array
    faces: Array
    paint: Paint


def named() -> list[Case]:
    return [
        _lathe("bottle", [(0.15, -0.5), (0.15, 0.1), (0.13, 0.2), (0.05, 0.3), (0.05, 0.5)], _bands(1)),
        _lathe("vase", [(0.14, -0.5), (0.27, -0.15), (0.2, 0.2), (0.1, 0.35), (0.18, 0.5)], _waves(2), smooth=True),
        _lathe("can", [(0.33, -0.5), (0.33, 0.5)], _bands(3)),
        _lathe("bowl", [(0.2, -0.22), (0.4, -0.05), (0.5, 0.22)], _waves(4), smooth=True),
        _lathe("goblet", [(0.25, -0.5), (0.06, -0.44), (0.05, -0.1), (0.27, 0.1), (0.3, 0.5)], _waves(5)),
        _lathe("plate", [(0.28, -0.06), (0.5, 0.06)], _rings(6)),
        _lathe(
            "candlestick", [(0.3, -0.5), (0.26, -0.4), (0.06, -0.3), (0.12, 0.0), (0.06, 0.2), (0.13, 0.5)], _bands(7)
        ),
        _body("ball", "lathe", lambda p: np.linalg.norm(p, axis=1) - 0.45, _waves(8)),
        _mug("mug", [(0.28, -0.35), (0.3, 0.35)], 0.22, 0.045, 0.02, _bands(9)),
        _mug("jug", [(0.22, -0.5), (0.32, -0.2), (0.2, 0.25), (0.24, 0.5)], 0.25, 0.04, 0.1, _waves(10)),
        _box("crate", (0.8, 0.7, 0.75), _checks(9, 11)),
        _box("book", (0.7, 0.14, 1.0), _waves(12)),
        _box("carton", (0.3, 1.0, 0.4), _bands(13)),
        _box("board", (1.0, 0.7, 0.05), _checks(7, 14)),
        _body("duck", "other", _duck, _waves(15)),
        _body("fish", "other", _fish, _bands(16)),
        _body("teddy", "other", _teddy, _waves(17)),
        _body("chair", "other", _chair, _bands(18)),
        _body("star", "other", _star, _waves(19)),
        _body("ring", "other", lambda p: np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.38, p[:, 2]) - 0.11, _checks(9, 20)),
        _body("cactus", "other", _cactus, _waves(21)),
        _body("hammer", "other", _hammer, _bands(22)),
        _body("bracket", "other", _bracket, _checks(8, 23)),
        _body("pyramid", "other", _pyramid, _bands(24)),
    ]


def drawn(seed: int) -> list[Case]:
    """Return four random cases of each kind."""
    random = np.random.default_rng(seed)
    cases = []
    for index in range(4):
        heights = np.sort(np.concatenate([[-0.5, 0.5], random.uniform(-0.4, 0.4, 3)]))
        radii = random.uniform(0.07, 0.45, 5)
        radii[0] = random.uniform(0.15, 0.4)
        paints = [_bands, _waves]
        cases.append(
            _lathe(
                f"turned {index}", list(zip(radii, heights, strict=True)), paints[index % 2](seed + index), smooth=True
            )
        )
        foot, rim, tall = random.uniform(0.2, 0.34), random.uniform(0.22, 0.36), random.uniform(0.3, 0.5)
        loop, thick = random.uniform(0.45, 0.7) * tall, random.uniform(0.03, 0.06)
        profile = [(foot, -tall), ((foot + rim) / 2 + random.uniform(-0.04, 0.06), 0.0), (rim, tall)]
        cases.append(_mug(f"cup {index}", profile, loop, thick, random.uniform(-0.1, 0.1), _waves(seed + 10 + index)))
        cases.append(_box(f"block {index}", tuple(random.uniform(0.12, 1, 3)), _checks(8, seed + 20 + index)))
        cases.append(_body(f"heap {index}", "other", _heap(random), _waves(seed + 30 + index)))
    return cases


def _case(name: str, kind: str, vertices: Array, faces: Array, paint: Paint) -> Case:
    low, high = vertices.min(0), vertices.max(0)
    return Case(name, kind, (vertices - (low + high) / 2) / (high - low).max(), faces, paint)


def _revolved(profile: Sequence[tuple[float, float]], smooth: bool, sections: int = 160) -> tuple[Array, Array]:
    """A closed surface of revolution about y through (radius, height) pairs, rising; both ends are flat."""
    radii, heights = np.array(profile).T
    if smooth:
        fine = np.linspace(heights[0], heights[-1], 90)
        radii, heights = np.maximum(PchipInterpolator(heights, radii)(fine), 0.03), fine
    outline = np.array([(0, heights[0]), *zip(radii, heights, strict=True), (0, heights[-1])])
    mesh = trimesh.creation.revolve(outline, sections=sections)  # about z
    return mesh.vertices[:, [1, 2, 0]], mesh.faces


def _lathe(name: str, profile: Sequence[tuple[float, float]], paint: Paint, *, smooth: bool = False) -> Case:
    return _case(name, "lathe", *_revolved(profile, smooth), paint)


def _mug(
    name: str, profile: Sequence[tuple[float, float]], loop: float, thick: float, lift: float, paint: Paint
) -> Case:
    """A turned body with half a ring at its side: `loop` is the ring's radius, `thick` that of its tube."""
    vertices, faces = _revolved(profile, smooth=True)
    radii, heights = np.array(profile).T
    torus = trimesh.creation.torus(loop, thick, major_sections=96, minor_sections=32)  # about z, across x and y
    reach = float(np.interp(lift, heights, radii)) - 0.25 * loop
    ring = torus.vertices * [0.75, 1, 1] + [reach, lift, 0]
    return _case(
        name, "handle", np.concatenate([vertices, ring]), np.concatenate([faces, torus.faces + len(vertices)]), paint
    )


def _box(name: str, sizes: Sequence[float], paint: Paint) -> Case:
    mesh = trimesh.creation.box(sizes)
    return _case(name, "box", mesh.vertices, mesh.faces, paint)


def _body(name: str, kind: str, field: Field, paint: Paint) -> Case:
    """The zero surface of a signed distance over [-0.62, 0.62]^3."""
    axis = np.linspace(-0.62, 0.62, CELLS)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = field(grid).reshape((CELLS,) * 3)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(axis[1] - axis[0],) * 3, gradient_direction="ascent")
    return _case(name, kind, vertices, faces, paint)


def _ball(p: Array, centre: Sequence[float], radius: float, squash: Sequence[float] = (1, 1, 1)) -> Array:
    scaled = (p - centre) / squash
    return (np.linalg.norm(scaled, axis=1) - radius) * min(squash)


def _rod(p: Array, start: Sequence[float], end: Sequence[float], radius: float) -> Array:
    along = np.array(end, float) - start
    share = np.clip((p - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(p - start - share[:, None] * along, axis=1) - radius


def _block(p: Array, centre: Sequence[float], half: Sequence[float]) -> Array:
    return (np.abs(p - centre) - half).max(1)


def _union(*parts: Array, blend: float = 0.0) -> Array:
    if not blend:
        return np.minimum.reduce(parts)
    return -blend * np.log(np.exp(-np.stack(parts) / blend).sum(0))


def _duck(p: Array) -> Array:
    body, head = _ball(p, (0, -0.15, -0.05), 0.3, (0.85, 0.75, 1.3)), _ball(p, (0, 0.25, 0.2), 0.17)
    bill, tail = _ball(p, (0, 0.22, 0.4), 0.09, (1, 0.4, 1)), _rod(p, (0, -0.05, -0.35), (0, 0.1, -0.5), 0.05)
    return _union(body, head, bill, tail, blend=0.02)


def _fish(p: Array) -> Array:
    fins = [_ball(p, (-0.46, 0.13 * s, 0), 0.16, (0.6, 1, 0.2)) for s in (-1, 1)]
    return _union(
        _ball(p, (0.05, 0, 0), 0.4, (1.1, 0.55, 0.35)),
        *fins,
        _ball(p, (0.05, 0.22, 0), 0.12, (1.4, 1, 0.2)),
        blend=0.015,
    )


def _teddy(p: Array) -> Array:
    limbs = [
        _rod(p, (0.15 * s, y, 0), (0.33 * s, y + d, 0.12), 0.09)
        for s in (-1, 1)
        for y, d in ((0.02, -0.1), (-0.3, -0.15))
    ]
    ears = [_ball(p, (0.17 * s, 0.44, 0), 0.08) for s in (-1, 1)]
    return _union(_ball(p, (0, -0.12, 0), 0.25), _ball(p, (0, 0.28, 0), 0.2), *limbs, *ears, blend=0.012)


def _chair(p: Array) -> Array:
    legs = [_rod(p, (x, -0.5, z), (x, -0.05, z), 0.03) for x in (-0.24, 0.24) for z in (-0.24, 0.24)]
    return _union(*legs, _block(p, (0, -0.04, 0), (0.28, 0.03, 0.28)), _block(p, (0, 0.25, -0.26), (0.27, 0.27, 0.025)))


def _star(p: Array) -> Array:
    turn = np.arctan2(p[:, 0], p[:, 1])
    sector = np.abs((turn + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    radius = np.hypot(p[:, 0], p[:, 1])
    edge = radius * np.cos(sector) * 0.55 + radius * np.sin(sector) * 0.83 - 0.27
    return np.maximum(edge, np.abs(p[:, 2]) - 0.09)


def _cactus(p: Array) -> Array:
    arms = [_rod(p, (0, y, 0), (0.27 * s, y, 0.05), 0.07) for s, y in ((-1, 0.05), (1, -0.1))]
    tips = [_rod(p, (0.27 * s, y, 0.05), (0.27 * s, y + 0.25, 0.05), 0.07) for s, y in ((-1, 0.05), (1, -0.1))]
    return _union(_rod(p, (0, -0.4, 0), (0, 0.4, 0), 0.11), *arms, *tips)


def _hammer(p: Array) -> Array:
    return _union(_rod(p, (0, -0.5, 0), (0, 0.35, 0), 0.045), _block(p, (0.02, 0.38, 0), (0.24, 0.09, 0.09)))


def _bracket(p: Array) -> Array:
    return _union(_block(p, (0, -0.35, 0), (0.4, 0.13, 0.3)), _block(p, (-0.27, 0.0, 0), (0.13, 0.48, 0.3)))


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
    return lambda p: _union(*(_rod(p, *part) for part in parts))


def _palette(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(30, 235, (4, 3))


def _waves(seed: int) -> Paint:
    """Soft, without symmetry, about a twelfth of the object long."""
    random, colours = np.random.default_rng(seed), _palette(seed)
    vectors, phases = random.normal(size=(3, 3)) * 14, random.uniform(0, 6, 3)

    def paint(p: Array) -> Array:
        shares = (0.5 + 0.5 * np.sin(p @ vectors.T + phases)) / 3
        return colours[0] * (1 - shares.sum(1, keepdims=True)) + shares @ colours[1:]

    return paint


def _bands(seed: int) -> Paint:
    """Level bands with hard edges, and a label on one side."""
    colours = _palette(seed)

    def paint(p: Array) -> Array:
        result = colours[(np.floor(p[:, 1] * 9) % 2).astype(int)]
        label = (np.abs(p[:, 1]) < 0.17) & (p[:, 2] > 0.4 * np.abs(p[:, 0]))
        result[label] = colours[2 + (np.floor(p[label, 0] * 22) % 2).astype(int)]
        return result

    return paint


def _checks(count: int, seed: int) -> Paint:
    colours = _palette(seed)
    return lambda p: colours[np.floor((p + 0.501) * count).astype(int).sum(1) % 2 + 2 * (p[:, 0] > 0.1)]


def _rings(seed: int) -> Paint:
    colours = _palette(seed)
    return lambda p: colours[(np.floor(np.hypot(p[:, 0], p[:, 2]) * 11) % 3).astype(int)] + 20 * np.sin(9 * p[:, :1])
