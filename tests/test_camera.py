"""Cameras and frames: what a depth map says of points, and what points say of the camera."""

import numpy as np
import pytest

from sam3d_bento.camera import TO_PYTORCH3D, Camera, fit_camera, to_points

CAMERA = Camera(500.0, 510.0, 160.5, 118.0, 320, 240, "given")


@pytest.mark.slow
def test_a_point_is_seen_at_the_pixel_whose_depth_it_is():
    depth = np.random.default_rng(0).uniform(0.5, 3, (240, 320))
    x, y, z = np.moveaxis(to_points(depth, CAMERA).astype(float), -1, 0)
    row, column = np.mgrid[:240, :320] + 0.5
    assert CAMERA.cx - CAMERA.fx * x / z == pytest.approx(column, abs=1e-3)
    assert CAMERA.cy - CAMERA.fy * y / z == pytest.approx(row, abs=1e-3)
    assert z == pytest.approx(depth, rel=1e-6)


def test_what_is_at_the_right_and_below_in_the_photo_has_negative_x_and_y():
    points = to_points(np.ones((240, 320)), CAMERA)
    assert (points[-1, -1] < 0).tolist() == [True, True, False]


def test_each_frame_is_turned_and_never_mirrored_from_another():
    assert {frame: int(np.prod(signs)) for frame, signs in TO_PYTORCH3D.items()} == dict.fromkeys(TO_PYTORCH3D, 1)


def test_a_camera_of_a_smaller_picture_sees_the_same_points():
    small = CAMERA.resized(160, 120)
    assert (small.fx, small.fy, small.cx, small.cy) == (250, 255, 80.25, 59)
    assert CAMERA.resized(320, 240) == CAMERA


@pytest.mark.parametrize("missing", [0, 0.5])
def test_the_focal_length_is_found_in_the_points_alone(missing):
    true = Camera(500.0, 500.0, 160.0, 120.0, 320, 240, "given")
    depth = np.random.default_rng(0).uniform(0.5, 3, (240, 320))
    depth[: round(240 * missing)] = np.nan
    found = fit_camera(to_points(depth, true))
    assert found is not None
    assert found.fx == pytest.approx(500, rel=1e-4)
    assert found.source == "fitted"


def test_without_points_there_is_no_camera():
    assert fit_camera(np.full((20, 20, 3), np.nan, np.float32)) is None
