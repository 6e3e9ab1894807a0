from collections.abc import Callable

import numpy as np
import pytest

from sam3d_bento.arrays import Bool
from sam3d_bento.engines.preview.camera import Camera
from sam3d_bento.engines.preview.canvas import cut_out
from sam3d_bento.engines.preview.painting.texture import MAX_INWARD_CELLS, Texture
from sam3d_bento.reconstruction import Mask, Photo

Photographed = Callable[..., tuple[Photo, Mask]]
Disc = Callable[[int, float], Bool]


@pytest.mark.parametrize("edge", [1, 3])
def test_a_soft_rim_shows_no_background(photographed: Photographed, disc: Disc, edge: int) -> None:
    inside = disc(200, 60)
    share = np.clip(0.5 + (60 - np.hypot(*(np.indices((200, 200)) - 99.5))) / edge, 0, 1)[:, :, None]
    rgb = (share * [200, 60, 60] + (1 - share) * [0, 255, 0]).astype(np.uint8)
    canvas = cut_out(*photographed(inside, rgb))
    assert canvas.cell == 0.5  # a pixel is wider than a cell, and so is the mixed rim
    texture = Texture.from_canvas(canvas)
    rim = np.abs(canvas.distance) < 0.5
    assert canvas.rgb[rim, 1].mean() > 110
    assert texture.sharp[rim, 1].mean() < 70
    assert texture.sharp[canvas.distance < -1, 1].max() < 80


def test_a_hard_edge_stays_hard_between_the_cells(photographed: Photographed, camera: Camera) -> None:
    pixels = np.zeros((500, 500), bool)
    pixels[100:400, 100:400] = True
    rgb = np.where(np.arange(500) // 6 % 2, 200, 60).astype(np.uint8)[None, :, None].repeat(500, 0).repeat(3, 2)
    canvas = cut_out(*photographed(pixels, rgb))
    # Vertices lie anywhere between the cells, and the colour between two vertices is the mean of both.
    columns = np.arange(150, 350, canvas.cell / 2) + 0.3
    places = np.stack([columns, np.full(len(columns), 250.2)], -1)
    points = camera.unproject(places)
    nothing = np.zeros(len(points))
    seen = Texture.from_canvas(canvas).colour_vertices(points, points, nothing, nothing < 1, camera)[:, 0].astype(float)
    between = (seen[1:] + seen[:-1]) / 2
    assert between.std() > 0.93 * rgb[250, 150:350, 0].std()


def test_a_visible_vertex_gets_the_colour_of_its_place_in_the_photo(photographed: Photographed, camera: Camera) -> None:
    pixels = np.zeros((500, 500), bool)
    pixels[100:400, 100:400] = True
    rgb = np.broadcast_to((np.arange(500) / 2).astype(np.uint8)[None, :, None], (500, 500, 3)).copy()
    canvas = cut_out(*photographed(pixels, rgb))
    texture = Texture.from_canvas(canvas)
    own, elsewhere = camera.unproject(np.array([[200.0, 250.0]] * 2)), camera.unproject(np.array([[300.0, 250.0]] * 2))
    seen, hidden = texture.colour_vertices(own, elsewhere, np.array([0.0, 0.0]), np.array([True, False]), camera)[:, 0]
    assert int(seen) == pytest.approx(100, abs=1 + MAX_INWARD_CELLS * canvas.cell / 2)
    assert int(hidden) == pytest.approx(150, abs=1)
    blurred, sharp = texture.colour_vertices(own, own, np.array([1.0, 1.0]), np.array([False, True]), camera)[:, 0]
    assert int(sharp) == pytest.approx(100, abs=1)
    assert int(blurred) == pytest.approx(100, abs=1)
