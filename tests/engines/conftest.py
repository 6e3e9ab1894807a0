"""Draw the shapes, and check the meshes, that the tests of the preview engine share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation
from skimage.draw import polygon

from sam3d_bento.arrays import Bool, Float32, Int32, UInt8
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction

Reconstruct = Callable[..., Reconstruction]


@pytest.fixture
def disc() -> Callable[[int, float], Bool]:
    """Draw a centred disc: (edge of the square frame, radius), both in pixels."""

    def draw(edge: int, radius: float) -> Bool:
        row, column = np.ogrid[:edge, :edge]
        middle = (edge - 1) / 2
        return (row - middle) ** 2 + (column - middle) ** 2 <= radius**2

    return draw


@pytest.fixture
def photographed() -> Callable[..., tuple[Photo, Mask]]:
    """Make a photo and a mask of the given pixels; the photo is grey where no picture is given."""

    def take(pixels: Bool, rgb: UInt8 | None = None) -> tuple[Photo, Mask]:
        rgb = np.full((*pixels.shape, 3), 128, np.uint8) if rgb is None else rgb
        photo = Photo(rgb=rgb, alpha=None, original_size=(pixels.shape[1], pixels.shape[0]))
        return photo, Mask(pixels=pixels, source="upload", coverage=float(pixels.mean()))

    return take


@pytest.fixture
def reconstruct(photographed: Callable[..., tuple[Photo, Mask]]) -> Reconstruct:
    """Run the preview engine on the given pixels and picture."""

    def run(pixels: Bool, rgb: UInt8 | None = None, shape: str = "auto") -> Reconstruction:
        options = Options.model_validate({"shape": shape})
        return PreviewEngine().reconstruct(*photographed(pixels, rgb), options, 0, silent)

    return run


CAMERA = Camera(focal_length=700.0, width=500, height=500)


@pytest.fixture
def camera() -> Camera:
    """Return the camera of `seen_circles` and `seen_box`, which is not the one that the engine assumes."""
    return CAMERA


@pytest.fixture
def seen_circles() -> Callable[..., Bool]:
    """Draw the silhouette (500, 500) of a body of revolution that stands 4 units away, seen by `camera` from above.

    profile: (radius, height) pairs, rising; elevation and roll in degrees; shift: (x, y) of the body in units.
    """

    def draw(
        profile: list[tuple[float, float]], elevation: float, roll: float = 0, shift: tuple[float, float] = (0, 0)
    ) -> Bool:
        radii, heights = np.array(profile).T
        turn = np.arange(72) / 72 * 2 * np.pi
        pixels = np.zeros((500, 500), bool)
        for height in np.linspace(heights[0], heights[-1], 200):
            radius = float(np.interp(height, heights, radii))
            ring = np.stack([radius * np.sin(turn), np.full(72, height), radius * np.cos(turn)], 1)
            pixels |= _filled(_before_camera(ring, elevation, roll, shift))
        return pixels

    return draw


@pytest.fixture
def seen_box() -> Callable[..., Bool]:
    """Draw the silhouette (500, 500) of a box of three sizes, turned by `yaw` degrees; else as `seen_circles`."""

    def draw(sizes: tuple[float, float, float], yaw: float, elevation: float) -> Bool:
        corners = (np.indices((2, 2, 2)).reshape(3, -1).T - 0.5) * sizes
        turned = Rotation.from_euler("y", yaw, degrees=True).apply(corners)
        return _filled(_before_camera(turned, elevation, 0, (0, 0)))

    return draw


def _before_camera(
    points: npt.NDArray[np.float64], elevation: float, roll: float, shift: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return the pixels (N, 2) at which the camera sees points (N, 3) of a body."""
    rotation = Rotation.from_euler("xz", [elevation, roll], degrees=True)
    return CAMERA.project(rotation.apply(points) + np.array([*shift, -4.0]))


def _filled(pixels: npt.NDArray[np.float64]) -> Bool:
    corners = pixels[ConvexHull(pixels).vertices] - 0.5
    mask = np.zeros((500, 500), bool)
    mask[polygon(corners[:, 1], corners[:, 0], mask.shape)] = True
    return mask


@pytest.fixture
def assert_closed() -> Callable[[Float32, Int32], None]:
    """Fail unless, with equal vertices merged, every edge lies in exactly two faces, once in either direction."""

    def check(vertices: Float32, faces: Int32) -> None:
        # Coordinates become one number, because np.unique takes seconds for rows. Adding zero makes -0 equal to 0.
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
