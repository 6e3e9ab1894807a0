"""Mesh a height as a closed surface, and move it from the canvas frame to the camera frame."""

from __future__ import annotations

from math import ceil, sqrt

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import csr_matrix
from skimage.measure import marching_cubes

from sam3d_bento.arrays import Float32, Floats, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas

DEPTH_BY_WIDTH = 1.2  # depth of a ball by its width: the best of a sweep over textured meshes of known shape

# Cells between the levels of the volume. Heights stay exact, so few levels save faces and time.
LEVEL_STEP_CELLS = 4.0

MIN_VALUE = 0.02  # in cells²; a value of zero would put several vertices on one point of the grid

# Distance of the silhouette's plane from the camera by that of a vertex. A focal length far shorter than the object is
# thick would put its back beyond infinity.
MIN_CLOSENESS = 0.2

# Taubin's smoothing: each step shrinks the mesh by the first factor and then inflates it by the second.
SMOOTHING_STEPS = 5
SHRINK_FACTOR = 0.5
INFLATE_FACTOR = -0.52


def build_closed_surface(square: Float32) -> tuple[Float32, Int32]:
    """Build the front and back of a squared height (R, C) in cells² as one closed mesh.

    Returns vertices (V, 3) float32 in the canvas frame and faces (F, 3) int32. That frame is left-handed, so faces are
    clockwise in it; they are counter-clockwise from outside once y points up.
    """
    top = ceil(sqrt(float(square.max())) / LEVEL_STEP_CELLS) + 1
    levels = LEVEL_STEP_CELLS * np.arange(-top, top + 1, dtype=np.float32)
    volume = square[:, :, None] - levels**2
    # Merging vertices at one point would tear the surface.
    volume[np.abs(volume) < MIN_VALUE] = MIN_VALUE
    vertices, faces, _, _ = marching_cubes(volume, 0.0, gradient_direction="ascent")
    row, column, level = vertices.T
    # Along z, marching cubes interpolates the square linearly, but the height itself is known.
    square = ndimage.map_coordinates(volume[:, :, top], (row, column), np.float32, order=1)
    height = np.sqrt(np.maximum(square, 0))
    drawn = np.stack([column, row, DEPTH_BY_WIDTH * height * np.sign(level - top)], 1)
    return _smooth(drawn, faces), faces


def _smooth(vertices: Float32, faces: Int32) -> Float32:
    """Smooth the vertices of a closed mesh without shrinking it.

    Taubin: A Signal Processing Approach to Fair Surface Design, SIGGRAPH 1995, with the umbrella operator. (trimesh 5.2
    has it too, but its meshes are reference cycles: each run would leave 60 MB for the garbage collector.)
    """
    # Every edge of a closed mesh lies in two faces, once in either direction.
    start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    share = (1 / np.bincount(start)).astype(np.float32)
    mean_of_neighbours = csr_matrix((share[start], (start, end)))
    for _ in range(SMOOTHING_STEPS):
        for step in (SHRINK_FACTOR, INFLATE_FACTOR):
            vertices = vertices + step * (mean_of_neighbours @ vertices - vertices)
    return vertices


def compute_normals(vertices: Floats, faces: Int32) -> npt.NDArray[np.float64]:
    """Compute the unit normals (V, 3) of the vertices of a mesh whose faces (F, 3) are counter-clockwise from outside.

    They are the means over the faces at a vertex, weighted by area.
    """
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    normals = np.cross(b - a, c - a)
    count = len(vertices)
    sums = [sum(np.bincount(faces[:, corner], normals[:, axis], count) for corner in range(3)) for axis in range(3)]
    total = np.stack(sums, 1)
    unit: npt.NDArray[np.float64] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return unit


def undo_perspective(vertices: Float32, canvas: Canvas, camera: Camera) -> npt.NDArray[np.float64]:
    """Move vertices (V, 3) from the canvas frame to the camera frame, in photo pixels; return (V, 3) float64.

    The camera sees every vertex where the photo has its colour. Vertices at height 0 are at the distance of the focal
    length. The map is projective, so a ball in the picture becomes an ellipsoid and not a pear.
    """
    z = vertices[:, 2:] * canvas.cell
    rays = camera.unproject(vertices[:, :2] * canvas.cell + np.array(canvas.origin)) * camera.focal_length
    placed: npt.NDArray[np.float64] = rays / np.maximum(1 + z / camera.focal_length, MIN_CLOSENESS)
    return placed
