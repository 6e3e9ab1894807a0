"""Objects of the kinds that people photograph: animals, vehicles, vessels, furniture, statues, people.

`tuned` are those that the constants of the preview engine were chosen on. `untuned` are as many others of the same
kinds. Nothing was chosen on them: they are run to report figures, and no constant may depend on them. Frame: y up,
right-handed, the longest side 1; the front faces +z.
"""

from __future__ import annotations

import numpy as np
from preview_primitives import Array, Case, ball, bands, block, body, checks, joined, lathe, rod, turned, union, waves

SIDES = (-1, 1)
LANTERN = [(0.22, -0.5), (0.22, -0.42), (0.16, -0.4), (0.16, 0.1), (0.22, 0.14), (0.05, 0.3)]


def tuned() -> list[Case]:
    """Return the 16 objects that the constants of the engine were chosen on."""
    return [
        body("dog", "free legs", _dog, waves(101)),
        body("cow", "free legs", _cow, waves(102)),
        body("car", "flat parts", _car, bands(103)),
        body("truck", "flat parts", _truck, checks(7, 104)),
        body("armchair", "flat parts", _armchair, waves(105)),
        body("table", "flat parts", _table, checks(8, 106)),
        body("tray", "flat parts", _tray, waves(107)),
        body("chest", "flat parts", _chest, bands(108)),
        body("elephant", "broad ears", _elephant, waves(109)),
        body("cloaked figure", "cloak", _cloaked, bands(110)),
        body("waving person", "raised arms", _waving, bands(111)),
        body("bird", "wings", _bird, waves(112)),
        teapot("teapot", [(0.2, -0.3), (0.34, -0.05), (0.2, 0.22), (0.06, 0.26), (0.06, 0.34)], 0.2, 0.035, 113),
        kettle("kettle", [(0.34, -0.35), (0.34, -0.1), (0.16, 0.12), (0.05, 0.2)], 0.28, 0.03, 114),
        kettle("lantern", LANTERN, 0.14, 0.02, 115),
        lathe("flask", [(0.28, -0.5), (0.28, 0.1), (0.2, 0.22), (0.2, 0.5)], waves(116)),
    ]


def untuned() -> list[Case]:
    """Return 16 objects that nothing was chosen on."""
    return [
        body("horse", "free legs", _horse, waves(201)),
        body("giraffe", "free legs", _giraffe, checks(9, 202)),
        body("van", "flat parts", _van, bands(203)),
        body("locomotive", "flat parts", _locomotive, checks(8, 204)),
        body("bench", "flat parts", _bench, waves(205)),
        body("stool", "flat parts", _stool, bands(206)),
        body("serving board", "flat parts", _serving_board, waves(207)),
        body("sewing box", "flat parts", _sewing_box, checks(9, 208)),
        body("rabbit", "broad ears", _rabbit, waves(209)),
        body("robed statue", "cloak", _robed, waves(210)),
        body("dancer", "raised arms", _dancer, bands(211)),
        body("aeroplane", "wings", _aeroplane, bands(212)),
        teapot("coffee pot", [(0.18, -0.5), (0.24, -0.2), (0.13, 0.3), (0.04, 0.38), (0.04, 0.46)], 0.24, 0.03, 213),
        kettle("bucket", [(0.24, -0.4), (0.32, 0.2)], 0.3, 0.015, 214),
        kettle("oil lamp", [(0.2, -0.5), (0.2, -0.35), (0.08, -0.3), (0.17, 0.0), (0.08, 0.3)], 0.16, 0.02, 215),
        lathe("beaker", [(0.2, -0.4), (0.24, 0.0), (0.32, 0.4)], bands(216), smooth=True),
    ]


def teapot(name: str, profile: list[tuple[float, float]], loop: float, thick: float, seed: int) -> Case:
    """A turned body with a handle at one side and a spout at the other."""
    radii, heights = np.array(profile).T
    reach = float(np.interp(0.0, heights, radii))
    handle = _ring(loop, thick) * [0.75, 1, 1] + [reach - 0.25 * loop, 0, 0]
    spout = _tube(np.array([[-0.6 * reach, -0.12, 0], [-reach - 0.1, 0.0, 0], [-reach - 0.24, 0.24, 0]]), 1.3 * thick)
    return joined(name, "handle or spout", [turned(profile, smooth=True), (handle, _ring_faces()), spout], waves(seed))


