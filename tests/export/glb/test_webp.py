import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from sam3d_bento.arrays import UInt8
from sam3d_bento.export.glb import webp

SIZE = 256


def noisy(sigma: float, blur: float = 1.5, seed: int = 0) -> UInt8:
    """Make a smooth picture with soft noise of so many levels."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    colours = np.stack([90 + 70 * np.sin(7 * x), 130 + 60 * np.sin(9 * y), 200 - 150 * x * y], axis=2)
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=colours.shape), (blur, blur, 0))
    return np.rint(colours + sigma * noise / noise.std()).clip(0, 255).astype(np.uint8)


def decoded(file: bytes) -> UInt8:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def error(file: bytes, picture: UInt8) -> float:
    return float(np.square(decoded(file).astype(float) - picture).mean())


def saved(picture: UInt8, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", **options)
    return file.getvalue()


def lossless_size(step: int) -> int:
    picture = noisy(3.0)
    return len(
        saved((np.rint(picture / step) * step).clip(0, 255).astype(np.uint8), lossless=True, quality=40, method=2)
    )


def test_what_fits_is_exact() -> None:
    file = webp.encode_webp(noisy(3.0), 1.1 * lossless_size(1))
    np.testing.assert_array_equal(decoded(file), noisy(3.0))


@pytest.mark.parametrize("share", [0.95, 0.8, 0.6, 0.45, 0.3, 0.1])
def test_files_fit_into_their_room(share: float) -> None:
    room = share * lossless_size(1)
    file = webp.encode_webp(noisy(3.0), room)
    assert len(file) <= room
    if share > 0.5:  # below, lossy coding may need less than there is
        assert len(file) > 0.9 * room


def test_more_room_is_no_worse() -> None:
    errors = [error(webp.encode_webp(noisy(3.0), share * lossless_size(1)), noisy(3.0)) for share in (0.5, 0.7, 0.9)]
    assert errors == sorted(errors, reverse=True)


def test_between_two_steps_some_rows_have_the_finer_one() -> None:
    room = (lossless_size(1) + lossless_size(3)) / 2
    off = np.abs(decoded(webp.encode_webp(noisy(3.0), room)).astype(int) - noisy(3.0)).max(axis=(1, 2))
    exact = int(np.argmax(off > 0))
    assert SIZE / 4 < exact < 3 * SIZE / 4
    assert not off[:exact].any()
    assert off[exact:].max() == 1  # half a step of three


def test_no_size_is_worse_than_lossy_coding() -> None:
    picture = noisy(30.0, blur=0.7)
    lossy = saved(picture, quality=80, method=4)
    assert error(webp.encode_webp(picture, len(lossy)), picture) < 1.05 * error(lossy, picture)


def test_a_room_too_small_for_anything_gets_the_smallest_file() -> None:
    assert len(webp.encode_webp(noisy(3.0), 1.0)) < 0.1 * lossless_size(1)


def test_sharpened_chroma_comes_back_with_the_mean_of_each_square() -> None:
    # Colours near grey stay within 0..255 when they are sharpened.
    picture = np.rint(128 + 0.3 * (noisy(40.0).astype(float) - 128)).astype(np.uint8)

    def chroma_error(given: UInt8) -> float:
        shown = decoded(saved(given, quality=100, method=4)).astype(np.float32)
        return float(np.square(webp._mean_of_squares(shown - picture)).mean())

    assert chroma_error(webp._sharpen_chroma(picture)) < 0.6 * chroma_error(picture)
