"""Many random cut-outs and small things: what tests/photo and tests/test_pipeline.py show with a few."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.errors import NoObject
from sam3d_bento.options import Options
from sam3d_bento.photo.cutout import cut_out
from sam3d_bento.photo.masks import isolate
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.reconstruction import Photo
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
from tests.support.cutouts import random_cut_out, small_cut_out

pytestmark = pytest.mark.properties


@pytest.mark.parametrize("seed", range(1000, 1010))
def test_cut_outs_are_exactly_their_visible_pixels(seed):
    rng = np.random.default_rng(seed)
    for number in range(500):
        picture = random_cut_out(rng)
        assert np.array_equal(cut_out(picture.alpha).pixels, picture.visible), (seed, number)


@pytest.mark.parametrize("seed", range(2000, 2200))
def test_no_hidden_colour_is_in_any_model(seed):
    rng = np.random.default_rng(seed)
    picture = small_cut_out(rng, most_pixels=300)
    pipeline = Pipeline(PreviewEngine(), None, Settings())
    options = Options(seed=1, texture_size=512, target_faces=1000)
    pictures = (picture, picture.with_other_hidden_colours(rng))
    glbs = [pipeline.run(Submission(one.png(), options=options), lambda *_: None).glb for one in pictures]
    assert glbs[0] == glbs[1]


SIDE = 900
PLAIN = ((255, 255, 255), (205, 203, 200), (12, 12, 14), (90, 120, 160))


def small_thing(rng, size):
    """A photo (SIDE, SIDE, 3) of one thing, `size` pixels long, in focus on a plain, shaded or grainy ground; it."""
    box = np.array([[-1, -1], [1, 1]]) * size / 2 + rng.uniform(0.08 * SIDE + size / 2, 0.92 * SIDE - size / 2, 2)
    thing = Image.new("L", (4 * SIDE, 4 * SIDE))
    draw = ImageDraw.Draw(thing)
    (left, top), (right, bottom) = 4 * box
    high = bottom - top
    match rng.integers(3):
        case 0:
            draw.ellipse((left, top, right, bottom), fill=255)
        case 1:
            draw.rectangle((left, top + high / 5, right, bottom - high / 5), fill=255)
        case 2:
            draw.rectangle((left, top, left + 0.7 * high, bottom), fill=255)
            draw.ellipse(
                (left + 0.5 * high, top + 0.2 * high, right, bottom - 0.2 * high), outline=255, width=size // 3
            )
    cover = np.asarray(thing.resize((SIDE, SIDE), Image.Resampling.BOX)) / 255
    ground = np.tile(np.float64(PLAIN[rng.integers(len(PLAIN))]), (SIDE, SIDE, 1))
    ground += rng.choice([0, 25]) * np.linspace(-1, 1, SIDE)[:, None, None] + rng.normal(
        0, rng.choice([0, 4]), (SIDE, SIDE, 1)
    )
    colour = rng.integers(0, 256, 3)
    while np.abs(colour - ground.mean((0, 1))).max() < 80:
        colour = rng.integers(0, 256, 3)
    rgb = colour * cover[..., None] + ground * (1 - cover[..., None])
    image = Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    return np.asarray(image), cover >= 0.5


@pytest.mark.parametrize("size", [30, 40, 54, 80, 120])
def test_small_things_are_found(size, mask_model):
    """A few shades of a colour too near to the ground's are lost to the network; of six, one may be."""
    rng = np.random.default_rng(size)
    overlaps = []
    for _ in range(6):
        rgb, thing = small_thing(rng, size)
        try:
            pixels = isolate(Photo(rgb, None, (SIDE, SIDE)), None, mask_model).pixels
        except NoObject:
            pixels = np.zeros_like(thing)
        overlaps.append((pixels & thing).sum() / (pixels | thing).sum())
    assert np.median(overlaps) > 0.9
    assert sorted(overlaps)[1] > 0.7, overlaps


def test_grounds_without_a_thing_are_refused(mask_model):
    rng = np.random.default_rng(5)
    for colour in PLAIN:
        for grain in (0, 8):
            ground = np.tile(np.float64(colour), (SIDE, SIDE, 1)) + 25 * np.linspace(-1, 1, SIDE)[:, None, None]
            ground += rng.normal(0, grain, (SIDE, SIDE, 1))
            with pytest.raises(NoObject):
                isolate(Photo(ground.clip(0, 255).astype(np.uint8), None, (SIDE, SIDE)), None, mask_model)
