import numpy as np
import pytest

from sam3d_bento.engines.preview.camera import Camera, look_at, tilt
from sam3d_bento.reconstruction import Photo

CAMERA = Camera(focal_length=900, width=640, height=480)


def test_project_undoes_unproject() -> None:
    pixels = np.random.default_rng(0).uniform(0, 480, (50, 2))
    np.testing.assert_allclose(CAMERA.project(CAMERA.unproject(pixels) * 7), pixels)


def test_x_is_right_and_y_is_up_in_the_photo() -> None:
    (x, y), (middle, _) = CAMERA.project(np.array([[1.0, 2.0, -10.0], [0.0, 0.0, -10.0]]))
    assert x > middle == 320
    assert y < 240


@pytest.mark.parametrize("direction", [(0, 0, -1), (0.3, -0.2, -1), (-0.5, 0.1, -0.7)])
def test_the_turned_camera_looks_along_the_direction_without_roll(
    direction: tuple[float, float, float],
) -> None:
    axes = look_at(np.array(direction))
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    x, y, z = axes.T @ direction
    assert (x, y) == (pytest.approx(0), pytest.approx(0))
    assert z < 0
    assert axes[1, 0] == 0


def test_tilting_turns_the_top_towards_the_camera() -> None:
    up = tilt(np.radians(20))[:, 1]
    np.testing.assert_allclose(up, [0, np.cos(np.radians(20)), np.sin(np.radians(20))])


def test_the_focal_length_of_the_photo_is_used_if_known() -> None:
    photo = Photo(np.zeros((300, 400, 3), np.uint8), None, (400, 300))
    assert Camera.from_photo(photo).field_of_view == pytest.approx(39.3, abs=0.1)
    known = Photo(photo.rgb, None, (400, 300), focal_length=200.0)
    assert Camera.from_photo(known).field_of_view == pytest.approx(90)
