"""Solids of known shape and their paint, made from formulas: what the cases of the preview benchmark consist of.

Frame: y up, right-handed.
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


def case(name: str, kind: str, vertices: Array, faces: Array, paint: Paint) -> Case:
    low, high = vertices.min(0), vertices.max(0)
    return Case(name, kind, (vertices - (low + high) / 2) / (high - low).max(), faces, paint)


def turned(profile: Sequence[tuple[float, float]], smooth: bool, sections: int = 160) -> tuple[Array, Array]:
    """A closed surface of revolution about y through (radius, height) pairs, rising; both ends are flat."""
    radii, heights = np.array(profile).T
    if smooth:
        fine = np.linspace(heights[0], heights[-1], 90)
        radii, heights = np.maximum(PchipInterpolator(heights, radii)(fine), 0.03), fine
    outline = np.array([(0, heights[0]), *zip(radii, heights, strict=True), (0, heights[-1])])
    mesh = trimesh.creation.revolve(outline, sections=sections)  # about z
    return mesh.vertices[:, [1, 2, 0]], mesh.faces


def joined(name: str, kind: str, parts: Sequence[tuple[Array, Array]], paint: Paint) -> Case:
    """Several closed surfaces as one object."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    return case(name, kind, np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces), paint)


def lathe(name: str, profile: Sequence[tuple[float, float]], paint: Paint, *, smooth: bool = False) -> Case:
    return case(name, "lathe", *turned(profile, smooth), paint)


def mug(
    name: str, profile: Sequence[tuple[float, float]], loop: float, thick: float, lift: float, paint: Paint
) -> Case:
    """A turned body with half a ring at its side: `loop` is the ring's radius, `thick` that of its tube."""
    vertices, faces = turned(profile, smooth=True)
    radii, heights = np.array(profile).T
    torus = trimesh.creation.torus(loop, thick, major_sections=96, minor_sections=32)  # about z, across x and y
    reach = float(np.interp(lift, heights, radii)) - 0.25 * loop
    ring = torus.vertices * [0.75, 1, 1] + [reach, lift, 0]
    return case(
        name, "handle", np.concatenate([vertices, ring]), np.concatenate([faces, torus.faces + len(vertices)]), paint
    )


def box(name: str, sizes: Sequence[float], paint: Paint) -> Case:
    mesh = trimesh.creation.box(sizes)
    return case(name, "box", mesh.vertices, mesh.faces, paint)


def body(name: str, kind: str, field: Field, paint: Paint) -> Case:
    """The zero surface of a signed distance over [-0.62, 0.62]^3."""
    axis = np.linspace(-0.62, 0.62, CELLS)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = field(grid).reshape((CELLS,) * 3)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(axis[1] - axis[0],) * 3, gradient_direction="ascent")
    return case(name, kind, vertices, faces, paint)


def ball(p: Array, centre: Sequence[float], radius: float, squash: Sequence[float] = (1, 1, 1)) -> Array:
    scaled = (p - centre) / squash
    return (np.linalg.norm(scaled, axis=1) - radius) * min(squash)


def rod(p: Array, start: Sequence[float], end: Sequence[float], radius: float) -> Array:
    along = np.array(end, float) - start
    share = np.clip((p - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(p - start - share[:, None] * along, axis=1) - radius


def block(p: Array, centre: Sequence[float], half: Sequence[float]) -> Array:
    return (np.abs(p - centre) - half).max(1)


def union(*parts: Array, blend: float = 0.0) -> Array:
    if not blend:
        return np.minimum.reduce(parts)
    return -blend * np.log(np.exp(-np.stack(parts) / blend).sum(0))


def palette(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(30, 235, (4, 3))


def waves(seed: int) -> Paint:
    """Soft, without symmetry, about a twelfth of the object long."""
    random, colours = np.random.default_rng(seed), palette(seed)
    vectors, phases = random.normal(size=(3, 3)) * 14, random.uniform(0, 6, 3)

    def paint(p: Array) -> Array:
        shares = (0.5 + 0.5 * np.sin(p @ vectors.T + phases)) / 3
        return colours[0] * (1 - shares.sum(1, keepdims=True)) + shares @ colours[1:]

    return paint


def bands(seed: int) -> Paint:
    """Level bands with hard edges, and a label on one side."""
    colours = palette(seed)

    def paint(p: Array) -> Array:
        result = colours[(np.floor(p[:, 1] * 9) % 2).astype(int)]
        label = (np.abs(p[:, 1]) < 0.17) & (p[:, 2] > 0.4 * np.abs(p[:, 0]))
        result[label] = colours[2 + (np.floor(p[label, 0] * 22) % 2).astype(int)]
        return result

    return paint


def checks(count: int, seed: int) -> Paint:
    colours = palette(seed)
    return lambda p: colours[np.floor((p + 0.501) * count).astype(int).sum(1) % 2 + 2 * (p[:, 0] > 0.1)]


def rings(seed: int) -> Paint:
    colours = palette(seed)
    return lambda p: colours[(np.floor(np.hypot(p[:, 0], p[:, 2]) * 11) % 3).astype(int)] + 20 * np.sin(9 * p[:, :1])
