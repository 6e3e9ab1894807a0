from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas
from sam3d_bento.engines.preview.surface import DEPTH_BY_WIDTH, build_closed_surface, undo_perspective

Closed = Callable[[Float32, Int32], None]


def ball(radius: float) -> Float32:
    row, column = np.indices((int(2 * radius) + 9,) * 2) - (radius + 4)
    return (radius**2 - row**2 - column**2).astype(np.float32)


def test_a_ball_keeps_its_size() -> None:
    vertices, faces = build_closed_surface(ball(40))
    np.testing.assert_allclose(np.ptp(vertices, axis=0), [80, 80, 80 * DEPTH_BY_WIDTH], rtol=0.01)
    volume = -trimesh.Trimesh(vertices, faces, process=False).volume  # the canvas frame is left-handed
    assert volume == pytest.approx(4 / 3 * np.pi * 40**3 * DEPTH_BY_WIDTH, rel=0.01)


def test_a_ball_is_smooth() -> None:
    vertices, _ = build_closed_surface(ball(40))
    offsets = (vertices - [44, 44, 0]) / [1, 1, DEPTH_BY_WIDTH]
    np.testing.assert_allclose(np.linalg.norm(offsets, axis=1), 40, atol=0.3)


@pytest.mark.parametrize("values", [(-3, 3), (-3, -1, 0, 1, 3, 15.99, 16, 16.01, 64)], ids=["two", "many"])
def test_surfaces_with_ties_and_touching_corners_are_closed(assert_closed: Closed, values: tuple[float, ...]) -> None:
    # Few different values on a small grid give every ambiguous case of marching cubes, exact ties among them.
    random = np.random.default_rng(5)
    for _ in range(150):
        square = np.full((14, 14), -5, np.float32)
        square[2:-2, 2:-2] = random.choice(values, (10, 10))
        assert_closed(*build_closed_surface(square))


def test_the_camera_sees_every_vertex_where_the_photo_shows_it() -> None:
    canvas = Canvas(np.zeros((1, 1, 3), np.float32), np.zeros((1, 1), np.float32), cell=2.5, origin=(30.0, 70.0))
    drawn = np.random.default_rng(2).uniform(-60, 60, (100, 3)).astype(np.float32)
    camera = Camera(900, 640, 480)
    seen = camera.project(undo_perspective(drawn, canvas, camera))
    np.testing.assert_allclose(seen, drawn[:, :2] * 2.5 + [30, 70], rtol=1e-4, atol=1e-2)
