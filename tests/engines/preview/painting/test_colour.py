from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from sam3d_bento.arrays import Bool, Float32, UInt8
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.height import compute_squared_height
from sam3d_bento.engines.preview.painting.colour import paint
from sam3d_bento.engines.preview.painting.texture import sample
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


def test_each_side_of_the_back_has_the_colour_of_its_rim(reconstruct: Reconstruct, disc: Disc) -> None:
    rgb = np.empty((200, 200, 3), np.uint8)
    rgb[:, :100], rgb[:, 100:] = RED, BLUE
    result = reconstruct(disc(200, 80), rgb, shape="puff")
    assert result.colours is not None
    red, _, blue = result.colours.astype(int).T
    x, _, z = result.vertices.T
    assert (red > 2 * blue)[(z < -0.1) & (x < -0.2)].all()
    assert (blue > 2 * red)[(z < -0.1) & (x > 0.2)].all()
    assert (result.colours[(z > 0.27) & (x < -0.05)] == RED).all(), "the front is the photo"


def textured(edge: int, seed: int) -> Float32:
    """Draw a grey texture (edge, edge, 3) whose spots are about four pixels wide."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(edge, edge)), 2)
    return np.repeat(120 + 30 * noise[:, :, None] / noise.std(), 3, 2).astype(np.float32)


def to_picture(colours: Float32) -> UInt8:
    return colours.round().clip(0, 255).astype(np.uint8)


def test_the_back_has_the_texture_of_the_front_but_in_other_places(photographed: Photographed, disc: Disc) -> None:
    canvas = cut_out(*photographed(disc(400, 160), to_picture(textured(400, 1))))
    vertices, faces = build_closed_surface(compute_squared_height(canvas.distance))
    grey = paint(canvas, vertices, faces)[:, 0].astype(np.float32)
    there = sample(canvas.rgb[:, :, 0], vertices[:, [1, 0]].T.astype(np.float64))
    rise = vertices[:, 2] / vertices[:, 2].max()
    front, back = rise > 0.6, rise < -0.6
    assert np.corrcoef(grey[front], there[front])[0, 1] > 0.95
    assert abs(np.corrcoef(grey[back], there[back])[0, 1]) < 0.2
    assert 0.5 * grey[front].std() < grey[back].std() < grey[front].std()


def test_what_is_on_the_front_once_is_not_on_the_back(photographed: Photographed, disc: Disc) -> None:
    rgb = 0.3 * textured(400, 2) + 80
    rgb[170:200, 150:190] = 0  # two eyes
    rgb[170:200, 210:250] = 0
    rgb[230:250, 160:240] = RED
    canvas = cut_out(*photographed(disc(400, 160), to_picture(rgb)))
    vertices, faces = build_closed_surface(compute_squared_height(canvas.distance))
    red, green, _ = paint(canvas, vertices, faces).astype(int).T
    rise = vertices[:, 2] / vertices[:, 2].max()
    assert (green[rise > 0.5] < 20).any()
    assert (red - green)[rise > 0.5].max() > 200
    assert green[rise < -0.4].min() > 60
    assert (red - green)[rise < -0.4].max() < 40


def test_the_sides_show_no_streaks(photographed: Photographed, disc: Disc) -> None:
    """Along the line of sight, colours change nearly half as fast as along the rim: stretched pixels change a tenth."""
    canvas = cut_out(*photographed(disc(400, 160), to_picture(textured(400, 3))))
    vertices, faces = build_closed_surface(compute_squared_height(canvas.distance))
    grey = paint(canvas, vertices, faces)[:, 0].astype(np.float32)
    start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    step = vertices[end] - vertices[start]
    length = np.linalg.norm(step, axis=1)
    beside = (np.abs(vertices[start, 2]) < 0.3 * vertices[:, 2].max()) & (length > 0.3)
    change = np.abs(grey[end] - grey[start]) / np.maximum(length, 0.3)
    along, across = (beside & part for part in (np.abs(step[:, 2]) > 0.9 * length, np.abs(step[:, 2]) < 0.1 * length))
    assert change[along].mean() > 0.4 * change[across].mean()


def test_the_outermost_pixels_are_not_stretched_over_the_side(photographed: Photographed, disc: Disc) -> None:
    rgb = np.where(disc(400, 157)[:, :, None], RED, BLUE)  # a blue ring, 3 pixels wide, at the rim
    canvas = cut_out(*photographed(disc(400, 160), rgb))
    vertices, faces = build_closed_surface(compute_squared_height(canvas.distance))
    red, _, blue = paint(canvas, vertices, faces).astype(int).T
    rise = np.abs(vertices[:, 2]) / vertices[:, 2].max()
    assert (red > 2 * blue)[rise < 0.05].all()


@pytest.mark.slow
@pytest.mark.parametrize("level", [0, 7, 255])
def test_a_uniform_photo_keeps_its_colour(reconstruct: Reconstruct, disc: Disc, level: int) -> None:
    colours = reconstruct(disc(100, 30), np.full((100, 100, 3), level, np.uint8)).colours
    assert colours is not None
    assert np.abs(colours.astype(int) - level).max() <= 1
