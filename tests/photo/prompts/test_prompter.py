import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from sam3d_bento.errors import BadRequest, NoObject
from sam3d_bento.photo import masks
from sam3d_bento.photo.hidden_colours import without_hidden_colours
from sam3d_bento.photo.images import decode
from sam3d_bento.photo.prompts.answers import Answer
from sam3d_bento.photo.prompts.crops import CropModel
from sam3d_bento.photo.prompts.memory import Memory
from sam3d_bento.photo.prompts.prompter import Prompter
from sam3d_bento.prompt import Point, Prompt
from sam3d_bento.reconstruction import Photo
from sam3d_bento.warning_codes import WarningCode


class DiscModel:
    """Model that answers with discs of three sizes around the first point; counts how often it encodes."""

    name = "discs"

    def __init__(self, radii=(40, 15, 25), scores=(0.3, 0.9, 0.6)):
        self.answered = list(zip(radii, scores, strict=True))
        self.encodes = 0

    def encode(self, rgb):
        self.encodes += 1
        return rgb.copy()

    def answers(self, rgb, encoding, prompt):
        assert np.array_equal(rgb, encoding), "the encoding of another photo"
        (point, *_) = prompt.points
        y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]] + 0.5
        distance = np.hypot(x - point.x, y - point.y)
        return [
            Answer(np.clip(128 + 40 * (radius - distance), 0, 255).astype(np.uint8), score)
            for radius, score in self.answered
        ]


def photo(seed=0, size=(120, 160), original_size=None, alpha=None):
    rgb = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    return Photo(rgb, alpha, original_size or size[::-1])


def prompter(model=None, seconds=60):
    model = model or DiscModel()
    return Prompter(lambda: model, Memory(seconds))


def ask(asked, shown=None, prompt=None, content=b"photo"):
    return asked.mask(asked.encode(shown or photo(), content), prompt or Prompt((Point(80, 60),)))


def test_the_best_candidate_is_used_and_all_are_listed_by_size():
    mask = ask(prompter())
    assert mask.source == "prompt"
    assert mask.choice.model == "discs"
    assert [one.score for one in mask.choice.candidates] == [0.9, 0.6, 0.3]
    assert mask.choice.chosen == 0
    assert mask.coverage == mask.pixels.mean() == mask.choice.candidates[0].coverage
    assert mask.choice.candidates[1].box == (55, 35, 105, 85)


def test_another_candidate_can_be_asked_for():
    sizes = [ask(prompter(), prompt=Prompt((Point(80, 60),), candidate=index)).coverage for index in range(3)]
    assert sizes == sorted(sizes)
    one = prompter(DiscModel((20,), (1.0,)))
    with pytest.raises(BadRequest, match="only one candidate"):
        ask(one, prompt=Prompt((Point(80, 60),), candidate=1))


def test_a_prompt_is_in_pixels_of_the_photo_as_it_was_sent():
    reduced = photo(original_size=(1600, 1200))
    mask = ask(prompter(), reduced, Prompt((Point(800, 600),)))
    assert np.array_equal(mask.pixels, ask(prompter()).pixels)
    with pytest.raises(BadRequest, match="1600 × 1200 pixels"):
        ask(prompter(), reduced, Prompt((Point(1601, 600),)))


def test_nothing_and_everything_are_no_object():
    for radii in ((2, 2, 2), (500, 500, 500)):
        with pytest.raises(NoObject, match="Point at its middle"):
            ask(prompter(DiscModel(radii)))


def test_no_pixel_of_alpha_0_is_in_the_mask():
    alpha = np.full((120, 160), 255, np.uint8)
    alpha[:, :80] = 0
    mask = ask(prompter(), photo(alpha=alpha))
    assert mask.pixels.any()
    assert not (mask.pixels & (alpha == 0)).any()


def test_an_object_that_the_frame_cuts_is_noted():
    assert ask(prompter(), prompt=Prompt((Point(1, 60),))).warnings == (WarningCode.CUT_BY_FRAME,)
    assert ask(prompter()).warnings == ()


def test_a_photo_is_encoded_once_however_often_it_is_pointed_at():
    model = DiscModel()
    asked = prompter(model)
    fresh = []
    for x in (60, 80, 100):
        encoded = asked.encode(photo(), b"photo")
        fresh.append(encoded.fresh)
        asked.mask(encoded, Prompt((Point(x, 60),)))
    assert model.encodes == 1
    assert fresh == [True, False, False]


