"""Random files of many kinds: each gives the samples that were written, and each cut one is whole or refused."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.images import decode
from tests.support.png_files import CHANNELS, KINDS, png_chunk, png_of, transparent_colour
from tests.support.tiff_files import tiff_of

pytestmark = pytest.mark.properties

LIMIT = 1_000_000
CASES = 400


def read(data):
    return decode(data, max_pixels=LIMIT)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_random_png_gives_its_samples(seed):
    rng = np.random.default_rng(seed)
    colour_type, depth = KINDS[rng.integers(len(KINDS))]
    size = tuple(rng.integers(16, 90, 2))
    samples = rng.integers(0, 2**depth, (*size, CHANNELS[colour_type]))
    palette = rng.integers(0, 256, (2 ** min(depth, 8), 3), np.uint8)
    before = png_chunk(b"PLTE", palette.tobytes()) if colour_type == 3 else b""
    hidden = samples[0, 0]
    has_hidden = colour_type in (0, 2) and rng.random() < 0.5
    before += transparent_colour(*hidden) if has_hidden else b""
    photo = read(png_of(samples, depth, colour_type, interlaced=rng.random() < 0.5, before=before, seed=seed))
    expected = palette[samples[..., 0]] if colour_type == 3 else np.rint(samples * 255 / (2**depth - 1))
    colours = 3 if colour_type in (2, 3, 6) else 1
    assert np.array_equal(photo.rgb, np.broadcast_to(expected[..., :colours], (*size, 3)))
    if has_hidden:
        assert np.array_equal(photo.alpha == 0, (samples == hidden).all(axis=-1))
    elif colour_type in (4, 6):
        assert np.array_equal(photo.alpha, expected[..., -1])


@pytest.mark.parametrize("seed", range(CASES))
def test_a_random_tiff_gives_its_levels(seed):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["u1", "u2", "u4", "f2", "f4", "f8"])
    photometric = int(rng.integers(0, 3))
    colours, alpha = (3 if photometric == 2 else 1), bool(rng.integers(2))
    size = tuple(rng.integers(16, 90, 2))
    picture = rng.integers(0, 256, (*size, colours + alpha))
    picture[0, 0] = 255
    full = 1 if kind[0] == "f" else 2 ** (8 * int(kind[1])) - 1
    values = (picture / 255 * full).astype(kind) if kind[0] == "f" else np.rint(picture / 255 * full).astype(kind)
    packed = bool(rng.integers(2))
    options = {"packed": packed, "planar": bool(rng.integers(2)), "order": rng.choice(["<", ">"])}
    if packed:
        options["predictor"] = int(rng.choice([1, 3] if kind[0] == "f" else [1, 2]))
    options |= {"tile": (16 * int(rng.integers(1, 4)), 16)} if rng.integers(2) else {"rows": int(rng.integers(1, 90))}
    photo = read(tiff_of(values, photometric=photometric, tags=[(338, 3, (2,))] if alpha else [], **options))
    expected = 255 - picture[..., :colours] if photometric == 0 else picture[..., :colours]
    assert np.array_equal(photo.rgb, np.broadcast_to(expected, (*size, 3)))
    if alpha:
        assert np.array_equal(photo.alpha, picture[..., -1])


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("kind", ["JPEG", "GIF", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_cut_file_is_whole_or_refused(kind, seed):
    rng, draw = np.random.default_rng(seed), random.Random(seed)
    size = tuple(rng.integers(16, 120, 2))
    noise = rng.integers(0, 256, (*size, 3), np.uint8)
    smooth = np.asarray(Image.fromarray(noise[:4, :4]).resize(size[::-1], Image.Resampling.BICUBIC))
    options = {}
    if kind == "JPEG":
        options = {
            "quality": draw.choice((30, 75, 95)),
            "progressive": draw.random() < 0.5,
            "subsampling": draw.randrange(3),
        }
        options |= {"restart_marker_blocks": draw.randrange(1, 9)} if draw.random() < 0.5 else {}
    if kind == "WEBP":
        options = {"lossless": draw.random() < 0.5}
    file = io.BytesIO()
    Image.fromarray(draw.choice((noise, smooth))).save(file, kind, **options)
    data = file.getvalue()
    whole = read(data).rgb
    for end in [*range(len(data) - 10, len(data)), *(draw.randrange(len(data)) for _ in range(30))]:
        try:
            photo = read(data[:end]) if end > 40 else None
        except BadRequest:
            continue
        assert photo is None or np.array_equal(photo.rgb, whole), f"cut at {end} of {len(data)}"
