"""Run-length encoded BMPs: the pixels that Pillow has, in bounded time."""

import io
import random
import struct
import time

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo import images

GREYS = b"".join(bytes([40 + 9 * n, 7 * n, 255 - 10 * n, 0]) for n in range(16))


def bmp(runs, width, height, bits):
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, {8: 1, 4: 2}[bits], len(runs), 0, 0, 16, 0)
    offset = 14 + len(head) + len(GREYS)
    return struct.pack("<2sIHHI", b"BM", offset + len(runs), 0, 0, offset) + head + GREYS + runs


def random_runs(seed, width, height, bits):
    """Return runs of every kind that fill a picture, and the way an encoder may write it."""
    numbers, runs = random.Random(seed), b""
    for _ in range(height):
        left = width
        while left:
            count = min(left, numbers.randint(1, 40))
            top = 15 if bits == 8 else 255
            if count >= 3 and numbers.random() < 0.4:
                stored = bytes(numbers.randint(0, top) for _ in range(count if bits == 8 else (count + 1) // 2))
                runs += bytes([0, count]) + stored + bytes(len(stored) % 2)
            elif numbers.random() < 0.1:
                runs += bytes([0, 2, count, 0])
            else:
                runs += bytes([count, numbers.randint(0, top)])
            left -= count
        runs += b"\0\0"
    return runs + b"\0\1"


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("seed", range(12))
def test_the_pixels_are_pillow_s(bits, seed):
    data = bmp(random_runs(seed, 60 + seed, 30, bits), 60 + seed, 30, bits)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(images.decode(data, max_pixels=10**6).rgb, expected)


def test_a_picture_that_is_cut_is_refused():
    data = bmp(random_runs(1, 60, 30, 8), 60, 30, 8)
    with pytest.raises(BadRequest):
        images.decode(data[:-200], max_pixels=10**6)


@pytest.mark.slow
def test_line_ends_alone_take_no_time():
    """Pillow fills a line pixel by pixel: a second for each 20 million."""
    data = bmp((b"\1\1\0\0" * 8000) + b"\0\1", 7990, 7990, 8)
    started = time.perf_counter()
    images.decode(data, max_pixels=64_000_000)
    assert time.perf_counter() - started < 20


@pytest.mark.parametrize(
    "runs",
    [b"\1\7" * 10_000_000, (b"\0\4" + b"\7" * 4) * 3_000_000, b"\0\2\1\0" * 5_000_000],
    ids=["one pixel", "stored pixels", "moves"],
)
def test_runs_too_few_for_the_picture_are_refused_before_they_are_walked(runs):
    data = bmp(runs, 8000, 8000, 8)
    started = time.process_time()
    with pytest.raises(BadRequest, match="damaged or cut short"):
        images.decode(data, max_pixels=64_000_000)
    assert time.process_time() - started < 2.0
