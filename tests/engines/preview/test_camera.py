import numpy as np
import pytest

from sam3d_bento.engines.preview.camera import Camera, looking_at, tilted
from sam3d_bento.reconstruction import Photo

CAMERA = Camera(focal_length=900, width=640, height=480)


def test_a_pixel_is_seen_where_its_ray_goes() -> None:
    pixels = np.random.default_rng(0).uniform(0, 480, (50, 2))
    np.testing.assert_allclose(CAMERA.project(CAMERA.rays(pixels) * 7), pixels)


def test_right_is_right_and_up_is_up() -> None:
    (x, y), (middle, _) = CAMERA.project(np.array([[1.0, 2.0, -10.0], [0.0, 0.0, -10.0]]))
    assert x > middle == 320
    assert y < 240


@pytest.mark.parametrize("direction", [(0, 0, -1), (0.3, -0.2, -1), (-0.5, 0.1, -0.7)])
def test_the_turned_camera_has_the_direction_in_its_middle_and_its_right_level(
    direction: tuple[float, float, float],
) -> None:
    axes = looking_at(np.array(direction))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    x, y, z = axes.T @ direction
    assert (x, y) == (pytest.approx(0), pytest.approx(0))
    assert z < 0
    assert axes[1, 0] == 0


def test_what_is_looked_down_on_shows_its_top() -> None:
    up = tilted(np.radians(20))[:, 1]
    np.testing.assert_allclose(up, [0, np.cos(np.radians(20)), np.sin(np.radians(20))])


def test_the_photos_focal_length_is_used_where_it_has_one() -> None:
    photo = Photo(np.zeros((300, 400, 3), np.uint8), None, (400, 300))
    assert Camera.of(photo).field_of_view == pytest.approx(39.3, abs=0.1)
    known = Photo(photo.rgb, None, (400, 300), focal_length=200.0)
    assert Camera.of(known).field_of_view == pytest.approx(90)
