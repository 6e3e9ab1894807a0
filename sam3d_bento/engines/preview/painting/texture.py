"""The photo as a texture for what was fitted to it: only the object's own colours, also beyond its rim."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Floats, UInt8
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas

FRINGE = 1.5  # cells, or pixels where these are larger, at the rim whose colour may be mixed with the background
NEAR = 4.0  # cells by which a vertex that is seen may show the photo's colours from further inside
# Colours between cells are means of their neighbours, and so are those between vertices: each takes half of t (1 - t),
# 1/12 on average, from the laplacian's place in the picture.
SHARPENING = 1 / 6
BLUR = 0.02  # standard deviation of the blur, in square roots of the object's area


@dataclass(frozen=True)
class Texture:
    """sharp: (R, C, 3) float32, the photo on the object, continued beyond its rim; blurred: the same, blurred."""

    canvas: Canvas
    sharp: Float32
    blurred: Float32

    @classmethod
    def of(cls, canvas: Canvas) -> Texture:
        """Of the object on the canvas; cells at its rim do not count as its own."""
        fringe = min(FRINGE * max(1.0, 1 / canvas.cell), float(canvas.distance.max()) / 2)
        core = canvas.distance > fringe
        nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
        continued, blurred = foreground(canvas.rgb, core, nearest)
        # In a thin or patterned part, what the rim itself shows is worth more than what lies further inside.
        own = np.clip(canvas.distance / fringe, 0, 1)[:, :, None]
        sharp = own * canvas.rgb + (1 - own) * continued
        for channel in range(3):
            sharp[:, :, channel] -= SHARPENING * ndimage.laplace(sharp[:, :, channel])
        return cls(canvas, sharp, blurred)

    def colours(self, vertices: Floats, shown: Floats, fade: Floats, seen: Bool, camera: Camera) -> UInt8:
        """The colours (V, 3) uint8 sRGB of vertices (V, 3) of the camera frame.

        shown: (V, 3), where the photo shows what the vertex should look like. fade: (V,), share 0..1 of the blurred
        colour. seen: (V,), which vertices the camera sees; these look like the photo does at their own place, or near.
        """
        place, own = self._places(shown, camera), self._places(vertices[seen], camera)
        away = place[:, seen] - own
        place[:, seen] = own + away * np.minimum(1, NEAR / np.maximum(np.hypot(*away), NEAR))
        mixed = sample_colours(self.sharp, place)
        faded = (fade > 0) & ~seen  # few; the rest is not sampled twice
        share = fade[faded].astype(np.float32)
        mixed[:, faded] = (1 - share) * mixed[:, faded] + share * sample_colours(self.blurred, place[:, faded])
        return as_colours(mixed)

    def _places(self, points: Floats, camera: Camera) -> npt.NDArray[np.float64]:
        """Rows and columns (2, N) of the canvas at which points (N, 3) are seen."""
        column, row = ((camera.project(points) - self.canvas.origin) / self.canvas.cell).T
        return np.stack([row, column])


def foreground(rgb: Float32, core: Bool, nearest: npt.NDArray[np.int32]) -> tuple[Float32, Float32]:
    """The photo (R, C, 3) with the colours of `core` (R, C) continued beyond it, and a blurred copy of that.

    nearest: (2, R, C), row and column of each cell's nearest cell in the core.
    """
    continued = rgb[tuple(nearest)]
    softened = ndimage.gaussian_filter(continued, (FRINGE, FRINGE, 0))
    sharp = np.where(core[:, :, None], rgb, softened)
    blur = BLUR * sqrt(np.count_nonzero(core))
    return sharp, ndimage.gaussian_filter(continued, (blur, blur, 0))


def sample(grid: Float32, place: npt.NDArray[np.float64]) -> Float32:
    """Bilinear values (V,) of a grid (R, C) at places (2, V) given as row and column."""
    values: Float32 = ndimage.map_coordinates(grid, place, np.float32, order=1, mode="nearest")
    return values


def sample_colours(grid: Float32, place: npt.NDArray[np.float64]) -> Float32:
    """As `sample`, for the channels of (R, C, 3): (3, V)."""
    return np.stack([sample(grid[:, :, channel], place) for channel in range(3)])


def as_colours(channels: Floats) -> UInt8:
    """Channels (3, V) 0..255 as colours (V, 3)."""
    return np.clip(np.rint(channels.T), 0, 255).astype(np.uint8)
