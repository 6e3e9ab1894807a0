from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas, cut_out
from sam3d_bento.engines.preview.shapes.attachments import find_attachments, place_attachment, uncover
from sam3d_bento.engines.preview.shapes.lathe import fit_lathe
from sam3d_bento.engines.preview.shapes.symmetry import turn_to_axis
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction

Circles = Callable[..., Bool]
CAN = [(0.4, -0.6), (0.4, 0.6)]


@pytest.fixture
def cut(photographed: Callable[..., tuple[Photo, Mask]]) -> Callable[[Bool], Canvas]:
    return lambda pixels: cut_out(*photographed(pixels))


def ring(row: float, column: float, radius: float) -> Bool:
    rows, columns = np.indices((500, 500))
    return np.abs(np.hypot(rows - row, columns - column) - radius) < 6


def with_pieces(body: Bool) -> dict[str, tuple[Bool, int]]:
    """Return vessels of this body, and how many attachments each has."""
    rows, columns = np.indices((500, 500))
    spout = (np.abs((rows - 230) + (columns - 150)) < 16) & (columns > 110) & (columns < 250) & (rows < 330)
    return {
        "handle at the right": (body | ring(250, 325, 39), 1),
        "handle at the left": (body | ring(250, 175, 39), 1),
        "bow over it": (body | (ring(150, 250, 60) & (rows < 165)), 1),
        "handle and spout": (body | ring(250, 325, 39) | spout, 2),
    }


@pytest.mark.parametrize("kind", ["handle at the right", "handle at the left", "bow over it", "handle and spout"])
def test_the_body_of_a_vessel_is_found_beside_what_sticks_out_of_it(
    cut: Callable[[Bool], Canvas], seen_circles: Circles, camera: Camera, kind: str
) -> None:
    pixels, count = with_pieces(seen_circles(CAN, 20))[kind]
    parts = find_attachments(cut(pixels))
    assert parts is not None
    assert len(parts.pieces) == count
    body = fit_lathe(turn_to_axis(parts.body, camera))
    assert body.fits
    assert body.rimmed
    assert body.radii.max() == pytest.approx(0.4 / 4, rel=0.04)
    assert np.degrees(body.elevation) == pytest.approx(20, abs=3)


def test_an_attachment_reaches_into_the_body(reconstruct: Callable[..., Reconstruction], seen_circles: Circles) -> None:
    result = reconstruct(seen_circles(CAN, 20) | ring(250, 325, 39))
    body, handle = trimesh.Trimesh(result.vertices, result.faces, process=False).split()
    radius = np.ptp(body.vertices[:, 0]) / 2
    axis = body.bounds[:, [0, 2]].mean(0)
    assert np.hypot(*(handle.vertices[:, [0, 2]] - axis).T).min() < 0.95 * radius


@pytest.mark.parametrize("side", [-1, 1])
def test_an_attachment_before_the_body_points_towards_the_camera(
    photographed: Callable[..., tuple[Photo, Mask]], seen_circles: Circles, camera: Camera, side: int
) -> None:
    can = seen_circles(CAN, 20)
    rows, columns = np.indices(can.shape)
    handle = (np.abs(np.hypot(rows - 250, columns - 250 - side * 63) - 39) < 8) & (side * (columns - 250) > 48)
    rgb = np.where(handle[:, :, None], np.array([200, 40, 40], np.uint8), np.array([40, 90, 160], np.uint8))
    canvas = cut_out(*photographed(can | handle, rgb))
    parts = find_attachments(canvas)
    assert parts is not None
    (piece,) = parts.pieces
    lathe = fit_lathe(turn_to_axis(parts.body, camera))
    placed = place_attachment(piece, canvas, parts.body, lathe, camera)
    assert 30 < side * np.degrees(placed.azimuth) < 70
    red = canvas.rgb[:, :, 0] > 150
    inside = parts.body.distance > 2
    bare, covered = uncover(parts.body, [placed])
    assert np.count_nonzero(covered & red & inside) > 0.95 * np.count_nonzero(red & inside)
    assert np.count_nonzero((bare.distance > 2) & red & inside) < 0.05 * np.count_nonzero(red & inside)


def test_corners_and_ragged_edges_are_no_attachments(
    cut: Callable[[Bool], Canvas], seen_circles: Circles, seen_box: Circles
) -> None:
    ragged = seen_circles(CAN, 20)
    ragged[::7, :] |= np.roll(ragged, 2, axis=1)[::7, :]
    for pixels in (ragged, seen_box((1.0, 0.8, 1.1), 35, 25), seen_circles([(0.2, -0.5), (0.6, 0.5)], 25)):
        assert find_attachments(cut(pixels)) is None


def test_a_pot_becomes_a_lathe_with_closed_pieces(
    reconstruct: Callable[..., Reconstruction], seen_circles: Circles, assert_closed: Callable[..., None]
) -> None:
    result = reconstruct(with_pieces(seen_circles(CAN, 20))["handle and spout"][0])
    assert result.details["shape"] == "lathe with a handle"
    assert_closed(result.vertices, result.faces)
