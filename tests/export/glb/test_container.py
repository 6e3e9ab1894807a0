import struct

import pytest

from sam3d_bento.errors import BadRequest
from sam3d_bento.export.glb import container

DOCUMENT = {"asset": {"version": "2.0", "extras": {"word": "naïve", "number": 0.1}}}


@pytest.mark.parametrize("data", [b"", b"\0\1\2\3", bytes(range(256))])
def test_joined_parts_can_be_split(data):
    glb = container.join(DOCUMENT, data)
    assert container.split(glb) == (DOCUMENT, data)
    assert struct.unpack_from("<4sII", glb) == (b"glTF", 2, len(glb))
    assert len(glb) % 4 == 0


def test_a_file_without_a_binary_chunk_has_no_data():
    glb = container.join(DOCUMENT, b"")[:-8]
    assert container.split(glb[:8] + struct.pack("<I", len(glb)) + glb[12:]) == (DOCUMENT, b"")


def test_a_number_that_is_none_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        container.join({"scale": float("nan")}, b"")


@pytest.mark.parametrize("content", [b"", b"glTF", b"x" * 100, b"glTF" + bytes(100), b"{}", bytes(range(256)) * 4])
def test_file_that_is_not_a_glb_is_refused(content):
    with pytest.raises(BadRequest, match="not a binary glTF"):
        container.split(content)


def test_a_file_that_ends_too_soon_is_refused_wherever_it_ends():
    glb = container.join(DOCUMENT, b"\0\1\2\3")
    for end in range(len(glb)):
        with pytest.raises(BadRequest, match="not a binary glTF"):
            container.split(glb[:end])


@pytest.mark.parametrize("text", [b"[1]", b"null", b'"glTF"', b"{", b"\xff\xfe\xfd\xfc", b"[" * 100_000])
def test_a_document_that_is_no_object_is_refused(text):
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text
    with pytest.raises(BadRequest, match="not a binary glTF"):
        container.split(struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body)
