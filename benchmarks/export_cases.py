"""Dense coloured meshes with splats, as SAM 3D gives them, made from formulas: what benchmarks/export.py runs on.

Each is a signed distance field on a grid of 256^3 cells over the unit cube, with noise of a network's kind, its zero
surface by marching cubes; colours are a formula's value at each vertex plus noise; splats lie scattered about the
surface. Equal on every machine with the same numpy and scikit-image, up to the last bits of sines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from scipy.ndimage import gaussian_filter
from skimage.measure import marching_cubes

from sam3d_bento.reconstruction import Reconstruction, Splats

Floats = npt.NDArray[np.floating[Any]]
Paint = Callable[[Floats], Floats]  # points (N, 3) -> sRGB (N, 3), 0..1

CELLS = 256
CELL = 1.0 / CELLS
AXIS = np.linspace(-0.5, 0.5, CELLS + 1, dtype=np.float32)
X, Y, Z = AXIS[:, None, None], AXIS[None, :, None], AXIS[None, None, :]

FIELD_NOISE = 0.1 * CELL  # standard deviation of the surface's place
COLOUR_NOISE = 0.01  # of a vertex
SPLAT_COLOUR_NOISE, SPLAT_OFFSET = 0.03, 0.4 * CELL


@dataclass(frozen=True)
class Case:
    """paint: the colours without noise where these are the truth; None where the dense mesh's own colours are.

    whole: the mesh without its faults where these are to be mended; None where the cleaned one is the truth.
    """

    name: str
    reconstruction: Reconstruction
    paint: Paint | None = None
    whole: Reconstruction | None = None


def blob() -> Case:
    """Smooth, with a texture as fine as the vertices can hold."""
    field = balls(np.random.default_rng(1), count=9, spread=0.25, size=1.2)
    return make_case("blob", field, _checks(26, _waves(9)), splats=500_000)


def machine() -> Case:
    """Flat sides, sharp edges, round holes; paint with hard borders."""
    body = np.maximum(np.maximum(abs(X) - 0.42, abs(Y) - 0.18), abs(Z) - 0.3) + nothing()
    tower = np.maximum(np.hypot(X + 0.15, Z) - 0.17, abs(Y - 0.22) - 0.2)
    pocket = np.maximum(np.maximum(abs(X - 0.22), abs(Z)) - 0.13, 0.02 - Y)
    field = np.maximum(np.minimum(body, tower), -pocket)
    for x, z in ((-0.34, -0.22), (-0.34, 0.22), (0.36, -0.22), (0.36, 0.22)):
        field = np.maximum(field, 0.035 - np.hypot(X - x, Z - z))
    field = np.maximum(field, 0.09 - np.hypot(X + 0.15, Z))
    return make_case("machine", field, stripes(11), splats=400_000)


def chair() -> Case:
    """Rods and wires of 1 to 3 percent of the whole, a thin seat."""
    field = nothing() + np.float32(0.1)
    _add(field, (-0.3, -0.06, -0.3), (0.3, -0.03, 0.3), lambda x, y, z: box(x, y + 0.045, z, 0.28, 0.009, 0.28))
    for x in (-0.26, 0.26):
        for z in (-0.26, 0.26):
            _rod(field, (x, -0.47, z), (x, -0.05, z), 0.014)
        _rod(field, (x, -0.05, -0.26), (x * 1.05, 0.46, -0.34), 0.014)
        _rod(field, (x, -0.3, -0.26), (x, -0.3, 0.26), 0.008)
    _rod(field, (-0.27, 0.45, -0.34), (0.27, 0.45, -0.34), 0.014)
    for x in np.linspace(-0.22, 0.22, 12):
        _rod(field, (x, -0.05, -0.26), (x * 1.05, 0.45, -0.34), 0.006)
    for turn in np.linspace(0, 2 * np.pi, 28, endpoint=False):  # a wire basket on the seat
        low, high = np.array([np.cos(turn), np.sin(turn)]) * 0.1, np.array([np.cos(turn), np.sin(turn)]) * 0.19
        _rod(field, (low[0], -0.03, low[1] + 0.03), (high[0], 0.2, high[1] + 0.03), 0.006)
        after = turn + 2 * np.pi / 28
        for radius, height in ((0.1, -0.03), (0.145, 0.085), (0.19, 0.2)):
            ends = [(radius * np.cos(t), height, radius * np.sin(t) + 0.03) for t in (turn, after)]
            _rod(field, ends[0], ends[1], 0.006)
    return make_case("chair", field, stripes(17), splats=300_000)


def hollow() -> Case:
    """A closed shell with as many faces inside it as outside; none of those can be seen."""
    radius = np.sqrt(X**2 + (Y / 0.9) ** 2 + Z**2) + 0.02 * np.sin(11 * X) * np.sin(13 * Y) * np.sin(9 * Z)
    shell = abs(radius - 0.42) - 0.02
    core = np.sqrt((abs(X) - 0.13) ** 2 + (abs(Y) - 0.13) ** 2 + (abs(Z) - 0.13) ** 2) - 0.1
    return make_case("hollow", np.minimum(shell, core).astype(np.float32), _checks(18, _waves(7)), splats=600_000)


def debris() -> Case:
    """A deep vase, among 25 floating specks, with 12 small holes in it."""
    bowl = np.hypot(X, Z) - (0.17 + 0.1 * np.sin(6.5 * Y + 0.3))
    wall = np.maximum(abs(bowl) - 0.014, abs(Y) - 0.46)
    floor = np.maximum(bowl, abs(Y + 0.45) - 0.015)
    field = np.minimum(wall, floor)
    random = np.random.default_rng(5)
    for place in random.uniform(-0.47, 0.47, (25, 3)):
        size = random.uniform(0.004, 0.012)
        _add(field, place - 0.03, place + 0.03, lambda x, y, z, p=place, s=size: length(x, y, z, p) - s)
    case = make_case("debris", field, _checks(15, _waves(8)), splats=400_000)
    vertices, faces = case.reconstruction.vertices, case.reconstruction.faces
    for vertex in random.choice(len(vertices), 12, replace=False):
        near = np.linalg.norm(vertices - vertices[vertex], axis=1) < random.uniform(1.5, 4) * CELL
        faces = faces[~near[faces].any(axis=1)]
    holed = Reconstruction(vertices, faces, case.reconstruction.colours, case.reconstruction.splats)
    return Case("debris", holed)


def gyroid() -> Case:
    """A ball of winding channels, the worst there is to cut into charts."""
    period = 2 * np.pi * 2.4
    x, y, z = X * period, Y * period, Z * period
    sheet = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    field = np.maximum(abs(sheet / (1.4 * period)) - 0.009, np.sqrt(X**2 + Y**2 + Z**2) - 0.46)
    return make_case("gyroid", field, _waves(6), splats=1_300_000)


def engraved() -> Case:
    """Splats that carry a drawing finer than the vertices, whose colours are its blur."""
    field = balls(np.random.default_rng(4), count=5, spread=0.12, size=1.0)
    fine = stripes(110)
    random = np.random.default_rng(0)

    def blurred(points: Floats) -> Floats:
        return np.mean([fine(points + random.normal(scale=0.8 * CELL, size=points.shape)) for _ in range(12)], axis=0)

    case = make_case("engraved", field, blurred, splats=1_300_000, splat_paint=fine, splat_noise=COLOUR_NOISE)
    return Case("engraved", case.reconstruction, fine)


def ragged() -> Case:
    """A noisy surface with 24 ragged holes of one to three voxels; the whole one is the truth."""
    field = balls(np.random.default_rng(6), count=6, spread=0.22, size=1.0)
    case = make_case("ragged", field, _checks(20, _waves(8)), splats=300_000)
    whole = case.reconstruction
    random = np.random.default_rng(7)
    vertices = (whole.vertices + random.normal(scale=0.06 * CELL, size=whole.vertices.shape)).astype(np.float32)
    faces = whole.faces
    for vertex in random.choice(len(vertices), 24, replace=False):
        near = np.linalg.norm(vertices - vertices[vertex], axis=1) < random.uniform(1, 3) * CELL
        faces = faces[~near[faces].any(axis=1)]
    holed = Reconstruction(vertices, faces, whole.colours, whole.splats)
    return Case("ragged", holed, whole=Reconstruction(vertices, whole.faces, whole.colours))


def openings() -> Case:
    """An open bowl with 32 round openings that are meant."""
    bowl = trimesh.creation.revolve(_profile(), sections=480)
    vertices, faces = np.asarray(bowl.vertices), np.asarray(bowl.faces)
    kept = np.ones(len(faces), dtype=bool)
    for turn in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        for height, radius in ((-0.05, 0.02), (0.12, 0.015)):
            across = np.interp(height, _profile()[:, 1], _profile()[:, 0])
            centre = np.array([across * np.cos(turn), across * np.sin(turn), height])
            off = np.linalg.norm(vertices - centre, axis=1)
            cut = (off < radius)[faces].any(axis=1) & kept
            rim = np.setdiff1d(faces[cut], np.flatnonzero(off < radius))
            vertices[rim] = centre + (vertices[rim] - centre) * (radius / off[rim])[:, None]
            kept &= ~cut
    return _painted("openings", vertices, faces[kept], _checks(18, _waves(7)))


def sheets() -> Case:
    """Five open sheets, curved, that touch nowhere."""
    along, across = np.meshgrid(np.linspace(0.05, 1, 150), np.linspace(0, 1, 170), indexing="ij")
    parts = []
    for turn in np.linspace(0, 2 * np.pi, 5, endpoint=False):
        reach = 0.45 * along * (1 - 0.3 * (2 * across - 1) ** 2)
        bend = turn + 0.15 * np.sin(3 * along + 2 * across)
        places = [reach * np.cos(bend), 0.9 * (across - 0.5) + 0.02 * np.sin(9 * along), reach * np.sin(bend)]
        parts.append(np.stack(places, axis=-1).reshape(-1, 3))
    at = (np.arange(149)[:, None] * 170 + np.arange(169)).ravel()
    front = np.concatenate([np.stack([at, at + 170, at + 1], 1), np.stack([at + 1, at + 170, at + 171], 1)])
    faces = np.concatenate([front + 150 * 170 * number for number in range(5)])
    return _painted("sheets", np.concatenate(parts), faces, _waves(8))


def relief() -> Case:
    """A slab with raised and sunken bars as fine as four voxels."""
    bars = np.sign(np.sin(2 * np.pi * 16 * X + 2 * np.sin(9 * Y))) * np.sign(np.sin(2 * np.pi * 9 * Y))
    field = np.maximum(np.maximum(abs(X) - 0.45, abs(Y) - 0.45), abs(Z) - 0.06 - 0.008 * bars) + nothing()
    return make_case("relief", gaussian_filter(field, 0.6), stripes(7), splats=300_000)


def leaves() -> Case:
    """Discs of one and a half voxels' thickness, each side in a colour of its own."""
    field = nothing() + np.float32(0.1)
    random = np.random.default_rng(8)
    for _ in range(14):
        centre, normal = random.uniform(-0.3, 0.3, 3), random.normal(size=3)
        normal /= np.linalg.norm(normal)
        off = (X - centre[0]) * normal[0] + (Y - centre[1]) * normal[1] + (Z - centre[2]) * normal[2]
        disc = np.maximum(abs(off) - 0.75 * CELL, length(X, Y, Z, centre) - random.uniform(0.1, 0.18))
        field = np.minimum(field, disc.astype(np.float32))
    return make_case("leaves", field, _checks(9, _waves(7)), splats=300_000)


