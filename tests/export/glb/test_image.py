import io

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.arrays import UInt8
from sam3d_bento.export.glb import image

SIZE = 256


def smooth() -> UInt8:
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    return np.rint(np.stack([250 * x, 130 + 100 * np.sin(9 * y), 255 * (1 - x * y)], axis=2)).astype(np.uint8)


def noise() -> UInt8:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)


def decoded(file: bytes) -> UInt8:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def test_png_loses_nothing() -> None:
    file, media_type = image.encode(noise(), "png")
    assert media_type == "image/png"
    np.testing.assert_array_equal(decoded(file), noise())


@pytest.mark.parametrize("noise", [0.0, 1.5, 4.0])
def test_png_is_no_larger_than_with_the_usual_search(noise: float) -> None:
    usual = io.BytesIO()
    Image.fromarray(coarse(noise)).save(usual, "PNG")
    file, _ = image.encode(coarse(noise), "png")
    assert len(file) < 1.02 * len(usual.getvalue())


@pytest.mark.parametrize("texture_format", ["jpeg", "webp"])
def test_the_others_shift_no_colour_and_lose_little(texture_format: str) -> None:
    texture = np.repeat(np.repeat(smooth()[::4, ::4], 4, axis=0), 4, axis=1)  # edges that tempt to blur the chroma
    file, media_type = image.encode(texture, texture_format)
    assert media_type == f"image/{texture_format}"
    difference = decoded(file).astype(float) - texture
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.5
    assert np.square(difference).mean() < 255**2 / 10**4  # 40 dB


def coarse(sigma: float) -> UInt8:
    """The smooth texture with noise: the more, the less it can be compressed."""
    noisy = smooth() + np.random.default_rng(0).normal(0, sigma, (SIZE, SIZE, 3))
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


def test_webp_of_a_smooth_texture_is_exact() -> None:
    file, _ = image.encode(smooth(), "webp")
    np.testing.assert_array_equal(decoded(file), smooth())


@pytest.mark.parametrize("beside", [0, 5_000, 12_000, 16_000])
def test_webp_fits_beside_the_geometry(beside: int) -> None:
    file, _ = image.encode(coarse(1.5), "webp", beside)
    assert len(file) <= image.FILE_BYTES_A_TEXEL * SIZE**2 - beside


def test_webp_of_a_busy_texture_stays_small() -> None:
    file, _ = image.encode(noise(), "webp")
    assert len(file) < len(image.encode(noise(), "png")[0]) / 2
