"""Point maps of known cameras: the focal length and the shift are found."""

import numpy as np
import pytest

from sam3d_bento.photo.size.shift import solve

WIDTH, HEIGHT = 160, 120


def depth_map(seed=0):
    """A hilly ground before a wall, 0.5 to 2 units away."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
    waves = sum(np.sin(a * row + b * column + c) for a, b, c in rng.uniform(0, 9, (4, 3)))
    return 1.2 + 0.15 * waves + 0.2 * (1 - row)


def points_of(depth, focal, shift=0.0):
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / focal * depth
    y = ((np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / focal)[:, None] * depth
    return np.stack((x, y, depth - shift), -1).astype(np.float32)


@pytest.mark.parametrize("focal", [60, 150, 600])
@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.4, 1.5])
def test_the_focal_length_and_the_shift_of_an_exact_map_are_found(focal, shift):
    found, lack = solve(points_of(depth_map(), focal, shift))
    assert found == pytest.approx(focal, rel=1e-4)
    assert lack == pytest.approx(shift, abs=1e-3)


def test_a_given_focal_length_is_kept_and_the_shift_found():
    found, lack = solve(points_of(depth_map(), 150, 0.4), 150.0)
    assert (found, lack) == (150.0, pytest.approx(0.4, abs=1e-4))


def test_missing_points_change_nothing():
    points = points_of(depth_map(), 150, 0.4)
    points[np.random.default_rng(1).random(points.shape[:2]) < 0.7] = np.nan
    found, lack = solve(points)
    assert (found, lack) == (pytest.approx(150, rel=1e-4), pytest.approx(0.4, abs=1e-3))


def test_a_wall_tells_how_much_a_pixel_spans_although_neither_number_alone():
    found, lack = solve(points_of(np.full((HEIGHT, WIDTH), 2.0), 150, 0.4))
    assert (2.0 - 0.4 + lack) / found == pytest.approx(2.0 / 150, rel=1e-3)


@pytest.mark.parametrize(
    "points",
    [
        np.full((HEIGHT, WIDTH, 3), np.nan, np.float32),
        np.zeros((HEIGHT, WIDTH, 3), np.float32),
        points_of(depth_map(), 150) * np.float32([-1, -1, 1]),
    ],
    ids=["no points", "one point", "a mirrored world"],
)
def test_a_map_that_no_camera_has_seen_gives_nothing(points):
    assert solve(points) is None
