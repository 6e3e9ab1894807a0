"""Mesh and colour a box: the photo on the sides that it shows, their mirror images on the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Float64, Int32
from sam3d_bento.engines.preview.painting.texture import Texture
from sam3d_bento.engines.preview.painting.visibility import find_visible_vertices
from sam3d_bento.engines.preview.shapes.cuboid import Cuboid
from sam3d_bento.engines.preview.shapes.exact import build_box_sides
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh

MAX_VERTICES = 200_000

# Cosine of the angle between line of sight and normal below which the photo shows too little of a side.
GRAZING_COSINE = 0.05


def build_box(cuboid: Cuboid, texture: Texture) -> PosedMesh:
    """Build the cuboid as a closed mesh, with a vertex for each cell."""
    step = texture.canvas.cell / cuboid.camera.focal_length
    x, y, z = cuboid.sizes
    step = max(step, float(np.sqrt(2 * (x * y + y * z + z * x) / MAX_VERTICES)))
    counts = np.maximum(np.ceil(cuboid.sizes / step).astype(int), 1)
    lattice, faces = _build_lattice(counts)
    local = (lattice / counts - 0.5) * cuboid.sizes
    vertices = local @ cuboid.axes.T + cuboid.centre
    shown = _find_sources(cuboid, local, lattice, counts) @ cuboid.axes.T + cuboid.centre
    visible = find_visible_vertices(vertices, faces, texture.canvas, cuboid.camera)
    colours = texture.colour_vertices(vertices, shown, np.zeros(len(shown)), visible, cuboid.camera)
    sides = build_box_sides(cuboid.sizes).turn(cuboid.axes, cuboid.centre)
    return PosedMesh(vertices, faces, colours, cuboid.upright, cuboid.camera, sides)


def _build_lattice(counts: npt.NDArray[np.int_]) -> tuple[npt.NDArray[np.int_], Int32]:
    """Build the points (V, 3) on the surface of a lattice of counts (3,) cells, and the faces (F, 3) over them."""
    points, faces = [], []
    start = 0
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        rows, columns = counts[first] + 1, counts[second] + 1
        index = np.arange(rows * columns).reshape(rows, columns)
        a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
        quads = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
        for side in (0, counts[axis]):
            point = np.empty((rows * columns, 3), int)
            point[:, first], point[:, second] = np.divmod(np.arange(rows * columns), columns)
            point[:, axis] = side
            points.append(point)
            faces.append(start + (quads if side else quads[:, ::-1]))
            start += len(point)
    points_of_sides = np.concatenate(points)
    number = (points_of_sides[:, 0] * (counts[1] + 1) + points_of_sides[:, 1]) * (counts[2] + 1) + points_of_sides[:, 2]
    _, kept, merged = np.unique(number, return_index=True, return_inverse=True)
    return points_of_sides[kept], merged[np.concatenate(faces)].astype(np.int32)


def _find_sources(
    cuboid: Cuboid, local: Float64, lattice: npt.NDArray[np.int_], counts: npt.NDArray[np.int_]
) -> Float64:
    """Find for places (V, 3) the places (V, 3) in the photo whose colours they get; both along the cuboid's axes.

    A hidden side is the mirror image of the opposite side. Where that is hidden too, it repeats the border of the side
    that is seen best, folded over their common edge.

    local: the places, from the cuboid's centre. lattice (V, 3) int: the same in cells of the lattice, counts (3,) int.
    """
    half = cuboid.sizes / 2
    eye = -cuboid.centre @ cuboid.axes
    distance = np.linalg.norm(eye)
    seen = {(axis, side): (side * eye[axis] - half[axis]) / distance for axis in range(3) for side in (-1, 1)}
    shows = {key for key, cosine in seen.items() if cosine > GRAZING_COSINE} or {max(seen, key=lambda key: seen[key])}
    best_axis, best_side = max(shows, key=lambda key: seen[key])
    source = local.copy()
    direct = np.zeros(len(local), bool)
    for axis, side in shows:
        direct |= lattice[:, axis] == (counts[axis] if side > 0 else 0)
    for axis in range(3):
        for side in (-1, 1):
            on = ~direct & (lattice[:, axis] == (counts[axis] if side > 0 else 0))
            if (axis, -side) in shows:
                source[on, axis] *= -1
            elif (axis, side) not in shows:
                inwards = half[best_axis] - best_side * local[on, best_axis]
                # Where the box is deeper than the side is wide, the fold goes back and forth.
                width = 2 * half[axis]
                fold = width / 2 - np.abs(inwards % (2 * width) - width) + width / 2
                source[on, axis] = side * (half[axis] - fold)
                source[on, best_axis] = best_side * half[best_axis]
            direct |= on
    return source