def lowpoly() -> Case:
    """About 30,000 faces, with ragged holes: nothing is to be simplified."""
    field = balls(np.random.default_rng(9), count=6, spread=0.22, size=1.0)[::4, ::4, ::4]
    vertices, faces, _, _ = marching_cubes(field, 0)
    vertices = vertices * 4 * CELL - 0.5
    whole = _painted("lowpoly", vertices, faces, _waves(5)).reconstruction
    random = np.random.default_rng(10)
    for vertex in random.choice(len(vertices), 8, replace=False):
        near = np.linalg.norm(vertices - vertices[vertex], axis=1) < random.uniform(1, 2.5) * 4 * CELL
        faces = faces[~near[faces].any(axis=1)]
    holed = Reconstruction(whole.vertices, faces.astype(np.int32), whole.colours, whole.splats)
    return Case("lowpoly", holed, whole=Reconstruction(whole.vertices, whole.faces, whole.colours))


def fineprint() -> Case:
    """A can with marks a voxel wide, which vertices can hardly hold and noisy splats hardly better."""
    field = np.maximum(np.hypot(X, Z) - 0.3, abs(Y) - 0.45) + nothing()
    return make_case("fineprint", field, stripes(90), splats=400_000)


def dirty() -> Case:
    """The blob with splats of which a twentieth floats about, a tenth is nearly clear, and some are huge."""
    clean = blob()
    splats = clean.reconstruction.splats
    random = np.random.default_rng(11)
    kind = random.random(len(splats.positions))
    places, colours = splats.positions.copy(), splats.colours.copy()
    opacity, scale = splats.opacity.copy(), splats.scale.copy()
    colours[kind < 0.153] = random.integers(0, 256, (np.count_nonzero(kind < 0.153), 3))
    places[kind < 0.05] += random.normal(scale=4 * CELL, size=(np.count_nonzero(kind < 0.05), 3))
    opacity[(kind >= 0.05) & (kind < 0.15)] = 0.02
    scale[(kind >= 0.15) & (kind < 0.153)] = 0.04
    mesh = clean.reconstruction
    dirt = Splats(places, colours, opacity, scale, splats.rotation)
    return Case("dirty", Reconstruction(mesh.vertices, mesh.faces, mesh.colours, dirt))


