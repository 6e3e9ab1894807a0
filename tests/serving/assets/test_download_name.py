import json
import struct
from email.message import Message
from email.utils import collapse_rfc2231_value

import pytest

from sam3d_bento import names
from sam3d_bento.export.glb import container
from sam3d_bento.serving.assets import download_name
from tests.support import finished

NAMES = ["chair", "Red chair, no. 3", "стул", "椅子", "كرسي", "🪑", "50% off", "it's; a=b", "a,b", "naïve"]


def saved_as(header):
    """The file's name as a client that knows RFC 6266 reads it (None: as the other), and as one that does not."""
    message = Message()
    message["Content-Disposition"] = header
    values = [value for key, value in message.get_params(header="content-disposition") if key == "filename"]
    full = next((collapse_rfc2231_value(value) for value in values if isinstance(value, tuple)), None)
    return full, next(value for value in values if isinstance(value, str))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_script_is_read_from_the_header(name):
    header = download_name.content_disposition("attachment", name, "glb")
    assert header.isascii()
    assert header.isprintable()
    full, plain = saved_as(header)
    assert (full or plain) == f"{name}.glb"
    assert plain.endswith(".glb")
    assert "%" not in plain, "some browsers decode it"


def test_both_forms_are_there_where_they_differ_and_one_where_not():
    assert download_name.content_disposition("attachment", "chair", "obj.zip") == 'attachment; filename="chair.obj.zip"'
    assert (
        download_name.content_disposition("inline", "стул", "usdz")
        == "inline; filename=\"____.usdz\"; filename*=UTF-8''%D1%81%D1%82%D1%83%D0%BB.usdz"
    )


def test_the_name_is_read_from_the_beginning_of_the_glb():
    glb = finished.glb(options=finished.OPTIONS.model_copy(update={"name": "стул"}))
    assert len(glb) > download_name.HEAD_BYTES
    assert download_name.of_glb(glb[: download_name.HEAD_BYTES]) == "стул"


def glb_with(extras):
    return container.join({"asset": {"extras": extras}}, b"")


@pytest.mark.parametrize(
    "glb",
    [
        b"",
        b"glTF",
        b"a model of no kind at all, but long enough",
        glb_with({}),
        glb_with({"name": 7}),
        glb_with([]),
        container.join({"asset": []}, b""),
        glb_with({"name": "chair"})[:-20],
        struct.pack("<4sIII4s", b"glTF", 2, 99, 10**9, b"JSON"),
        struct.pack("<4sIII4s", b"glTF", 2, 99, 60_000, b"JSON") + b"[" * 60_000,
    ],
    ids=range(10),
)
def test_what_has_no_name_has_the_name_of_all_such(glb):
    assert download_name.of_glb(glb) == names.UNNAMED


def test_a_name_in_a_foreign_file_is_cleaned():
    for name in ("../../x\r\nSet-Cookie: a=1", "\u202etxt", "x" * 50_000):
        header = download_name.content_disposition("attachment", download_name.of_glb(glb_with({"name": name})), "glb")
        assert header.isascii()
        assert header.isprintable()
        assert len(header) < 1000
    assert json.loads('"\\ud800"') == "\ud800"
    half = glb_with({"name": "?"}).replace(b'"?"', b'"\\ud800"')
    assert download_name.of_glb(half) == names.UNNAMED
