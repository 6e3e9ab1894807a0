"""Baselines for the preview engine: a cut-out of even thickness, and Poisson inflation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.surface import DEPTH_BY_WIDTH, build_closed_surface, undo_perspective

Array = npt.NDArray[Any]

SLAB_THICKNESS = 0.5  # of the widest inscribed ball: half of what inflation gives there
BEVEL = 4.0  # cells over which its edge is rounded
COARSE = 2  # cells of the engine's grid per unknown of the Poisson equation, along one side


@dataclass(frozen=True)
class Baseline:
    """vertices (V, 3) in the camera frame, faces (F, 3), colours (V, 3) uint8."""

    vertices: Array
    faces: Array
    colours: Array


def slab(canvas: Canvas, camera: Camera) -> Baseline:
    half = SLAB_THICKNESS * float(canvas.distance.max())
    edge = np.clip(canvas.distance / BEVEL, None, 1)
    return _mesh(half**2 * np.where(edge > 0, 1 - (1 - edge) ** 2, edge), canvas, camera)


def poisson(canvas: Canvas, camera: Camera) -> Baseline:
    """Height² solves the Poisson equation with constant load: an ellipse becomes an ellipsoid."""
    distance = canvas.distance[::COARSE, ::COARSE]
    inside = distance > 0
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(np.count_nonzero(inside))
    here = number[inside]
    rows, columns, values = [here], [here], [np.full(len(here), 4.0)]
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        neighbour = np.roll(number, shift, axis)[inside]
        linked = neighbour >= 0
        rows.append(here[linked])
        columns.append(neighbour[linked])
        values.append(np.full(int(linked.sum()), -1.0))
    matrix = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))).tocsc()
    square = np.zeros(inside.shape)
    square[inside] = spsolve(matrix, np.full(len(here), 4.0)) * COARSE**2
    fine = zoom(square, COARSE, order=1, grid_mode=True, mode="nearest")[
        : len(canvas.distance), : canvas.distance.shape[1]
    ]
    return _mesh(np.where(canvas.distance > 0, np.maximum(fine, 0.05), canvas.distance), canvas, camera)


def _mesh(square: Array, canvas: Canvas, camera: Camera) -> Baseline:
    field = square.astype(np.float32)
    drawn, faces = build_closed_surface(field)
    colours = paint(canvas, drawn, faces)
    drawn[:, 2] /= DEPTH_BY_WIDTH
    return Baseline(undo_perspective(drawn, canvas, camera), faces, colours)
