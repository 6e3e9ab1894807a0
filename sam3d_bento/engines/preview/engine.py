"""The preview engine: mask to balls, balls to a mesh, photo onto the mesh."""

from __future__ import annotations

from math import atan, degrees
from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.colour import paint
from sam3d_bento.engines.preview.height import squared_height
from sam3d_bento.engines.preview.surface import FOCAL_LENGTH, closed_surface, undo_perspective
from sam3d_bento.notices import Notice
from sam3d_bento.options import Options
from sam3d_bento.progress import Tick, silent
from sam3d_bento.reconstruction import Float32, Int32, Mask, Photo, Reconstruction


class PreviewEngine:
    """Needs no weights and no GPU. Equal inputs give equal arrays."""

    name = "preview"
    version = "preview-puff/1"
    device = "cpu"
    gpu_peak_bytes = None
    retries = 0

    @property
    def facts(self) -> dict[str, Any]:
        """See `Engine.facts`: there is nothing that its name does not say."""
        return {}

    def load(self) -> None:
        """Run once over a small disc: libraries load parts of themselves on first use."""
        row, column = np.ogrid[-16:16, -16:16]
        photo = Photo(rgb=np.full((32, 32, 3), 128, np.uint8), alpha=None, original_size=(32, 32))
        disc = row**2 + column**2 < 100
        mask = Mask(pixels=disc, source="upload", coverage=float(disc.mean()))
        self.reconstruct(photo, mask, Options(), 0, silent)

    def reconstruct(
        self, photo: Photo, mask: Mask, options: Options, seed: int, tick: Tick, *, splats: bool = False
    ) -> Reconstruction:
        """See `Engine.reconstruct`. `seed` is not used, as nothing here is drawn at random; there are no splats.

        All components of the mask are reconstructed, and its holes stay open. `details` tells the share of the
        surface that faces the camera, the field of view assumed for the photo's longer side, and the
        cells (columns, rows) of the grid. Raises NoObject for an empty mask.
        """
        tick(0.0)
        canvas = cut_out(photo, mask)
        tick(0.1)
        square = squared_height(canvas.distance)
        tick(0.2)
        drawn, faces = closed_surface(square)
        tick(0.6)
        colours = paint(canvas, square, drawn)
        tick(0.8)
        height, width = mask.pixels.shape
        focal_length = FOCAL_LENGTH * max(width, height)
        vertices = undo_perspective(drawn, canvas, (width, height), focal_length)
        notices = [Notice.SHAPE_GUESSED]
        if options.quality != "standard":
            notices.append(Notice.QUALITY_IGNORED)
        result = Reconstruction(
            vertices=_in_unit_cube(vertices),
            faces=faces,
            colours=colours,
            notices=tuple(notices),
            details={
                "shape": "puff",
                "observed_fraction": round(_observed_fraction(vertices, faces, focal_length), 3),
                "assumed_fov_degrees": round(2 * degrees(atan(0.5 / FOCAL_LENGTH)), 1),
                "grid": list(canvas.distance.shape[::-1]),
            },
        )
        tick(1.0)
        return result


def _in_unit_cube(vertices: npt.NDArray[np.float64]) -> Float32:
    """Centred at the origin, the longest extent 1."""
    low, high = vertices.min(0), vertices.max(0)
    fitted: Float32 = ((vertices - (low + high) / 2) / (high - low).max()).astype(np.float32)
    return fitted


def _observed_fraction(vertices: npt.NDArray[np.float64], faces: Int32, focal_length: float) -> float:
    """Share of the surface's area that faces a camera at (0, 0, focal_length)."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])  # twice the area long
    to_camera = np.array([0, 0, focal_length]) - corners[:, 0]
    areas = np.linalg.norm(normals, axis=1)
    return float(areas[np.einsum("fk,fk->f", normals, to_camera) > 0].sum() / areas.sum())
