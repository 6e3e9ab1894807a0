"""Shapes and checks that the tests of the preview engine share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Bool, Float32, Int32, Mask, Photo, Reconstruction, UInt8

Reconstruct = Callable[..., Reconstruction]


@pytest.fixture
def disc() -> Callable[[int, float], Bool]:
    """A centred disc: (edge of the square frame, radius), both in pixels."""

    def draw(edge: int, radius: float) -> Bool:
        row, column = np.ogrid[:edge, :edge]
        middle = (edge - 1) / 2
        return (row - middle) ** 2 + (column - middle) ** 2 <= radius**2

    return draw


@pytest.fixture
def photographed() -> Callable[..., tuple[Photo, Mask]]:
    """Photo and mask of the given pixels; grey where no picture is given."""

    def take(pixels: Bool, rgb: UInt8 | None = None) -> tuple[Photo, Mask]:
        rgb = np.full((*pixels.shape, 3), 128, np.uint8) if rgb is None else rgb
        photo = Photo(rgb=rgb, alpha=None, original_size=(pixels.shape[1], pixels.shape[0]))
        return photo, Mask(pixels=pixels, source="upload", coverage=float(pixels.mean()))

    return take


@pytest.fixture
def reconstruct(photographed: Callable[..., tuple[Photo, Mask]]) -> Reconstruct:
    """The preview engine's result for the given pixels and picture."""

    def run(pixels: Bool, rgb: UInt8 | None = None) -> Reconstruction:
        return PreviewEngine().reconstruct(*photographed(pixels, rgb), Options(), 0, silent)

    return run


@pytest.fixture
def assert_closed() -> Callable[[Float32, Int32], None]:
    """Fails unless, with equal vertices merged, every edge lies in exactly two faces, once in either direction."""

    def check(vertices: Float32, faces: Int32) -> None:
        # Coordinates as one number, because np.unique takes seconds for rows; adding zero makes -0 equal to 0.
        bits = (vertices + np.float32(0)).view(np.uint32).astype(np.uint64)
        points = (bits * np.array([73856093, 19349663, 83492791], np.uint64) ** 2).sum(1)
        merged, index = np.unique(points, return_inverse=True)
        triangles = index[faces]
        start, end = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
        there, back = np.sort(start * len(merged) + end), np.sort(end * len(merged) + start)
        assert (start != end).all(), "a face has collapsed"
        assert (np.diff(there) > 0).all(), "two faces run along an edge in the same direction"
        assert np.array_equal(there, back), "an edge lies in one face only"

    return check