def kettle(name: str, profile: list[tuple[float, float]], loop: float, thick: float, seed: int) -> Case:
    """A turned body with a bow over it."""
    bow = _ring(loop, thick) + np.array([0, profile[-1][1], 0])
    return joined(name, "handle or spout", [turned(profile, smooth=False), (bow, _ring_faces())], bands(seed))


RING = (96, 24)  # sections of a ring and of its tube


def _ring(radius: float, thick: float) -> Array:
    """Return the vertices (V, 3) of a ring about z, in the plane z = 0."""
    along, across = np.meshgrid(*(np.arange(count) / count * 2 * np.pi for count in RING), indexing="ij")
    out = radius + thick * np.cos(across)
    return np.stack([out * np.cos(along), out * np.sin(along), thick * np.sin(across)], -1).reshape(-1, 3)


def _ring_faces() -> Array:
    """Return the faces (F, 3) of a ring."""
    index = np.arange(RING[0] * RING[1]).reshape(RING)
    a, b = index, np.roll(index, -1, 0)
    c, d = np.roll(b, -1, 1), np.roll(a, -1, 1)
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])


def _tube(line: Array, radius: float, sections: int = 32, steps: int = 30) -> tuple[Array, Array]:
    """Return the vertices and faces of a closed, tapering tube along a line (N, 3) in the plane z = 0."""
    at = np.linspace(0, len(line) - 1, steps)
    middle = np.stack([np.interp(at, np.arange(len(line)), part) for part in line.T], 1)
    along = np.gradient(middle, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side, turn = np.stack([-along[:, 1], along[:, 0], 0 * at], 1), np.arange(sections) / sections * 2 * np.pi
    thick = radius * np.linspace(1.2, 0.7, steps)[:, None, None]
    rings = middle[:, None] + thick * (
        np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * np.array([0.0, 0.0, 1.0])
    )
    index = np.arange(steps * sections).reshape(steps, sections)
    a, b = index[:-1], np.roll(index[:-1], -1, 1)
    c, d = np.roll(index[1:], -1, 1), index[1:]
    first, last = steps * sections, steps * sections + 1
    ends = [
        np.stack([np.full(sections, first), np.roll(index[0], -1), index[0]], 1),
        np.stack([np.full(sections, last), index[-1], np.roll(index[-1], -1)], 1),
    ]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3), *ends])
    return np.concatenate([rings.reshape(-1, 3), middle[[0, -1]]]), faces


def _legs(p: Array, x: float, z: float, top: float, foot: float, radius: float) -> list[Array]:
    """Return four upright legs."""
    return [rod(p, (i * x, top, j * z), (i * x, foot + radius, j * z), radius) for i in SIDES for j in SIDES]


def _wheels(p: Array, x: float, zs: tuple[float, ...], y: float, radius: float) -> list[Array]:
    """Return upright discs at both sides."""
    return [
        np.maximum(np.hypot(p[:, 1] - y, p[:, 2] - z) - radius, np.abs(p[:, 0] - i * x) - 0.04)
        for i in SIDES
        for z in zs
    ]


def _dog(p: Array) -> Array:
    body, head = rod(p, (0, 0.02, -0.28), (0, 0.05, 0.22), 0.13), ball(p, (0, 0.24, 0.36), 0.11)
    parts = [rod(p, (0, 0.1, 0.22), (0, 0.24, 0.34), 0.07), rod(p, (0, 0.2, 0.4), (0, 0.18, 0.52), 0.05)]
    ears, tail = (
        [ball(p, (0.1 * s, 0.28, 0.33), 0.07, (0.4, 1, 0.7)) for s in SIDES],
        rod(p, (0, 0.08, -0.38), (0, 0.26, -0.5), 0.03),
    )
    return union(body, head, *parts, *ears, tail, *_legs(p, 0.08, 0.25, 0, -0.4, 0.045), blend=0.01)  # fmt: skip


