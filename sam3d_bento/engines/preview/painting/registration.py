"""The fitted model moved in the picture until its outline lies on the silhouette that the photo has.

A fitted primitive misses the silhouette by a few pixels here and there, and each of them shows the wrong colour from
the front. The move acts on the picture, so what lies on one line of sight stays on one, and the mesh stays closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from sam3d_bento.arrays import Bool, Float32, Float64, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import RIM_BLUR, Canvas
from sam3d_bento.engines.preview.painting.texture import sample
from sam3d_bento.engines.preview.painting.visibility import sides

FARTHEST = 0.05  # that an outline is moved, in square roots of the object's area: beyond that the class is wrong there
REACH = 4.0  # depth inside the outline over which the move fades, in farthest moves: far above 1, so that nothing folds
# How far in cells a pass moves the outline, and the standard deviation in cells to which it is smoothed. The first
# bring it near without carving the mask's roughness into the model; the last, to which the rim pulls too, its corners.
PASSES = (*[(np.inf, 1.5)] * 3, *[(2.0, RIM_BLUR)] * 3)
STEEPEST = 0.6  # smoothing by the farthest move: a step of the move is less steep than 1, so that nothing folds there
OUTERMOST = 2.0  # cells inside the model's picture at which a contour still is its outline


@dataclass(frozen=True)
class Registration:
    """shift: (2, R, C), of the places on the canvas, in rows and columns of cells."""

    canvas: Canvas
    camera: Camera
    shift: Float32

    @classmethod
    def of(cls, vertices: Float64, faces: Int32, canvas: Canvas, camera: Camera) -> Registration:
        """That puts the outline of the mesh, vertices (V, 3) in the camera frame, on the silhouette."""
        grid = np.indices(canvas.distance.shape, np.float64)
        found = cls(canvas, camera, np.zeros(grid.shape, np.float32))
        places = found._places(vertices)
        depth = ndimage.distance_transform_edt(_covered(places, canvas.distance.shape))
        front, back = sides(vertices, faces)
        contour = np.flatnonzero(front & back)
        outline = vertices[contour[sample(depth, places[:, contour]) < OUTERMOST]]
        farthest = max(FARTHEST * float(np.sqrt(np.count_nonzero(canvas.distance > 0))), 1.0)
        for most, smoothing in PASSES:
            move = _move(found._places(found.moved(outline)), canvas, farthest, most, smoothing)
            moved = grid + found.shift
            found = replace(found, shift=found.shift + np.stack([sample(part, moved) for part in move]))
        return found

    def moved(self, points: Float64) -> Float64:
        """Points (N, 3) of the camera frame, each moved at its depth."""
        places = self._places(points)
        places += np.stack([sample(part, places) for part in self.shift])
        pixels = places[::-1].T * self.canvas.cell + np.array(self.canvas.origin)
        return self.camera.rays(pixels) * -points[:, 2:]

    def _places(self, points: Float64) -> Float64:
        """Rows and columns (2, N) of the canvas at which points (N, 3) are seen."""
        return ((self.camera.project(points) - self.canvas.origin) / self.canvas.cell).T[::-1]


def _move(line: Float64, canvas: Canvas, farthest: float, most: float, smoothing: float) -> Float32:
    """The shift (2, R, C), of at most `most` cells, that brings places (2, N) of the outline towards the silhouette.

    farthest: distance in cells from which a place is not moved.
    """
    distance = canvas.distance
    shape = distance.shape
    gap = sample(distance, line).astype(np.float64)
    line, gap = line[:, np.abs(gap) < farthest], gap[np.abs(gap) < farthest]
    if not line.size:
        return np.zeros((2, *shape), np.float32)
    # The distance grows at a rate of one towards the inside.
    inwards = np.stack([sample(np.gradient(distance, axis=axis), line) for axis in (0, 1)])
    shift = -gap * inwards / np.maximum(np.hypot(*inwards), 0.5)
    if most < farthest:
        pull, pulled = _pull(line, canvas, farthest)
        shift = np.where(pulled, (shift + pull) / 2, shift)
    shift *= np.minimum(1, most / np.maximum(np.hypot(*shift), 1e-9))

    row, column = np.clip(np.rint(line).astype(int), 0, np.array(shape)[:, None] - 1)
    count = np.bincount(row * shape[1] + column, minlength=distance.size).reshape(shape)
    sums = [np.bincount(row * shape[1] + column, part, distance.size).reshape(shape) for part in shift]
    away, nearest = ndimage.distance_transform_edt(count == 0, return_indices=True)
    fade = np.clip(1 - away / (REACH * farthest), 0, 1)
    known = [(part / np.maximum(count, 1))[tuple(nearest)] * fade for part in sums]
    smoothing = max(smoothing, STEEPEST * float(np.hypot(*shift).max()))
    return np.stack([ndimage.gaussian_filter(part, smoothing) for part in known]).astype(np.float32)


def _pull(line: Float64, canvas: Canvas, farthest: float) -> tuple[Float64, Bool]:
    """The mean shift (2, N) to the places of the rim to which places (2, N) of the outline are the nearest, and where
    there are any; (N,). A corner of the silhouette is itself the nearest place to none of the outline.
    """
    rim = np.stack(np.nonzero(np.abs(canvas.distance) < 0.5)).astype(np.float64)
    apart, puller = KDTree(line.T).query(rim.T)
    rim, puller = rim[:, apart < farthest], puller[apart < farthest]
    count = np.bincount(puller, minlength=line.shape[1])
    sums = [np.bincount(puller, part, line.shape[1]) for part in rim - line[:, puller]]
    return np.stack(sums) / np.maximum(count, 1), count > 0


def _covered(places: Float64, shape: tuple[int, ...]) -> Bool:
    """The cells (R, C) of the canvas over which something is seen at places (2, V), which lie about a cell apart."""
    row, column = np.rint(places).astype(int)
    within = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    covered = np.zeros(shape, bool)
    covered[row[within], column[within]] = True
    filled: Bool = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(covered, 2)))[2:-2, 2:-2]
    return filled
