import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo(tmp_path):
    """A small photo of a ball; its mask lies in the alpha channel."""
    y, x = np.mgrid[:80, :80]
    pixels = np.zeros((80, 80, 4), np.uint8)
    pixels[(x - 40) ** 2 + (y - 40) ** 2 < 25**2] = (200, 60, 20, 255)
    path = tmp_path / "ball.png"
    Image.fromarray(pixels).save(path)
    return path
