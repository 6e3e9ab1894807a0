from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.surface import build_closed_surface
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction

Photographed = Callable[..., tuple[Photo, Mask]]
Reconstruct = Callable[..., Reconstruction]
Disc = Callable[[int, float], Bool]

RED, GREEN, BLUE = np.eye(3, dtype=np.uint8) * 255


@pytest.mark.slow
def test_the_rim_shows_no_background(reconstruct: Reconstruct, disc: Disc) -> None:
    pixels = disc(400, 120)
    pixels[195:199, 20:380] = True  # thin parts consist of rim only
    rgb = np.where(pixels[:, :, None], RED, GREEN)
    colours = reconstruct(pixels, rgb, shape="puff").colours
    assert colours is not None
    assert colours[:, 1].max() < 20
    assert colours[:, 0].min() > 235


def test_fine_detail_of_a_large_photo_survives(reconstruct: Reconstruct, disc: Disc) -> None:
    pixels = disc(1024, 480)
    stripe = (np.arange(1024) // 8 % 2 * 255).astype(np.uint8)  # 8 pixels wide
    result = reconstruct(pixels, np.broadcast_to(stripe[None, :, None], (1024, 1024, 3)), shape="puff")
    assert result.colours is not None
    seen = result.colours[result.vertices[:, 2] > 0.4 * result.vertices[:, 2].max(), 0]
    assert seen.std() > 0.75 * stripe.std()


def test_the_back_mirrors_the_front(reconstruct: Reconstruct, disc: Disc) -> None:
    rgb = np.empty((200, 200, 3), np.uint8)
    rgb[:, :100], rgb[:, 100:] = RED, BLUE
    result = reconstruct(disc(200, 80), rgb, shape="puff")
    assert result.colours is not None
    for side in (1, -1):
        half = side * result.vertices[:, 2] > 0.2
        assert (result.colours[half & (result.vertices[:, 0] < -0.05)] == RED).all()
        assert (result.colours[half & (result.vertices[:, 0] > 0.05)] == BLUE).all()


def test_the_outermost_pixels_are_not_stretched_over_the_side(photographed: Photographed, disc: Disc) -> None:
    rgb = np.where(disc(400, 148)[:, :, None], RED, BLUE)  # a blue ring, 12 pixels wide, at the rim
    canvas = cut_out(*photographed(disc(400, 160), rgb))
    square = compute_squared_height(canvas.distance)
    vertices, _ = build_closed_surface(square)
    red, _, blue = paint(canvas, square, vertices).astype(int).T
    rise = np.abs(vertices[:, 2]) / vertices[:, 2].max()
    # The ring is seen where the photo shows it. Straight projection would make all below it blue as well.
    assert (blue > red)[(rise > 0.28) & (rise < 0.33)].all()
    assert (red > blue)[rise < 0.05].all()


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_uniform_photo_keeps_its_colour(reconstruct: Reconstruct, disc: Disc, level: int) -> None:
    colours = reconstruct(disc(100, 30), np.full((100, 100, 3), level, np.uint8)).colours
    assert colours is not None
    assert np.abs(colours.astype(int) - level).max() <= 1