MAKERS = (blob, machine, chair, hollow, debris, gyroid, engraved)
FAULTY_MAKERS = (ragged, openings, sheets, relief, leaves, lowpoly, fineprint, dirty)
CASES: dict[str, Callable[[], Case]] = {maker.__name__: maker for maker in (*MAKERS, *FAULTY_MAKERS)}


def _profile() -> Floats:
    """A bowl's outline: distance from the axis, and height."""
    turn = np.linspace(0.02, 0.6 * np.pi, 220)
    return np.stack([0.45 * np.sin(turn), 0.1 - 0.45 * np.cos(turn)], axis=1)


def _painted(name: str, vertices: Floats, faces: Any, paint: Paint) -> Case:
    """A mesh that no field gives, painted and splatted as the others are."""
    random = np.random.default_rng(9)
    places, corners = vertices.astype(np.float32), faces.astype(np.int32)
    colours = _bytes(paint(places) + random.normal(scale=COLOUR_NOISE, size=places.shape))
    splats = _splats(places, corners, paint, 300_000, SPLAT_COLOUR_NOISE, random)
    return Case(name, Reconstruction(places, corners, colours, splats))


def make_case(
    name: str,
    field: Floats,
    paint: Paint,
    *,
    splats: int,
    splat_paint: Paint | None = None,
    splat_noise: float = SPLAT_COLOUR_NOISE,
    vertex_noise: float = COLOUR_NOISE,
) -> Case:
    """Make a case of the zero surface of a field (CELLS + 1,) * 3, with noise, painted and splatted."""
    random = np.random.default_rng(9)
    noise = gaussian_filter(random.standard_normal(field.shape, dtype=np.float32), 1.2)
    field = field.astype(np.float32) + np.float32(FIELD_NOISE / noise.std()) * noise
    for side in (0, -1):  # whatever reaches the border is closed there
        field[side], field[:, side], field[:, :, side] = CELL, CELL, CELL
    vertices, faces, _, _ = marching_cubes(field, 0)
    vertices = (vertices * CELL - 0.5).astype(np.float32)
    colours = _bytes(paint(vertices) + random.normal(scale=vertex_noise, size=vertices.shape))
    gaussians = _splats(vertices, faces, splat_paint or paint, splats, splat_noise, random)
    return Case(name, Reconstruction(vertices, faces.astype(np.int32), colours, gaussians))


