from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import trimesh

from sam3d_bento.arrays import Bool, Float32, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas, cut_out
from sam3d_bento.engines.preview.painting.registration import Registration
from sam3d_bento.engines.preview.painting.texture import sample
from sam3d_bento.reconstruction import Mask, Photo

Array = npt.NDArray[np.float64]
Disc = Callable[[int, float], Bool]
Photographed = Callable[..., tuple[Photo, Mask]]
BALL = trimesh.creation.icosphere(subdivisions=5)


def ball_seen(radius: float, camera: Camera) -> Array:
    """Return vertices of a ball 4 units away whose outline has that radius in pixels."""
    slope = radius / camera.focal_length
    vertices: Array = BALL.vertices * 4 * slope / np.hypot(1, slope) - [0, 0, 4]
    return vertices


def farthest_from_outline(vertices: Array, canvas: Canvas, camera: Camera) -> float:
    """Return the largest distance in cells between an extreme vertex in the picture and the silhouette's rim."""
    places = (camera.project(vertices) - canvas.origin) / canvas.cell
    angles = np.radians(np.arange(0, 360, 10))
    ends = places[(places @ np.stack([np.cos(angles), np.sin(angles)])).argmax(0)]
    return float(np.abs(sample(canvas.distance, ends.T[::-1])).max())


@pytest.mark.parametrize("radius", [117.0, 123.0])
def test_the_outline_is_moved_onto_the_silhouette(
    camera: Camera, disc: Disc, photographed: Photographed, radius: float
) -> None:
    canvas = cut_out(*photographed(disc(500, 120)))
    vertices = ball_seen(radius, camera)
    assert farthest_from_outline(vertices, canvas, camera) > 2.5 / canvas.cell
    moved = Registration.fit(vertices, BALL.faces, canvas, camera).apply(vertices)
    assert farthest_from_outline(moved, canvas, camera) < 0.7
    np.testing.assert_array_equal(moved[:, 2], vertices[:, 2])  # the depth stays


def test_the_outline_moves_towards_a_corner_of_the_silhouette(camera: Camera, photographed: Photographed) -> None:
    square = np.zeros((500, 500), bool)
    square[150:350, 150:350] = True
    canvas = cut_out(*photographed(square))
    grid = trimesh.creation.box((1, 1, 1))
    for _ in range(7):
        grid = grid.subdivide()
    across = grid.vertices[:, :2] * [1, -1]
    across *= np.minimum(1, 0.97 / np.maximum(np.abs(across).sum(1), 0.5))[:, None]  # without the corners
    placed = camera.unproject(250 + 200 * across) * (4 - 0.1 * grid.vertices[:, 2:])
    moved = Registration.fit(placed, grid.faces.astype(np.int32), canvas, camera).apply(placed)
    corner = np.array([350.0, 150.0])
    before, after = (np.hypot(*(camera.project(part) - corner).T).min() for part in (placed, moved))
    assert after < 0.7 * before


def test_points_far_from_the_outline_stay(camera: Camera, disc: Disc, photographed: Photographed) -> None:
    canvas = cut_out(*photographed(disc(500, 120)))
    vertices = ball_seen(123, camera)
    moved = Registration.fit(vertices, BALL.faces, canvas, camera).apply(vertices)
    middle = np.hypot(*(camera.project(vertices) - 250).T) < 30
    np.testing.assert_allclose(moved[middle], vertices[middle], atol=1e-6)


def test_the_mesh_does_not_fold(
    camera: Camera, disc: Disc, photographed: Photographed, assert_closed: Callable[[Float32, Int32], None]
) -> None:
    notched = disc(500, 120)
    notched[240:260, 350:] = False  # a notch, and a tooth below it
    notched[300:312, 340:372] = True
    canvas = cut_out(*photographed(notched))
    vertices = ball_seen(121, camera)
    moved = Registration.fit(vertices, BALL.faces, canvas, camera).apply(vertices)
    assert_closed(moved.astype(np.float32), BALL.faces.astype(np.int32))
    corners = camera.project(moved)[BALL.faces]
    before = camera.project(vertices)[BALL.faces]
    one, other = (np.linalg.det(part[:, 1:] - part[:, :1]) for part in (corners, before))
    steep = np.abs(other) < 0.2 * np.abs(other).max()  # a face seen edge-on may turn slightly
    assert (np.sign(one) == np.sign(other))[~steep].all()


def test_a_mesh_far_from_the_silhouette_is_not_moved(camera: Camera, disc: Disc, photographed: Photographed) -> None:
    canvas = cut_out(*photographed(disc(500, 120)))
    vertices = ball_seen(60, camera)
    np.testing.assert_allclose(
        Registration.fit(vertices, BALL.faces, canvas, camera).apply(vertices), vertices, atol=1e-9
    )
