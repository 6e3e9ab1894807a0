"""Use the photo as a texture for a fitted mesh: only the object's own colours, also beyond its rim."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, Floats, UInt8
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas

# Width of the rim whose colour may be mixed with the background, in cells, or in pixels where these are larger.
FRINGE_CELLS = 1.5

# Distance by which a visible vertex may show the photo's colours from further inside, where they come from another part
# of the surface.
MAX_INWARD_CELLS = 12.0

# Factor of the laplacian that is subtracted from the photo. Colours are interpolated between cells and again between
# vertices. Each interpolation adds t (1 - t) / 2 times the laplacian, where t is the place between two neighbours: 1/12
# on average.
SHARPENING = 1 / 6

BLUR = 0.02  # standard deviation of the blur, in square roots of the object's area


@dataclass(frozen=True)
class Texture:
    """Photo on the object, continued beyond its rim.

    sharp: (R, C, 3) float32 sRGB 0..255; blurred: the same, blurred.
    """

    canvas: Canvas
    sharp: Float32
    blurred: Float32

    @classmethod
    def from_canvas(cls, canvas: Canvas) -> Texture:
        """Make the texture of the object on the canvas; cells at its rim do not count as its own."""
        fringe = min(measure_fringe(canvas), float(canvas.distance.max()) / 2)
        core = canvas.distance > fringe
        nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
        continued, blurred = extend_foreground(canvas.rgb, core, nearest)
        # In a thin or patterned part, the colours of the rim itself are better than those from further inside.
        own = np.clip(canvas.distance / fringe, 0, 1)[:, :, None]
        sharp = own * canvas.rgb + (1 - own) * continued
        for channel in range(3):
            sharp[:, :, channel] -= SHARPENING * ndimage.laplace(sharp[:, :, channel])
        return cls(canvas, sharp, blurred)

    def colour_vertices(self, vertices: Floats, shown: Floats, fade: Floats, seen: Bool, camera: Camera) -> UInt8:
        """Return the colours (V, 3) uint8 sRGB of vertices (V, 3) of the camera frame.

        shown: (V, 3), where the photo shows the colour of the vertex.
        fade: (V,), share 0..1 of the blurred colour.
        seen: (V,) bool, which vertices the camera sees; these get the photo's colour at their own place, or near it.
        """
        place, own = self.locate(shown, camera), self.locate(vertices[seen], camera)
        away = place[:, seen] - own
        place[:, seen] = own + away * np.minimum(1, MAX_INWARD_CELLS / np.maximum(np.hypot(*away), MAX_INWARD_CELLS))
        mixed = sample_colours(self.sharp, place)
        faded = (fade > 0) & ~seen  # few; the others are not sampled twice
        share = fade[faded].astype(np.float32)
        mixed[:, faded] = (1 - share) * mixed[:, faded] + share * sample_colours(self.blurred, place[:, faded])
        return to_colours(mixed)

    def locate(self, points: Floats, camera: Camera) -> npt.NDArray[np.float64]:
        """Return the rows and columns (2, N) of the canvas at which points (N, 3) are seen."""
        column, row = ((camera.project(points) - self.canvas.origin) / self.canvas.cell).T
        return np.stack([row, column])


def measure_fringe(canvas: Canvas) -> float:
    """Return the width in cells of the rim whose colours may be mixed with what is beside it."""
    return FRINGE_CELLS * max(1.0, 1 / canvas.cell)


def extend_foreground(rgb: Float32, core: Bool, nearest: npt.NDArray[np.int32]) -> tuple[Float32, Float32]:
    """Continue the colours of `core` (R, C) bool in the photo (R, C, 3) beyond it; return this and a blurred copy.

    nearest: (2, R, C) int, row and column of each cell's nearest cell in the core.
    """
    continued = rgb[tuple(nearest)]
    softened = ndimage.gaussian_filter(continued, (FRINGE_CELLS, FRINGE_CELLS, 0))
    sharp = np.where(core[:, :, None], rgb, softened)
    blur = BLUR * sqrt(np.count_nonzero(core))
    return sharp, ndimage.gaussian_filter(continued, (blur, blur, 0))


def sample(grid: Float32, place: npt.NDArray[np.float64]) -> Float32:
    """Sample a grid (R, C) bilinearly at places (2, V) given as row and column; return (V,)."""
    values: Float32 = ndimage.map_coordinates(grid, place, np.float32, order=1, mode="nearest")
    return values


def sample_colours(grid: Float32, place: npt.NDArray[np.float64]) -> Float32:
    """Sample the channels of a grid (R, C, 3) as `sample` does; return (3, V)."""
    return np.stack([sample(grid[:, :, channel], place) for channel in range(3)])


def to_colours(channels: Floats) -> UInt8:
    """Round channels (3, V) 0..255 to colours (V, 3) uint8."""
    return np.clip(np.rint(channels.T), 0, 255).astype(np.uint8)