def _splats(
    vertices: Floats, faces: Any, paint: Paint, count: int, noise: float, random: np.random.Generator
) -> Splats:
    """Discs in the surface, five times as wide as thick, that overlap a few times."""
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    normals = np.cross(b - a, c - a)
    areas = np.linalg.norm(normals, axis=1)
    face = random.choice(len(faces), count, p=areas / areas.sum())
    weights = random.dirichlet([1, 1, 1], count)
    normals = normals[face] / np.maximum(areas[face, None], 1e-20)
    places = a[face] * weights[:, :1] + b[face] * weights[:, 1:2] + c[face] * weights[:, 2:]
    colours = _bytes(paint(places) + random.normal(scale=noise, size=(count, 3)))
    places += normals * random.normal(scale=SPLAT_OFFSET, size=(count, 1))
    width = np.sqrt(areas.sum() / 2 / count) * random.uniform(0.5, 1.2, (count, 1))
    # The shortest turn from z to the normal: (1 + z.n, z x n), scaled to length 1.
    turn = np.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], np.zeros(count)], axis=1)
    turn[turn[:, 0] < 1e-6] = (0, 1, 0, 0)
    return Splats(
        positions=places.astype(np.float32),
        colours=colours,
        opacity=random.uniform(0.3, 1, count).astype(np.float32),
        scale=(width * [1, 1, 0.2]).astype(np.float32),
        rotation=(turn / np.linalg.norm(turn, axis=1, keepdims=True)).astype(np.float32),
    )


