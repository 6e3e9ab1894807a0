"""Move a fitted mesh in the picture until its outline lies on the photo's silhouette.

A fitted primitive misses the silhouette by a few pixels here and there, and each of them shows the wrong colour from
the front. The move acts in the picture, so points on one line of sight stay on one line, and the mesh stays closed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from sam3d_bento.arrays import Bool, Float32, Float64, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import RIM_BLUR_CELLS, Canvas
from sam3d_bento.engines.preview.painting.texture import sample
from sam3d_bento.engines.preview.painting.visibility import classify_sides

# Farthest that a place of the outline may be from the silhouette to be moved, in square roots of the object's area.
# Where it is farther, the shape class does not fit.
MAX_GAP = 0.05

# Depth inside the outline over which the move fades, in MAX_GAP: far above 1, so that nothing folds.
FADE_GAPS = 4.0

# Least standard deviation of the smoothing by the farthest move of a pass. The slope of a smoothed step is then less
# than 1, so that nothing folds there.
MIN_SMOOTHING_MOVES = 0.6

OUTERMOST_CELLS = 2.0  # depth inside the mesh's picture up to which a contour belongs to its outline


class Pass(NamedTuple):
    """Step of the registration.

    max_move: farthest that the outline is moved; smoothing: standard deviation of the smoothing of the move; both in
    cells.
    """

    max_move: float
    smoothing: float


# The first passes bring the outline near, without carving the mask's roughness into the mesh. In the last passes the
# rim attracts the outline too, which brings corners to the silhouette.
PASSES = (*[Pass(max_move=np.inf, smoothing=1.5)] * 3, *[Pass(max_move=2.0, smoothing=RIM_BLUR_CELLS)] * 3)


@dataclass(frozen=True)
class Registration:
    """Move of the places on the canvas.

    shift: (2, R, C) float32, in rows and columns of cells.
    """

    canvas: Canvas
    camera: Camera
    shift: Float32

    @classmethod
    def fit(cls, vertices: Float64, faces: Int32, canvas: Canvas, camera: Camera) -> Registration:
        """Fit the move that puts the outline of a mesh, vertices (V, 3) in the camera frame, on the silhouette."""
        grid = np.indices(canvas.distance.shape, np.float64)
        found = cls(canvas, camera, np.zeros(grid.shape, np.float32))
        places = found._to_canvas(vertices)
        depth = ndimage.distance_transform_edt(_find_covered_cells(places, canvas.distance.shape))
        front, back = classify_sides(vertices, faces)
        contour = np.flatnonzero(front & back)
        outline = vertices[contour[sample(depth, places[:, contour]) < OUTERMOST_CELLS]]
        max_gap = max(MAX_GAP * float(np.sqrt(np.count_nonzero(canvas.distance > 0))), 1.0)
        for step in PASSES:
            move = _compute_move(found._to_canvas(found.apply(outline)), canvas, max_gap, step)
            moved = grid + found.shift
            found = replace(found, shift=found.shift + np.stack([sample(part, moved) for part in move]))
        return found

    def apply(self, points: Float64) -> Float64:
        """Move points (N, 3) of the camera frame in the picture; each keeps its depth."""
        places = self._to_canvas(points)
        places += np.stack([sample(part, places) for part in self.shift])
        pixels = places[::-1].T * self.canvas.cell + np.array(self.canvas.origin)
        return self.camera.unproject(pixels) * -points[:, 2:]

    def _to_canvas(self, points: Float64) -> Float64:
        """Return the rows and columns (2, N) of the canvas at which points (N, 3) are seen."""
        return ((self.camera.project(points) - self.canvas.origin) / self.canvas.cell).T[::-1]


def _compute_move(line: Float64, canvas: Canvas, max_gap: float, step: Pass) -> Float32:
    """Compute the shift (2, R, C) that brings places (2, N) of the outline towards the silhouette.

    max_gap: distance in cells from which a place is not moved. step: the longest shift, and how it is smoothed.
    """
    distance = canvas.distance
    shape = distance.shape
    gap = sample(distance, line).astype(np.float64)
    line, gap = line[:, np.abs(gap) < max_gap], gap[np.abs(gap) < max_gap]
    if not line.size:
        return np.zeros((2, *shape), np.float32)
    # The distance grows at a rate of one towards the inside.
    inwards = np.stack([sample(np.gradient(distance, axis=axis), line) for axis in (0, 1)])
    shift = -gap * inwards / np.maximum(np.hypot(*inwards), 0.5)
    if step.max_move < max_gap:
        pull, pulled = _pull_from_rim(line, canvas, max_gap)
        shift = np.where(pulled, (shift + pull) / 2, shift)
    shift *= np.minimum(1, step.max_move / np.maximum(np.hypot(*shift), 1e-9))

    row, column = np.clip(np.rint(line).astype(int), 0, np.array(shape)[:, None] - 1)
    count = np.bincount(row * shape[1] + column, minlength=distance.size).reshape(shape)
    sums = [np.bincount(row * shape[1] + column, part, distance.size).reshape(shape) for part in shift]
    away, nearest = ndimage.distance_transform_edt(count == 0, return_indices=True)
    fade = np.clip(1 - away / (FADE_GAPS * max_gap), 0, 1)
    known = [(part / np.maximum(count, 1))[tuple(nearest)] * fade for part in sums]
    smoothing = max(step.smoothing, MIN_SMOOTHING_MOVES * float(np.hypot(*shift).max()))
    return np.stack([ndimage.gaussian_filter(part, smoothing) for part in known]).astype(np.float32)


def _pull_from_rim(line: Float64, canvas: Canvas, max_gap: float) -> tuple[Float64, Bool]:
    """Compute the mean shift (2, N) from each place of the outline to the rim's places that are nearest to it.

    line (2, N): the places of the outline. Returns also for which of them (N,) bool there are any such places. A corner
    of the silhouette is not the nearest rim of any place of the outline; only this pull brings the outline to it.
    """
    rim = np.stack(np.nonzero(np.abs(canvas.distance) < 0.5)).astype(np.float64)
    apart, puller = KDTree(line.T).query(rim.T)
    rim, puller = rim[:, apart < max_gap], puller[apart < max_gap]
    count = np.bincount(puller, minlength=line.shape[1])
    sums = [np.bincount(puller, part, line.shape[1]) for part in rim - line[:, puller]]
    return np.stack(sums) / np.maximum(count, 1), count > 0


def _find_covered_cells(places: Float64, shape: tuple[int, ...]) -> Bool:
    """Find the cells (R, C) over which something is seen at places (2, V), which lie about a cell apart."""
    row, column = np.rint(places).astype(int)
    within = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    covered = np.zeros(shape, bool)
    covered[row[within], column[within]] = True
    filled: Bool = ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(covered, 2)))[2:-2, 2:-2]
    return filled
