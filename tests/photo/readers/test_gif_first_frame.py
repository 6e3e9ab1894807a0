"""A GIF's first frame as Pillow shows it, without what its other blocks would cost."""

import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.images import decode
from sam3d_bento.photo.readers.gif import first_frame


def gif(frames, **options):
    """Return a GIF of so many frames of 64 x 40 pixels, with a transparent colour."""
    pictures = []
    for n in range(frames):
        pixels = np.zeros((40, 64, 4), np.uint8)
        pixels[5 + n : 30, 10:50] = (200, 40 + n, 90, 255)
        pictures.append(Image.fromarray(pixels))
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], **options)
    return file.getvalue()


def with_block(data, block):
    """Put a block behind the palette of the whole file."""
    end = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:end] + block + data[end:]


def shown(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("options", [{}, {"comment": b"a" * 600}, {"loop": 0, "duration": 40, "disposal": 2}])
def test_the_first_frame_is_the_same_picture(frames, options):
    data = gif(frames, **options)
    found, several = first_frame(data)
    assert several == (frames > 1)
    assert np.array_equal(shown(found), shown(data))
    assert b"a" * 100 not in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "block",
    [
        b"!\xfe" + (b"\xff" + b"x" * 255) * 20_000 + b"\0",
        b"!\xff\x0bNETSCAPE2.0" + b"\1x" * 200_000 + b"\0",
        b"!\xfe\1x\0" * 100_000,
        b"!\xf9\4\0\0\0\0\0" * 50_000,
    ],
    ids=["a comment", "an application's data", "many comments", "many controls"],
)
def test_other_blocks_cost_no_memory_and_change_nothing(block):
    plain = gif(1)
    data = with_block(plain, block)
    tracemalloc.start()
    found, several = first_frame(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not several
    assert np.array_equal(shown(found), shown(plain))
    assert len(found) < len(plain) + 100
    assert peak < 1_000_000


@pytest.mark.parametrize("data", [b"GIF89a", gif(1)[:30], gif(1)[:-1], gif(3)[:200], b"GIF89a" + bytes(100)])
def test_a_file_that_is_cut_ends_nowhere_else(data):
    found, _ = first_frame(data)
    assert found[:13] == data[:13]


def test_a_frame_that_is_cut_is_not_taken_for_whole_because_its_last_byte_is_0():
    for seed in range(60):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "GIF")
        data = file.getvalue()
        whole = decode(data, max_pixels=10_000).rgb
        for missing in range(1, 9):
            try:
                found = decode(data[:-missing], max_pixels=10_000).rgb
            except BadRequest:
                continue
            assert np.array_equal(found, whole), (seed, missing)
