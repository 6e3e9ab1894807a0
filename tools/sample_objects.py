"""Objects made from formulas, for `tools/samples.py` and `tools/contact_sheet.py` to photograph.

Frame: y up, right-handed; each stands on y = 0 and is about one unit high. Colours are linear reflectances, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from skimage.measure import marching_cubes

Array = npt.NDArray[Any]
Paint = Callable[[Array], Array]  # points (N, 3) -> reflectances (N, 3)

SECTIONS = 192  # of a turned body, around its axis
CELLS = 150  # along each side of the grid for what is given by a distance


@dataclass(frozen=True)
class SampleObject:
    """A mesh with its colours, and how it is photographed.

    gloss: the share of light that is mirrored head-on. azimuth, elevation: of the camera in degrees; 0 is before +z.
    """

    mesh: trimesh.Trimesh
    paint: Paint
    gloss: float
    azimuth: float
    elevation: float


def mug() -> SampleObject:
    wall = [(0, 0), (0.31, 0), (0.34, 0.03), (0.36, 0.86), (0.352, 0.88), (0.338, 0.88), (0.33, 0.86), (0.31, 0.06)]
    body = _turned([*wall, (0, 0.05)])
    handle = trimesh.creation.torus(0.24, 0.042, major_sections=96, minor_sections=40)  # about z
    handle.vertices = handle.vertices * [0.86, 1.1, 1.25] + [0.38, 0.46, 0]
    handle.update_faces(handle.triangles_center[:, 0] > 0.335)  # what would stand out of the wall, inside
    speckles = np.random.default_rng(4)
    places = speckles.uniform([-np.pi, 0], [np.pi, 0.9], (420, 2))
    sizes = speckles.uniform(0.002, 0.006, len(places))

    def paint(p: Array) -> Array:
        angle, height, radius = np.arctan2(p[:, 0], p[:, 2]), p[:, 1], np.hypot(p[:, 0], p[:, 2])
        colours = np.tile([0.78, 0.72, 0.6], (len(p), 1))
        body = radius < 0.365
        wave = 0.4 + 0.05 * np.sin(9 * angle)
        for level, width, colour in (
            (wave, 0.03, (0.02, 0.09, 0.3)),
            (wave - 0.11, 0.018, (0.06, 0.25, 0.42)),
            (0.66, 0.014, (0.02, 0.09, 0.3)),
            (0.12, 0.05, (0.02, 0.09, 0.3)),
        ):
            colours[body & (np.abs(height - level) < width)] = colour
        for place, size in zip(places, sizes, strict=True):
            turned = np.abs((angle - place[0] + np.pi) % (2 * np.pi) - np.pi) * 0.35
            colours[body & (np.hypot(turned, height - place[1]) < size)] = (0.25, 0.17, 0.1)
        colours[height > 0.862] = (0.2, 0.1, 0.05)
        return colours

    return SampleObject(trimesh.util.concatenate([body, handle]), paint, 0.05, azimuth=-18, elevation=14)


def lighthouse() -> SampleObject:
    rock = [(0, 0), (0.3, 0), (0.3, 0.05), (0.25, 0.08)]
    tower = [(0.19, 0.08), (0.115, 0.72), (0.18, 0.74), (0.18, 0.765), (0.1, 0.765), (0.1, 0.87)]
    roof = [(0.135, 0.87), (0.1, 0.93), (0.03, 0.975), (0.022, 0.98), (0.022, 1.02), (0, 1.03)]

    def paint(p: Array) -> Array:
        angle, height, radius = np.arctan2(p[:, 0], p[:, 2]), p[:, 1], np.hypot(p[:, 0], p[:, 2])
        red, white = np.array([0.55, 0.03, 0.03]), np.array([0.8, 0.78, 0.74])
        colours = np.where((np.floor((height - 0.08) / 0.128) % 2 == 0)[:, None], red, white)
        stones = np.sin(9 * angle + 3 * np.sin(25 * height)) * np.sin(60 * radius + 40 * height)
        colours = np.where((height < 0.082)[:, None], (0.3 + 0.07 * stones)[:, None] * [1, 0.97, 0.9], colours)
        glass = np.where((np.abs(np.sin(4 * angle)) < 0.16)[:, None], [0.05, 0.05, 0.05], [0.75, 0.6, 0.2])
        colours = np.where(((height > 0.768) & (height < 0.868))[:, None], glass, colours)
        colours = np.where(
            ((height >= 0.868) | ((height > 0.72) & (height < 0.768)))[:, None], [0.06, 0.07, 0.09], colours
        )
        colours = np.where((height >= 0.9)[:, None], red, colours)
        facing = np.abs(angle) < 0.5 * 0.045 / np.maximum(radius, 0.05) * 2
        door = facing & (height > 0.082) & (height < 0.2)
        windows = facing & ((np.abs(height - 0.4) < 0.025) | (np.abs(height - 0.6) < 0.025))
        return np.where((door | windows)[:, None], [0.09, 0.05, 0.03], colours)

    return SampleObject(_turned([*rock, *tower, *roof]), paint, 0.03, azimuth=15, elevation=8)


def crate() -> SampleObject:
    half, thick, wide = 0.42, 0.035, 0.075
    parts = [trimesh.creation.box([2 * half] * 3)]
    for axis in range(3):  # a frame of four battens on each of the six sides
        for side in (-1, 1):
            others = [other for other in range(3) if other != axis]
            for across, along in (others, others[::-1]):
                for edge in (-1, 1):
                    sizes, centre = np.empty(3), np.zeros(3)
                    sizes[axis], sizes[across], sizes[along] = thick, 2 * wide, 2 * (half + thick)
                    centre[axis] = side * (half + thick / 2)
                    centre[across] = edge * (half + thick - wide)
                    parts.append(trimesh.creation.box(sizes, trimesh.transformations.translation_matrix(centre)))
    for side in (-1, 1):  # a diagonal batten on the front, the back and both ends
        for turn in (0.0, np.pi / 2):
            batten = trimesh.creation.box([2 * (half - wide) * 1.34, 2 * wide, thick])
            batten.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 4, [0, 0, 1]))
            batten.apply_translation([0, 0, side * (half + thick / 2 - 0.002)])
            batten.apply_transform(trimesh.transformations.rotation_matrix(turn, [0, 1, 0]))
            parts.append(batten)
    mesh = trimesh.util.concatenate(parts)
    mesh.apply_translation([0, half + thick, 0])

    def paint(p: Array) -> Array:
        centred = p - [0, half + thick, 0]
        raised = np.abs(centred).max(1) > half + 0.3 * thick
        plank = np.floor((centred[:, 1] + 1) / 0.168)
        grain = np.sin(46 * centred[:, 1] + 5 * np.sin(3 * centred[:, 0] + 2.2 * centred[:, 2] + 2.3 * plank))
        grain += 0.5 * np.sin(150 * centred[:, 1] + 9 * np.sin(4 * centred[:, 0] - 3 * centred[:, 2] + plank))
        tone = 1 + 0.12 * np.sin(12.9 * plank) + 0.08 * grain
        colours = tone[:, None] * np.where(raised[:, None], [0.42, 0.24, 0.1], [0.56, 0.36, 0.18])
        gap = ~raised & (np.abs((centred[:, 1] + 1) / 0.168 - np.round((centred[:, 1] + 1) / 0.168)) < 0.03)
        colours[gap] = (0.06, 0.035, 0.02)
        corner = half + thick - wide  # in the middle of where two battens meet there is a nail
        in_plane = np.sort(np.abs(centred), axis=1)[:, :2]
        colours[raised & (np.linalg.norm(in_plane - corner, axis=1) < 0.018)] = (0.1, 0.1, 0.11)
        return np.clip(colours, 0, 1)

    return SampleObject(mesh, paint, 0.01, azimuth=33, elevation=22)


def duck() -> SampleObject:
    def field(p: Array) -> Array:
        parts = [
            _ball(p, (-0.06, 0.3, 0), 0.34, (1.16, 0.84, 0.86)),
            _ball(p, (0.2, 0.72, 0), 0.205),
            _rod(p, (-0.34, 0.36, 0), (-0.5, 0.52, 0), 0.07),
            _ball(p, (-0.1, 0.36, 0.25), 0.16, (1.25, 0.8, 0.5)),
            _ball(p, (-0.1, 0.36, -0.25), 0.16, (1.25, 0.8, 0.5)),
        ]
        soft = _blend(parts, 0.03)
        bill = _ball(p, (0.43, 0.685, 0), 0.1, (1.15, 0.42, 1.05))
        return np.maximum(_blend([soft, bill], 0.012), 0.02 - p[:, 1])

    mesh = _carved(field)

    def paint(p: Array) -> Array:
        p = p + np.array([0, 0.02, 0])
        colours = np.tile([0.85, 0.55, 0.03], (len(p), 1))
        colours[_ball(p, (0.43, 0.685, 0), 0.1, (1.15, 0.42, 1.05)) < 0.006] = (0.75, 0.2, 0.02)
        for side in (-1, 1):
            eye = np.linalg.norm(p - [0.305, 0.775, side * 0.155], axis=1)
            colours[eye < 0.05] = (0.9, 0.9, 0.9)
            colours[np.linalg.norm(p - [0.325, 0.775, side * 0.16], axis=1) < 0.032] = (0.01, 0.01, 0.01)
        return colours

    return SampleObject(mesh, paint, 0.045, azimuth=12, elevation=10)


def bear() -> SampleObject:
    limbs = [((0.13, 0.42, 0.05), (0.3, 0.3, 0.16), 0.085), ((0.12, 0.16, 0.05), (0.19, 0.1, 0.27), 0.095)]

    def muzzle(p: Array) -> Array:
        return _ball(p, (0, 0.66, 0.19), 0.1, (1.1, 0.85, 0.8))

    def field(p: Array) -> Array:
        parts = [_ball(p, (0, 0.28, 0), 0.25, (0.95, 1.05, 0.85)), _ball(p, (0, 0.7, 0.02), 0.21), muzzle(p)]
        for side in (-1, 1):
            turned = p * [side, 1, 1]
            parts += [_rod(turned, *limb) for limb in limbs]
            parts.append(_ball(turned, (0.17, 0.87, 0), 0.08, (1, 1, 0.6)))
        return np.maximum(_blend(parts, 0.015), 0.02 - p[:, 1])

    fur = np.random.default_rng(6).normal(size=(40, 3)) * 60

    def paint(p: Array) -> Array:
        p = p + np.array([0, 0.02, 0])
        strands = np.sin(p @ fur.T).mean(1, keepdims=True)
        colours = np.array([0.3, 0.13, 0.045]) * (1 + 1.6 * strands)
        light = (muzzle(p) < 0.012) | (_ball(p, (0, 0.26, 0.24), 0.16, (0.8, 1, 0.5)) < 0)
        colours[light] = np.array([0.62, 0.42, 0.22]) * (1 + strands[light])
        scarf = np.abs(p[:, 1] - 0.49 - 0.1 * p[:, 2]) < 0.04
        colours[scarf] = np.where((p[scarf] @ [30, 60, 30] % 2 < 1)[:, None], (0.5, 0.02, 0.02), (0.7, 0.55, 0.4))
        colours[_ball(p, (0, 0.7, 0.275), 0.035, (1.3, 0.8, 1)) < 0.004] = (0.015, 0.012, 0.01)
        for side in (-1, 1):
            colours[np.linalg.norm(p - [side * 0.08, 0.755, 0.2], axis=1) < 0.032] = (0.01, 0.01, 0.01)
        return np.clip(colours, 0, 1)

    return SampleObject(_carved(field), paint, 0.01, azimuth=24, elevation=8)


def cactus() -> SampleObject:
    stems = [((0, 0.3, 0), (0, 0.86, 0), 0.1)]
    for side, height, rise in ((-1, 0.5, 0.22), (1, 0.42, 0.28)):
        elbow = (0.24 * side, height, 0.04)
        stems += [((0, height, 0), elbow, 0.062), (elbow, (0.25 * side, height + rise, 0.05), 0.062)]

    def pot(p: Array) -> Array:
        radius = np.hypot(p[:, 0], p[:, 2])
        sides = radius - 0.17 - 0.18 * p[:, 1]
        rim = np.maximum(radius - 0.25, np.abs(p[:, 1] - 0.285) - 0.035)
        return np.minimum(np.maximum(sides, np.abs(p[:, 1] - 0.16) - 0.14), rim)

    def field(p: Array) -> Array:
        return np.minimum(_blend([_rod(p, *stem) for stem in stems], 0.012), pot(p))

    def paint(p: Array) -> Array:
        p = p + np.array([0, 0.02, 0])
        angle = np.arctan2(p[:, 0], p[:, 2])
        colours = np.where((np.sin(14 * angle + 3 * p[:, 1]) > 0.55)[:, None], (0.1, 0.3, 0.07), (0.04, 0.16, 0.04))
        spines = np.sin(70 * p).prod(1) > 0.55
        colours[spines] = (0.7, 0.68, 0.5)
        clay = pot(p) < 0.006
        colours[clay] = (0.42, 0.14, 0.06)
        return colours

    return SampleObject(_carved(field), paint, 0.02, azimuth=20, elevation=14)


# Objects of the samples in the studio and the documentation.
OBJECTS: dict[str, Callable[[], SampleObject]] = {
    "mug": mug,
    "lighthouse": lighthouse,
    "crate": crate,
    "duck": duck,
}


# Further objects of the contact sheet.
MORE_OBJECTS: dict[str, Callable[[], SampleObject]] = {"bear": bear, "cactus": cactus}


def _carved(field: Callable[[Array], Array]) -> trimesh.Trimesh:
    """Return the zero surface of a distance over the cube of 1.32 units around (0, 0.5, 0), moved down by 0.02."""
    axis = np.linspace(-0.66, 0.66, CELLS)
    grid = np.stack(np.meshgrid(axis, axis + 0.5, axis, indexing="ij"), -1).reshape(-1, 3)
    values = field(grid).reshape((CELLS,) * 3)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=(axis[1] - axis[0],) * 3, gradient_direction="ascent")
    return trimesh.Trimesh(vertices - np.array([0.66, 0.18, 0.66]), faces)


def _turned(profile: Sequence[tuple[float, float]]) -> trimesh.Trimesh:
    """A surface of revolution about y through (radius, height) pairs, its edges a little rounded by their normals."""
    mesh = trimesh.creation.revolve(np.array(profile), sections=SECTIONS)  # about z
    return trimesh.Trimesh(mesh.vertices[:, [1, 2, 0]], mesh.faces)


def _ball(p: Array, centre: Sequence[float], radius: float, squash: Sequence[float] = (1, 1, 1)) -> Array:
    return np.asarray((np.linalg.norm((p - centre) / squash, axis=1) - radius) * min(squash))


def _rod(p: Array, start: Sequence[float], end: Sequence[float], radius: float) -> Array:
    along = np.array(end, float) - start
    share = np.clip((p - start) @ along / (along @ along), 0, 1)
    return np.asarray(np.linalg.norm(p - start - share[:, None] * along, axis=1) - radius)


def _blend(parts: Sequence[Array], width: float) -> Array:
    """The smooth union of distances; `width` is how far the parts grow together."""
    return np.asarray(-width * np.log(np.exp(-np.stack(parts) / width).sum(0)))
