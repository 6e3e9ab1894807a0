from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import Canvas, cut_out
from sam3d_bento.engines.preview.shapes.attachments import find_attachments
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
    assert len(parts.attachments) == count
    body = fit_lathe(turn_to_axis(parts.body, camera))
    assert body.fits
    assert body.rimmed
    assert body.radii.max() == pytest.approx(0.4 / 4, rel=0.04)
    assert np.degrees(body.elevation) == pytest.approx(20, abs=3)


def test_an_attachment_reaches_into_the_body(cut: Callable[[Bool], Canvas], seen_circles: Circles) -> None:
    parts = find_attachments(cut(seen_circles(CAN, 20) | ring(250, 325, 39)))
    assert parts is not None
    (handle,) = parts.attachments
    left, top = np.rint((np.array(handle.origin) - parts.body.origin) / handle.cell).astype(int)
    rows, columns = handle.distance.shape
    body = parts.body.distance[top : top + rows, left : left + columns]
    both = (body > 0) & (handle.distance > 0)
    assert np.count_nonzero(both) > 0.05 * np.count_nonzero(handle.distance > 0)


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
