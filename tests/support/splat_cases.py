"""Surfaces whose colour is known everywhere, with splats that have more detail than the vertices, or less.

SAM 3D gives 32 splats for each voxel of its grid of 64³, and about one vertex for each cell of a grid of 256³. How much
its splats really add is unknown here: the cases are both extremes and some between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Float32
from sam3d_bento.export.mesh.surface import face_areas, unit, vertex_normals
from sam3d_bento.reconstruction import Reconstruction, Splats
from tests.support.export_meshes import Floats, Mesh, blob, sphere

Paint = Callable[[Floats], Floats]  # points (N, 3) -> sRGB 0..255 (N, 3)

CELL = 1 / 256  # the edge of a cell of SAM 3D's mesh grid


@dataclass(frozen=True)
class SplatCase:
    """Reconstruction with its true colours.

    finer: whether the splats are the better source. noise: deviation of a splat's colour, as a share of white.
    """

    name: str
    reconstruction: Reconstruction
    paint: Paint
    finer: bool
    noise: float = 0.0


def cases() -> list[SplatCase]:
    """Make the cases, equal at every call."""
    coarse, fine, bumpy = sphere(60), sphere(150), blob(90)
    return [
        SplatCase("stripes finer than the vertices", *_paint_case(coarse, stripes(0.03), 150_000), True),
        SplatCase("check finer than the vertices, on bumps", *_paint_case(bumpy, check(0.02), 250_000), True),
        SplatCase(
            "the same with noisy splats", *_paint_case(bumpy, check(0.02), 250_000, noise=0.03, jitter=0.4), True, 0.03
        ),
        SplatCase(
            "smooth colours, noisy splats",
            *_paint_case(fine, stripes(1.0), 150_000, noise=0.03, jitter=0.4),
            False,
            0.03,
        ),
        SplatCase(
            "hard borders, noisy splats", *_paint_case(fine, check(0.15), 40_000, noise=0.03, jitter=0.4), False, 0.03
        ),
        SplatCase("smooth colours, clean splats", *_paint_case(fine, stripes(1.0), 150_000), False),
        SplatCase(
            "few and noisy splats", *_paint_case(fine, stripes(0.2), 15_000, noise=0.03, jitter=0.4), False, 0.03
        ),
        SplatCase("very noisy splats", *_paint_case(bumpy, stripes(0.3), 150_000, noise=0.12, jitter=0.8), False, 0.12),
    ]


def stripes(wavelength: float) -> Paint:
    """Make a paint of waves in all three directions; wavelength in scene units."""

    def paint(points: Floats) -> Floats:
        return 128 + 90 * np.sin(points * (2 * np.pi / wavelength) * [1, 1.1, 0.9] + [0, 1, 2])

    return paint


def check(edge: float) -> Paint:
    """Make a paint of cubes of two alternating colours; edge in scene units."""

    def paint(points: Floats) -> Floats:
        dark = np.floor(points / edge + 0.37).sum(axis=1) % 2 == 0
        return np.where(dark[:, None], [40.0, 60.0, 80.0], [220.0, 200.0, 150.0])

    return paint


def _paint_case(
    mesh: Mesh, paint: Paint, count: int, *, noise: float = 0.0, jitter: float = 0.0
) -> tuple[Reconstruction, Paint]:
    """Paint a mesh and draw `count` splats on it.

    noise: standard deviation of a splat's colour, as a share of white. jitter: of its place, in cells of CELL.
    """
    vertices, faces = mesh
    random = np.random.default_rng(0)
    areas = face_areas(vertices, faces)
    corners = faces[random.choice(len(faces), count, p=areas / areas.sum())]
    weights = random.dirichlet([1, 1, 1], count)[:, :, None]
    places = (vertices[corners] * weights).sum(axis=1)
    normals = unit((vertex_normals(vertices, faces)[corners] * weights).sum(axis=1))
    spacing = np.sqrt(areas.sum() / count)
    splats = Splats(
        positions=(places + random.normal(size=(count, 3)) * jitter * CELL).astype(np.float32),
        colours=np.rint(paint(places) + random.normal(size=(count, 3)) * noise * 255).clip(0, 255).astype(np.uint8),
        opacity=random.uniform(0.3, 1, count).astype(np.float32),
        # Discs: a third as thick as wide.
        scale=(spacing * random.uniform(0.4, 0.9, (count, 1)) * [1, 1, 0.33]).astype(np.float32),
        rotation=_turn_z_to(normals),
    )
    colours = np.rint(paint(vertices.astype(float))).astype(np.uint8)
    return Reconstruction(vertices, faces, colours, splats=splats), paint


def _turn_z_to(normals: Float32) -> Float32:
    """Return unit quaternions (N, 4), real part first, that turn z to the normal: half-way quaternions."""
    x, y, z = normals.T
    turned = np.stack([1 + z, -y, x, np.zeros_like(z)], axis=1)
    opposite = z < -0.999999
    turned[opposite] = [0, 1, 0, 0]
    return (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)