def test_photos_of_two_clients_are_never_mixed():
    """`DiscModel` fails when it is given the encoding of another photo."""
    model = DiscModel()
    asked = prompter(model)
    for number in [0, 1, 0, 2, 1, 3, 4, 5, 0, 5]:
        ask(asked, photo(number), content=b"photo %d" % number)
    assert model.encodes == 7, "photo 0 had to go and came again"


def test_edges_of_a_photo_of_24_megapixels_have_no_steps():
    """The photo is reduced to 2048 pixels for the work. The mask's PNG has the photo's own size again."""
    size, original = (1365, 2048), (6000, 4000)
    mask = ask(prompter(DiscModel((500,), (1.0,))), photo(0, size, original), Prompt((Point(3000, 2000),)))
    png = np.asarray(Image.open(io.BytesIO(masks.to_png(mask, original)))) > 0
    y, x = np.mgrid[:4000, :6000] + 0.5
    distance = np.hypot((x - 3000) / original[0] * size[1], (y - 2000) / original[1] * size[0])
    wrong = png != (distance < 500)
    assert np.abs(distance[wrong] - 500).max() < 0.4, "in pixels of the reduced photo; steps would reach 0.7"


# --- the real default model


@pytest.fixture
def cropping(mask_model):
    return Prompter(lambda: CropModel(mask_model), Memory(60))


def test_a_box_chooses_one_coin_of_many(cropping):
    coins = np.repeat(skimage.data.coins()[..., None], 3, 2)
    seen = Photo(coins, None, coins.shape[1::-1])
    encoded = cropping.encode(seen, b"coins")
    mask = cropping.mask(encoded, Prompt(box=(304, 14, 366, 74)))
    y, x = np.mgrid[: coins.shape[0], : coins.shape[1]] + 0.5
    coin = np.hypot(x - 335, y - 43.5) < 29
    assert (mask.pixels & coin).sum() / (mask.pixels | coin).sum() > 0.9
    again = cropping.mask(cropping.encode(seen, b"coins"), Prompt(box=(304, 14, 366, 74)))
    assert masks.to_png(again, seen.original_size) == masks.to_png(mask, seen.original_size)


@pytest.mark.slow
def test_a_click_finds_the_coin_and_equal_clicks_give_equal_masks_remembered_or_not(cropping, mask_model):
    coins = np.repeat(skimage.data.coins()[..., None], 3, 2)
    seen = Photo(coins, None, coins.shape[1::-1])
    prompt = Prompt((Point(46, 260),))
    first, second = (cropping.mask(cropping.encode(seen, b"coins"), prompt) for _ in range(2))
    other = Prompter(lambda: CropModel(mask_model), Memory(0))
    third = other.mask(other.encode(seen, b"coins"), prompt)
    assert first.pixels[260, 46]
    assert first.coverage < 0.04
    for mask in (second, third):
        assert np.array_equal(mask.pixels, first.pixels)
        assert mask.choice == first.choice


def test_where_nothing_is_there_is_no_object(cropping):
    plain = Photo(np.full((200, 200, 3), 128, np.uint8), None, (200, 200))
    with pytest.raises(NoObject):
        cropping.mask(cropping.encode(plain, b"plain"), Prompt((Point(100, 100),)))


@pytest.mark.slow
def test_a_colour_hidden_under_alpha_0_does_not_reach_the_model(cropping):
    """Two pictures that differ only under alpha 0 give equal masks."""
    found = []
    for hidden in (0, 200):
        picture = np.dstack([skimage.data.coffee(), np.full((400, 600), 255, np.uint8)])
        picture[:, :150, :3], picture[:, :150, 3] = hidden, 0
        file = io.BytesIO()
        Image.fromarray(picture, "RGBA").save(file, "PNG")
        seen = without_hidden_colours(decode(file.getvalue(), max_pixels=10**7))
        found.append(cropping.mask(cropping.encode(seen, file.getvalue()), Prompt(box=(160, 10, 420, 320))))
    assert np.array_equal(found[0].pixels, found[1].pixels)
    assert found[0].pixels.any()