def _cow(p: Array) -> Array:
    body, head = ball(p, (0, 0.05, -0.05), 0.2, (0.9, 1, 1.9)), rod(p, (0, 0.2, 0.4), (0, 0.06, 0.52), 0.08)
    horns = [rod(p, (0.06 * s, 0.26, 0.4), (0.15 * s, 0.34, 0.42), 0.02) for s in SIDES]
    neck = rod(p, (0, 0.1, 0.25), (0, 0.2, 0.4), 0.09)
    return union(body, head, neck, *horns, *_legs(p, 0.11, 0.26, 0, -0.38, 0.05), blend=0.01)


def _horse(p: Array) -> Array:
    body, neck = ball(p, (0, 0.0, -0.08), 0.17, (0.85, 1, 2)), rod(p, (0, 0.06, 0.2), (0, 0.34, 0.36), 0.08)
    head, tail = rod(p, (0, 0.36, 0.38), (0, 0.22, 0.52), 0.06), rod(p, (0, 0.05, -0.4), (0, -0.25, -0.46), 0.035)
    return union(body, neck, head, tail, *_legs(p, 0.08, 0.25, 0, -0.5, 0.035), blend=0.01)


def _giraffe(p: Array) -> Array:
    body, neck = ball(p, (0, -0.08, -0.05), 0.13, (0.9, 1, 1.6)), rod(p, (0, -0.02, 0.1), (0, 0.42, 0.24), 0.045)
    head = rod(p, (0, 0.45, 0.24), (0, 0.4, 0.36), 0.045)
    return union(body, neck, head, *_legs(p, 0.06, 0.13, -0.1, -0.52, 0.026), blend=0.01)


def _car(p: Array) -> Array:
    cabin = np.maximum(
        block(p, (0, 0.1, -0.05), (0.19, 0.11, 0.26)), 0.8 * p[:, 1] + 0.6 * np.abs(p[:, 2] + 0.05) - 0.24
    )
    return union(block(p, (0, -0.08, 0), (0.21, 0.1, 0.5)), cabin, *_wheels(p, 0.19, (-0.3, 0.3), -0.17, 0.1))


def _truck(p: Array) -> Array:
    load, cab = block(p, (0, 0.1, -0.15), (0.2, 0.24, 0.36)), block(p, (0, 0.0, 0.37), (0.19, 0.18, 0.13))
    return union(
        load, cab, block(p, (0, -0.16, 0), (0.16, 0.04, 0.48)), *_wheels(p, 0.17, (-0.36, -0.12, 0.36), -0.22, 0.09)
    )


def _van(p: Array) -> Array:
    nose = np.maximum(block(p, (0, 0.02, 0.0), (0.22, 0.22, 0.52)), 0.7 * p[:, 1] + 0.7 * p[:, 2] - 0.4)
    return union(nose, *_wheels(p, 0.19, (-0.32, 0.32), -0.2, 0.1))


def _locomotive(p: Array) -> Array:
    boiler = np.maximum(np.hypot(p[:, 0], p[:, 1] - 0.02) - 0.15, np.abs(p[:, 2] - 0.15) - 0.35)
    cab, frame = block(p, (0, 0.12, -0.33), (0.2, 0.26, 0.17)), block(p, (0, -0.16, 0), (0.18, 0.05, 0.52))
    return union(
        boiler,
        cab,
        frame,
        rod(p, (0, 0.1, 0.38), (0, 0.32, 0.38), 0.05),
        *_wheels(p, 0.17, (-0.35, -0.05, 0.25), -0.22, 0.12),
    )


def _armchair(p: Array) -> Array:
    arms = [block(p, (0.34 * s, -0.08, 0), (0.07, 0.2, 0.32)) for s in SIDES]
    return union(
        block(p, (0, -0.2, 0.02), (0.3, 0.12, 0.32)),
        block(p, (0, 0.12, -0.28), (0.38, 0.36, 0.07)),
        *arms,
        *_legs(p, 0.34, 0.28, -0.2, -0.45, 0.03),
    )


