"""A picture is reduced band by band to the pixels that Pillow gives for the whole."""

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.photo import reduction


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "sizes", [((300, 200), (100, 67)), ((301, 97), (299, 96)), ((64, 900), (7, 100)), ((50, 3), (25, 3))]
)
def test_the_pixels_are_those_of_the_whole(monkeypatch, mode, sizes):
    monkeypatch.setattr(reduction, "BAND_PIXELS", 1000)
    size, smaller = sizes
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], channels), np.uint8)
    image = Image.frombytes(mode, size, pixels.tobytes())
    whole = image.resize(smaller, Image.Resampling.LANCZOS, reducing_gap=2.0)
    reduced = reduction.reduce(image, smaller)
    assert reduced.mode == mode
    assert reduced.tobytes() == whole.tobytes()
