import numpy as np
import pytest
from PIL import Image, ImageDraw

from sam3d_bento.photo.touching import look_like_two


def drawn(*shapes, size=(600, 400)):
    """A mask of shapes: the name of a method of ImageDraw, and its coordinates."""
    image = Image.new("1", size)
    for kind, *coordinates in shapes:
        getattr(ImageDraw.Draw(image), kind)(coordinates, fill=1)
    return np.asarray(image)


BALLS = drawn(("ellipse", 50, 100, 250, 300), ("ellipse", 240, 120, 430, 310))
APART = drawn(("rectangle", 50, 100, 250, 300), ("rectangle", 256, 150, 430, 300))
ONE = {
    "ball": drawn(("ellipse", 200, 100, 400, 300)),
    "goblet": drawn(("ellipse", 200, 20, 400, 180), ("rectangle", 290, 150, 310, 320), ("ellipse", 210, 300, 390, 390)),
    "table": drawn(
        ("rectangle", 50, 100, 550, 140), ("rectangle", 60, 100, 100, 380), ("rectangle", 500, 100, 540, 380)
    ),
    "mug": drawn(("rectangle", 100, 100, 350, 380), ("ellipse", 330, 150, 450, 300)),
    "animal": drawn(("ellipse", 100, 100, 450, 260), ("ellipse", 420, 60, 540, 160), ("rectangle", 150, 200, 180, 380)),
    "wedge": drawn(("polygon", 50, 100, 500, 180, 500, 220, 50, 380)),
}


@pytest.mark.parametrize(
    "pixels", [BALLS, BALLS[:, ::-1], BALLS[::3, ::3], np.kron(BALLS, np.ones((3, 3), bool)), APART]
)
def test_two_beside_each_other_are_seen(pixels):
    assert look_like_two(pixels)


@pytest.mark.parametrize("name", ONE)
def test_one_thing_with_parts_is_one(name):
    assert not look_like_two(ONE[name])


@pytest.mark.parametrize("pixels", [np.zeros((5, 5), bool), np.ones((1, 1), bool), np.ones((3, 900), bool)])
def test_next_to_nothing_is_not_two(pixels):
    assert not look_like_two(pixels)