def _table(p: Array) -> Array:
    return union(block(p, (0, 0.25, 0), (0.5, 0.03, 0.32)), *_legs(p, 0.44, 0.26, 0.25, -0.3, 0.035))


def _bench(p: Array) -> Array:
    back = [block(p, (0, y, -0.19), (0.5, 0.05, 0.02)) for y in (0.12, 0.28)]
    posts = [rod(p, (0.42 * s, -0.05, -0.18), (0.42 * s, 0.3, -0.19), 0.025) for s in SIDES]
    return union(block(p, (0, -0.05, 0), (0.5, 0.025, 0.2)), *back, *posts, *_legs(p, 0.42, 0.16, -0.05, -0.35, 0.03))


def _stool(p: Array) -> Array:
    seat = np.maximum(np.hypot(p[:, 0], p[:, 2]) - 0.28, np.abs(p[:, 1] - 0.36) - 0.04)
    legs = [rod(p, (0.15 * i, 0.34, 0.15 * j), (0.24 * i, -0.46, 0.24 * j), 0.03) for i in SIDES for j in SIDES]
    return union(seat, *legs, *[rod(p, (-0.2, -0.1, 0.2 * j), (0.2, -0.1, 0.2 * j), 0.02) for j in SIDES])


def _tray(p: Array) -> Array:
    rim = np.maximum(block(p, (0, 0, 0), (0.5, 0.05, 0.34)), -block(p, (0, 0.03, 0), (0.47, 0.055, 0.31)))
    return union(rim, *[ball(p, place, 0.1, (1, 0.6, 1)) for place in ((-0.2, 0.03, 0.05), (0.12, 0.03, -0.1))])


def _serving_board(p: Array) -> Array:
    bread = ball(p, (-0.05, 0.06, 0), 0.12, (1.8, 0.8, 1))
    return union(block(p, (0, 0, 0), (0.4, 0.025, 0.25)), block(p, (0.48, 0, 0), (0.1, 0.025, 0.05)), bread)


def _chest(p: Array) -> Array:
    return union(block(p, (0, -0.08, 0), (0.44, 0.24, 0.3)), block(p, (0, 0.22, 0), (0.47, 0.07, 0.33)))


def _sewing_box(p: Array) -> Array:
    knob = rod(p, (-0.1, 0.24, 0), (0.1, 0.24, 0), 0.03)
    return union(block(p, (0, -0.08, 0), (0.38, 0.2, 0.34)), block(p, (0, 0.16, 0), (0.41, 0.05, 0.37)), knob)


def _elephant(p: Array) -> Array:
    body, head = ball(p, (0, 0.05, -0.12), 0.26, (0.9, 1, 1.3)), ball(p, (0, 0.2, 0.28), 0.15)
    ears = [ball(p, (0.23 * s, 0.2, 0.2), 0.17, (1, 1.1, 0.15)) for s in SIDES]
    trunk = [rod(p, (0, 0.14, 0.4), (0, -0.12, 0.46), 0.055), rod(p, (0, -0.12, 0.46), (0, -0.25, 0.52), 0.045)]
    return union(body, head, *ears, *trunk, *_legs(p, 0.14, 0.22, 0, -0.42, 0.08), blend=0.01)


def _rabbit(p: Array) -> Array:
    body, head = ball(p, (0, -0.2, -0.03), 0.25, (0.85, 1.05, 1)), ball(p, (0, 0.12, 0.12), 0.15)
    ears = [ball(p, (0.1 * s, 0.36, 0.06), 0.16, (0.4, 1.1, 0.2)) for s in SIDES]
    feet = [ball(p, (0.13 * s, -0.42, 0.2), 0.09, (0.8, 0.6, 1.6)) for s in SIDES]
    return union(body, head, *ears, *feet, ball(p, (0, -0.3, -0.3), 0.08), blend=0.01)


