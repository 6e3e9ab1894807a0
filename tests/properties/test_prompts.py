"""Whatever a prompt and an alpha channel are, the mask holds no hidden pixel, or the prompt is refused."""

import numpy as np
import pytest

from sam3d_bento.errors import BadRequest, NoObject
from sam3d_bento.photo import mask_report, masks
from sam3d_bento.photo.prompts.answers import Answer
from sam3d_bento.photo.prompts.memory import Memory
from sam3d_bento.photo.prompts.prompter import Prompter
from sam3d_bento.prompt import Point, Prompt
from sam3d_bento.reconstruction import Photo

pytestmark = pytest.mark.properties


class BlobModel:
    """Model that answers with smooth blobs that have nothing to do with the picture."""

    name = "blobs"

    def __init__(self, random):
        self.random = random

    def encode(self, rgb):
        return None

    def answers(self, rgb, encoding, prompt):
        return [self._answer(rgb.shape[:2]) for _ in range(self.random.integers(0, 5))]

    def _answer(self, shape):
        coarse = self.random.integers(0, 256, [max(1, side // self.random.integers(2, 30)) for side in shape])
        rows, columns = (np.arange(side) * size // side for side, size in zip(shape, coarse.shape, strict=True))
        return Answer(coarse[np.ix_(rows, columns)].astype(np.uint8), float(self.random.random()))


@pytest.mark.parametrize("seed", range(300))
def test_no_hidden_pixel_is_object_and_the_figures_fit_to_the_mask(seed):
    random = np.random.default_rng(seed)
    height, width = random.integers(8, 120, 2)
    factor = int(random.integers(1, 4))
    hidden = random.random((height, width)) < random.choice([0.0, 0.1, 0.9])
    photo = Photo(
        random.integers(0, 256, (height, width, 3), np.uint8),
        None if random.random() < 0.3 else np.where(hidden, 0, 255).astype(np.uint8),
        (int(width) * factor, int(height) * factor),
    )
    points = tuple(
        Point(float(x), float(y), inside=bool(random.random() < 0.6))
        for x, y in random.random((random.integers(0, 5), 2)) * photo.original_size
    )
    low, high = np.sort(random.random((2, 2)) * photo.original_size, 0)
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1])) if random.random() < 0.5 else None
    candidate = None if random.random() < 0.5 else int(random.integers(0, 3))
    try:
        prompt = Prompt(points, box, candidate)
    except ValueError:
        return
    prompter = Prompter(lambda: BlobModel(random), Memory(0))
    try:
        mask = prompter.mask(prompter.encode(photo, b""), prompt)
    except (BadRequest, NoObject):
        return
    assert mask.pixels.any()
    if photo.alpha is not None and photo.alpha.any():
        assert not (mask.pixels & (photo.alpha == 0)).any()
    assert np.array_equal(mask.soft >= 128, mask.pixels)
    areas = [one.coverage for one in mask.choice.candidates]
    assert areas == sorted(areas)
    report = mask_report.describe(mask, photo)
    for one in report["candidates"]:
        left, top, right, bottom = one["box"]
        assert 0 <= left < right <= photo.original_size[0]
        assert 0 <= top < bottom <= photo.original_size[1]
    assert masks.to_png(mask, photo.original_size)[:4] == b"\x89PNG"
