import random
import zlib

import pytest

from sam3d_bento.photo.readers.inflated import Inflated

DATA = random.Random(1).randbytes(300_000) + bytes(700_000)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_pieces_of_any_size_are_the_stream(level):
    stream, rng = Inflated(zlib.compress(DATA, level)), random.Random(2)
    position = 0
    while position < len(DATA):
        count = min(rng.choice((1, 7, 1000, 100_000)), len(DATA) - position)
        assert stream.read(count) == DATA[position : position + count]
        position += count
    assert stream.read(1) is None
    assert stream.read(0) == b""


@pytest.mark.parametrize("tail", [b"", b"abcd", b"abcdefgh"])
def test_the_checksum_does_not_matter(tail):
    assert Inflated(zlib.compress(DATA)[:-4] + tail).read(len(DATA)) == DATA


def test_missing_bytes_are_none():
    packed = zlib.compress(DATA)
    assert Inflated(packed[: len(packed) // 2]).read(len(DATA)) is None
    assert Inflated(packed[:1000] + b"\xff" * 1000).read(len(DATA)) is None
    assert Inflated(b"").read(1) is None