def _cloaked(p: Array) -> Array:
    half = 0.12 + 0.16 * np.clip((0.25 - p[:, 1]) / 0.75, 0, 1)
    cloak = np.maximum(np.hypot(p[:, 0] / half, p[:, 2] / (0.6 * half)) - 1, np.abs(p[:, 1] + 0.12) - 0.38) * 0.1
    arms = [rod(p, (0.12 * s, 0.2, 0.02), (0.26 * s, 0.0, 0.12), 0.05) for s in SIDES]
    return union(cloak, ball(p, (0, 0.38, 0.02), 0.1), *arms)


def _robed(p: Array) -> Array:
    half = 0.09 + 0.13 * np.clip((0.2 - p[:, 1]) / 0.7, 0, 1) ** 0.7
    robe = np.maximum(np.hypot(p[:, 0] / half, p[:, 2] / (0.75 * half)) - 1, np.abs(p[:, 1] + 0.12) - 0.32) * 0.1
    wide = block(p, (0, -0.48, 0), (0.26, 0.05, 0.22))
    folded = [rod(p, (0.13 * s, 0.16, 0), (0.04 * s, 0.0, 0.14), 0.05) for s in SIDES]
    return union(
        robe, wide, ball(p, (0, 0.34, 0.01), 0.085, (1, 1.2, 1.1)), *folded, rod(p, (0, 0.18, 0), (0, 0.3, 0), 0.05)
    )


def _waving(p: Array) -> Array:
    legs = [rod(p, (0.07 * s, -0.05, 0), (0.1 * s, -0.48, 0), 0.055) for s in SIDES]
    arms = [rod(p, (0.12 * s, 0.2, 0), (0.28 * s, 0.45, 0.04), 0.04) for s in SIDES]
    return union(rod(p, (0, -0.02, 0), (0, 0.18, 0), 0.11), ball(p, (0, 0.36, 0), 0.085), *legs, *arms, blend=0.008)


def _dancer(p: Array) -> Array:
    legs = [rod(p, (0.03, -0.08, 0), (0.0, -0.52, 0), 0.045), rod(p, (-0.04, -0.08, 0), (-0.32, -0.2, -0.12), 0.042)]
    arms = [rod(p, (0.09, 0.18, 0), (0.16, 0.5, 0.02), 0.032), rod(p, (-0.09, 0.18, 0), (-0.36, 0.26, 0.08), 0.032)]
    skirt = (
        np.maximum(
            np.hypot(p[:, 0], p[:, 2]) - 0.1 - 0.5 * np.clip(0.02 - p[:, 1], 0, 1), np.abs(p[:, 1] + 0.09) - 0.11
        )
        * 0.8
    )
    return union(
        rod(p, (0, 0.0, 0), (0, 0.16, 0), 0.085), ball(p, (0, 0.32, 0), 0.075), skirt, *legs, *arms, blend=0.008
    )


def _bird(p: Array) -> Array:
    body, head = ball(p, (0, 0.0, 0), 0.14, (1, 0.9, 2)), ball(p, (0, 0.12, 0.3), 0.09)
    wings = [ball(p, (0.28 * s, 0.06, 0.0), 0.28, (1, 0.1, 0.55)) for s in SIDES]
    return union(
        body,
        head,
        *wings,
        ball(p, (0, 0.02, -0.36), 0.14, (0.8, 0.15, 1)),
        rod(p, (0, 0.11, 0.36), (0, 0.09, 0.44), 0.025),
        blend=0.008,
    )


def _aeroplane(p: Array) -> Array:
    hull, wing = rod(p, (0, 0, -0.42), (0, 0, 0.42), 0.075), block(p, (0, 0.02, 0.08), (0.5, 0.015, 0.09))
    tail = [block(p, (0, 0.02, -0.42), (0.18, 0.012, 0.06)), block(p, (0, 0.12, -0.42), (0.012, 0.11, 0.07))]
    engines = [rod(p, (0.22 * s, -0.03, 0.04), (0.22 * s, -0.03, 0.2), 0.04) for s in SIDES]
    return union(hull, wing, *tail, *engines)
