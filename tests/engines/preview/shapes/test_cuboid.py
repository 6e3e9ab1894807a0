from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.shapes.cuboid import Cuboid, fit_cuboid, may_be_cuboid
from sam3d_bento.reconstruction import Mask, Photo

Photographed = Callable[..., tuple[Photo, Mask]]
Fit = Callable[..., Cuboid]


@pytest.fixture
def fit(photographed: Photographed, camera: Camera) -> Fit:
    return lambda pixels, *, seen_by=camera, calibrated=True: fit_cuboid(
        cut_out(*photographed(pixels)), seen_by, calibrated=calibrated
    )


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (0.5, 1.4, 0.7), (1.3, 0.25, 0.9), (1.2, 0.9, 0.08)])
@pytest.mark.parametrize(("yaw", "pitch"), [(30, 20), (55, 35), (40, 8)])
def test_sizes_and_angles_are_found(
    fit: Fit, seen_box: Callable[..., Bool], sizes: tuple[float, float, float], yaw: float, pitch: float
) -> None:
    cuboid = fit(seen_box(sizes, yaw, pitch))
    assert cuboid.fits
    np.testing.assert_allclose(cuboid.sizes / cuboid.sizes.max(), np.array(sizes) / max(sizes), atol=0.06)
    assert np.degrees(cuboid.yaw) == pytest.approx(yaw, abs=3)
    assert np.degrees(cuboid.pitch) == pytest.approx(pitch, abs=3)


def test_an_unknown_focal_length_is_found_with_the_box(fit: Fit, seen_box: Callable[..., Bool], camera: Camera) -> None:
    wrong = Camera(camera.focal_length * 0.85, camera.width, camera.height)
    cuboid = fit(seen_box((1.0, 0.8, 1.1), 35, 25), seen_by=wrong, calibrated=False)
    assert cuboid.fits
    assert cuboid.camera.focal_length == pytest.approx(camera.focal_length, rel=0.07)


def test_a_known_focal_length_is_kept(fit: Fit, seen_box: Callable[..., Bool], camera: Camera) -> None:
    cuboid = fit(seen_box((1.0, 0.8, 1.1), 35, 25), calibrated=True)
    assert cuboid.camera.focal_length == pytest.approx(camera.focal_length, rel=1e-3)


def test_the_upright_frame_has_y_up_and_the_camera_in_front(fit: Fit, seen_box: Callable[..., Bool]) -> None:
    right, up, front = fit(seen_box((1.0, 0.8, 1.1), 35, 25)).upright.T
    np.testing.assert_allclose(up, [0, np.cos(np.radians(25)), np.sin(np.radians(25))], atol=0.05)
    np.testing.assert_allclose(right, [1, 0, 0], atol=0.06)
    assert front[2] > 0.8


@pytest.mark.slow
def test_a_can_a_ball_and_a_triangle_are_not_boxes(
    fit: Fit, seen_circles: Callable[..., Bool], disc: Callable[..., Bool]
) -> None:
    row, column = np.indices((500, 500)) - 250
    triangle = (np.abs(column) < (row + 150) / 2) & (row < 150)
    for pixels in (seen_circles([(0.4, -0.6), (0.4, 0.6)], 20), disc(500, 150), triangle):
        assert not fit(pixels, calibrated=False).fits


def test_only_a_convex_silhouette_may_be_a_box(photographed: Photographed, seen_box: Callable[..., Bool]) -> None:
    solid = seen_box((1.0, 0.8, 1.1), 35, 25)
    notched = solid.copy()
    notched[:250, :250] = False
    assert may_be_cuboid(cut_out(*photographed(solid)))
    assert not may_be_cuboid(cut_out(*photographed(notched)))