def _bytes(colours: Floats) -> npt.NDArray[np.uint8]:
    return np.rint(colours.clip(0, 1) * 255).astype(np.uint8)


def nothing() -> Floats:
    return np.zeros((CELLS + 1,) * 3, dtype=np.float32)


def balls(random: np.random.Generator, count: int, spread: float, size: float) -> Floats:
    """Ellipsoids grown together, with shallow bumps."""
    x, y, z = X / size, Y / size, Z / size
    field = nothing() + np.float32(1)
    for _ in range(count):
        (cx, cy, cz), (rx, ry, rz) = random.uniform(-spread, spread, 3), random.uniform(0.12, 0.26, 3)
        ball = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2) - 1
        ball *= min(rx, ry, rz)
        # The smooth minimum of Inigo Quilez, over 0.06.
        near = (0.5 + (field - ball) / 0.12).clip(0, 1)
        field = field * (1 - near) + ball * near - 0.06 * near * (1 - near)
    return size * (field + 0.004 * np.sin(45 * x) * np.sin(41 * y) * np.sin(38 * z))


def box(x: Floats, y: Floats, z: Floats, *half: float) -> Floats:
    return np.maximum(np.maximum(abs(x) - half[0], abs(y) - half[1]), abs(z) - half[2])


def length(x: Floats, y: Floats, z: Floats, centre: Any) -> Floats:
    return np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)


def _rod(field: Floats, start: Any, end: Any, radius: float) -> None:
    low, run = np.asarray(start, dtype=float), np.subtract(end, start)

    def distance(x: Floats, y: Floats, z: Floats) -> Floats:
        along = ((x - low[0]) * run[0] + (y - low[1]) * run[1] + (z - low[2]) * run[2]) / (run @ run)
        along = along.clip(0, 1)
        return length(x - along * run[0], y - along * run[1], z - along * run[2], low) - radius

    _add(field, np.minimum(start, end) - radius, np.maximum(start, end) + radius, distance)


def _add(field: Floats, low: Any, high: Any, distance: Callable[..., Floats]) -> None:
    """Join a shape to the field, evaluated in its bounding box with a margin only."""
    first = np.floor((np.asarray(low) + 0.5) / CELL - 6).astype(int).clip(0)
    last = np.ceil((np.asarray(high) + 0.5) / CELL + 7).astype(int)
    x, y, z = (slice(a, b) for a, b in zip(first, last, strict=True))
    field[x, y, z] = np.minimum(field[x, y, z], distance(X[x], Y[:, y], Z[:, :, z]))


def _waves(frequency: float) -> Paint:
    """Soft hills of colour, three octaves."""

    def paint(points: Floats) -> Floats:
        colours = np.full(points.shape, 0.5)
        for octave in range(3):
            place = points * frequency * 2**octave
            mixed = np.stack([place @ [1, 0.6, -0.4], place @ [-0.5, 1, 0.7], place @ [0.3, -0.8, 1]], axis=1)
            colours += 0.2 / 1.6**octave * np.sin(mixed + np.array([0, 1 + octave, 2]))
        return colours

    return paint


def _checks(frequency: float, ground: Paint) -> Paint:
    """A chequered pattern with soft borders over another paint, a cell 1 / (2 frequency) wide."""

    def paint(points: Floats) -> Floats:
        wave = np.prod(np.sin(2 * np.pi * frequency * points), axis=1)
        return ground(points) + 0.22 * np.tanh(6 * wave)[:, None] * [1, 0.8, 0.5]

    return paint


def stripes(frequency: float) -> Paint:
    """Bands of four paints with hard borders, slightly bent."""
    palette = np.array([[0.85, 0.2, 0.15], [0.93, 0.9, 0.82], [0.1, 0.25, 0.5], [0.95, 0.7, 0.15]])

    def paint(points: Floats) -> Floats:
        bend = points @ [0.8, 0.5, 0.33] + 0.03 * np.sin(points @ [9, -14, 11])
        return palette[np.floor(bend * frequency).astype(int) % len(palette)]

    return paint
