import io
import random

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import BadRequest
from sam3d_bento.photo.images import decode
from sam3d_bento.warning_codes import WarningCode
from tests.support.image_files import cut_out, encode, scene

LIMIT = 1_000_000


def read(data):
    return decode(data, max_pixels=LIMIT)


def gif(*, frames=1, **options):
    noise = np.random.default_rng(1).integers(0, 256, (37, 41), np.uint8)
    pictures = [Image.fromarray(noise).rotate(90 * n) for n in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=frames > 1, append_images=pictures[1:], **options)
    return file.getvalue()


PICTURES = {
    "noise": gif(),
    "interlaced": gif(interlace=1),
    "scene": encode(scene((40, 32)), "GIF"),
    "cut-out": encode(cut_out("P").resize((48, 36)), "GIF"),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[:-2],
        lambda data: data + b"appended",
        lambda data: data[:-1] + b"\x21\xfe\xffa comment that is cut",
        lambda data: data[:-1] + b"\x99" * 50,
    ],
    ids=["no trailer", "no end of blocks", "appended", "cut comment", "garbage behind"],
)
def test_a_picture_whose_codes_are_all_there_is_read(name, change):
    data = PICTURES[name]
    whole = read(data)
    photo = read(change(data))
    assert np.array_equal(photo.rgb, whole.rgb)
    assert (photo.alpha is None) == (whole.alpha is None)


@pytest.mark.parametrize("name", PICTURES)
def test_cuts_anywhere_are_refused_or_give_the_whole_picture(name):
    data = PICTURES[name]
    whole = read(data).rgb
    rng = random.Random(3)
    refused = 0
    for end in {*range(len(data) - 12, len(data)), *(rng.randrange(20, len(data)) for _ in range(40))}:
        try:
            assert np.array_equal(read(data[:end]).rgb, whole)
        except BadRequest:
            refused += 1
    assert refused > 30


def test_damage_behind_the_first_frame_does_not_matter():
    data = gif(frames=3)
    single = gif()
    third = [at for at in range(len(data)) if data.startswith(b"\x21\xf9\x04", at)][-1]
    photo = read(data[:third] + b"\xee" * 100)
    assert np.array_equal(photo.rgb, read(single).rgb)
    assert photo.warnings == (WarningCode.FIRST_FRAME_ONLY,)
