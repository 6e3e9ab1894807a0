"""The mesh and the colours of a box: the photo on the sides that it saw, their mirror images on the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Float64, Int32
from sam3d_bento.engines.preview.painting.registration import Registration
from sam3d_bento.engines.preview.painting.texture import Texture
from sam3d_bento.engines.preview.painting.visibility import visible_vertices
from sam3d_bento.engines.preview.shapes.cuboid import Cuboid
from sam3d_bento.engines.preview.shapes.posed_mesh import PosedMesh

MOST_VERTICES = 200_000
GRAZING = 0.05  # cosine of the angle between line of sight and normal below which the photo shows too little of a side


def box_mesh(cuboid: Cuboid, texture: Texture) -> PosedMesh:
    """The cuboid as a closed mesh, one vertex a cell."""
    step = texture.canvas.cell / cuboid.camera.focal_length
    x, y, z = cuboid.sizes
    step = max(step, float(np.sqrt(2 * (x * y + y * z + z * x) / MOST_VERTICES)))
    counts = np.maximum(np.ceil(cuboid.sizes / step).astype(int), 1)
    lattice, faces = _lattice(counts)
    local = (lattice / counts - 0.5) * cuboid.sizes
    vertices = local @ cuboid.axes.T + cuboid.centre
    shown = _sources(cuboid, local, lattice, counts) @ cuboid.axes.T + cuboid.centre
    registration = Registration.of(vertices, faces, texture.canvas, cuboid.camera)
    placed = registration.moved(vertices)
    visible = visible_vertices(placed, faces, texture.canvas, cuboid.camera)
    colours = texture.colours(placed, registration.moved(shown), np.zeros(len(shown)), visible, cuboid.camera)
    return PosedMesh(placed, faces, colours, cuboid.upright, cuboid.camera)


def _lattice(counts: npt.NDArray[np.int_]) -> tuple[npt.NDArray[np.int_], Int32]:
    """The points (V, 3) of a lattice of counts (3,) cells that lie on its surface, and the faces (F, 3) over them."""
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
    every = np.concatenate(points)
    number = (every[:, 0] * (counts[1] + 1) + every[:, 1]) * (counts[2] + 1) + every[:, 2]
    _, kept, merged = np.unique(number, return_index=True, return_inverse=True)
    return every[kept], merged[np.concatenate(faces)].astype(np.int32)


def _sources(cuboid: Cuboid, local: Float64, lattice: npt.NDArray[np.int_], counts: npt.NDArray[np.int_]) -> Float64:
    """For places (V, 3) the places (V, 3) that the photo shows whose colours they get; both along the cuboid's axes.

    A hidden side is the mirror image of the opposite one. Where that is hidden too, it repeats the rim of the side
    seen best, folded over their common edge.
    """
    half = cuboid.sizes / 2
    eye = -cuboid.centre @ cuboid.axes
    distance = np.linalg.norm(eye)
    seen = {(axis, side): (side * eye[axis] - half[axis]) / distance for axis in range(3) for side in (-1, 1)}
    shows = {key for key, cosine in seen.items() if cosine > GRAZING} or {max(seen, key=lambda key: seen[key])}
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
                # Deeper than the side is wide, the fold goes back and forth.
                width = 2 * half[axis]
                fold = width / 2 - np.abs(inwards % (2 * width) - width) + width / 2
                source[on, axis] = side * (half[axis] - fold)
                source[on, best_axis] = best_side * half[best_axis]
            direct |= on
    return source
