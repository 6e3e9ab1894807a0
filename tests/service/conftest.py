"""Photos for the tests of a real `bentoml serve` process."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.support.places import COFFEE, PROJECT


@pytest.fixture(scope="session")
def disc():
    """A factory of small photos: a disc of one colour on grey, as PNG bytes; its mask lies in the alpha channel."""

    def make(colour, size=64):
        y, x = np.mgrid[:size, :size]
        inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 3) ** 2
        pixels = np.full((size, size, 4), (128, 128, 128, 0), np.uint8)
        pixels[inside] = (*colour, 255)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def coffee():
    return COFFEE


@pytest.fixture(scope="session")
def project():
    return PROJECT
