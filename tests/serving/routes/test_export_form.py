"""What an order of another file says; what mistakes in it are answered, test_assets.py asks over HTTP."""

import json
import re

import pytest
from starlette.requests import Request

from sam3d_bento.errors import BadRequest, UnsupportedMedia
from sam3d_bento.formats import FormatOptions
from sam3d_bento.options import PRESETS
from sam3d_bento.serving.routes import export_form

pytestmark = pytest.mark.anyio
FORM = "application/x-www-form-urlencoded"


def order(body=b"", media_type=""):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", media_type.encode())] if media_type else []
    headers.append((b"content-length", str(len(body)).encode()))
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    return Request(scope, receive)


async def test_an_empty_order_is_the_glb_as_it_is():
    for empty in (order(), order(b"{}", "application/json"), order(b"format=&target_faces=&up=", FORM)):
        assert await export_form.read(empty) == export_form.ExportInput("glb", {}, FormatOptions())


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"format": "stl", "target_faces": 2000, "compress": false}', "application/json"),
        (b'{"format": "stl", "target_faces": 2000, "compress": false}', "Application/JSON; charset=utf-8"),
        (b"format=stl&target_faces=2000&compress=false", FORM),
    ],
)
async def test_only_what_is_said_is_to_differ_from_the_result(body, media_type):
    """A value that happens to be the default is said as well: the result may have been made with another."""
    given = await export_form.read(order(body, media_type))
    assert (given.format, given.changes) == ("stl", {"target_faces": 2000, "compress": False})
    assert given.format_options == FormatOptions()


@pytest.mark.parametrize(
    ("body", "media_type"),
    [(b'{"preset": "game", "target_faces": 2000}', "application/json"), (b"preset=game&target_faces=2000", FORM)],
)
async def test_a_preset_changes_its_options_except_those_that_are_given(body, media_type):
    given = await export_form.read(order(body, media_type))
    assert given.changes == {**PRESETS["game"], "target_faces": 2000}


async def test_engine_options_cannot_be_changed_by_an_export():
    for name in ("seed", "quality", "shape"):
        with pytest.raises(BadRequest, match=f"no field '{name}'.*format, texture_size"):
            await export_form.read(order(json.dumps({name: "x"}).encode(), "application/json"))


async def test_a_number_is_a_number_in_json_and_a_text_in_a_form():
    assert (await export_form.read(order(b"target_faces=2000", FORM))).changes == {"target_faces": 2000}
    assert (await export_form.read(order(b"format=stl&longest_side=2.5", FORM))).changes == {"longest_side": 2.5}
    with pytest.raises(BadRequest, match="longest_side"):
        await export_form.read(order(b'{"format": "stl", "longest_side": "2.5"}', "application/json"))
    with pytest.raises(BadRequest, match="target_faces"):
        await export_form.read(order(b'{"target_faces": "2000"}', "application/json"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"format": "glb", "up": "z"}, "'up' does not go with the format 'glb', only with stl, ply"),
        ({"up": "z"}, "'up' does not go with the format 'glb'"),
        ({"height": 1, "longest_side": 0.1}, "'longest_side': send either 'height' or 'longest_side', not both"),
        ({"format": "ply", "height": 0}, "'height'"),
        ({"scale": "feet"}, "'scale'"),
        ({"format": "ply-splats", "up": "y"}, "'up'"),
        ({"format": "obj", "origin": "top"}, "'origin'"),
        ({"format": "stl", "up": "x"}, "'up'"),
        ({"format": "stl", "up": None}, "'up'"),
        ({"format": "stl", "longest_side": 0}, "'longest_side'"),
        ({"format": "stl", "longest_side": -1}, "'longest_side'"),
        ({"format": "stl", "longest_side": 10**400}, "'longest_side'"),
        ({"format": "stl", "longest_side": True}, "'longest_side'"),
        ({"format": "stl", "longest_side": float("nan")}, "'longest_side'"),
        ({"format": "stl", "longest_side": float("inf")}, "'longest_side'"),
        ({"format": ["stl"]}, "'format'"),
        ({"format": {}}, "'format'"),
        ({"format": "stl", "pivot": "base"}, "no field 'pivot'"),
    ],
)
async def test_an_option_of_a_format_goes_with_that_format_alone_and_within_its_range(body, said):
    with pytest.raises(BadRequest, match=re.escape(said)):
        await export_form.read(order(json.dumps(body).encode(), "application/json"))


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "0", "1001", "ten", "1e-9", "0x1"])
async def test_a_length_in_a_form_is_a_number_in_its_range(value):
    with pytest.raises(BadRequest, match="longest_side"):
        await export_form.read(order(f"format=stl&longest_side={value}".encode(), FORM))


async def test_an_order_nested_without_end_is_a_mistake_and_no_fault():
    with pytest.raises(BadRequest, match="JSON"):
        await export_form.read(order(b"[" * 100_000, "application/json"))


async def test_a_mistake_is_named_before_a_missing_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BadRequest, match="target_faces"):
        await export_form.read(order(b"format=usdz&target_faces=1", FORM))
    with pytest.raises(UnsupportedMedia, match="lacks the package usd-core"):
        await export_form.read(order(b"format=usdz", FORM))
