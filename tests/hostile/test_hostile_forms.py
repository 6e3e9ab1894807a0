"""Any text in any field, any form, any mask: a valid value, or a refusal that names the field."""

import asyncio
import json
import re
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from starlette.requests import Request

from sam3d_bento.errors import BadRequest, NoObject, NotFound, RequestError, shown
from sam3d_bento.formats import FORMATS
from sam3d_bento.options import EXPORT_OPTIONS, Options
from sam3d_bento.photo import masks, weak_parts
from sam3d_bento.reconstruction import Photo
from sam3d_bento.serving.assets.folder import AssetFolder
from sam3d_bento.serving.jobs import IDEMPOTENCY_KEY
from sam3d_bento.serving.routes import export_form, upload_form

THOROUGH = settings(max_examples=300, deadline=timedelta(seconds=5), derandomize=True, database=None)
TEXT = some.text(max_size=60)
NO_NUMBERS = ["nan", "inf", "-0", "1e3", "1_000", "0x10", "٣", "1024.0", "1024 ", "true", "TRUE", "9" * 5000]
ODD = [
    "",
    "null",
    '""',
    '"',
    "[]",
    "{}",
    "\0",
    "\r\nX-Evil: 1",
    "../../etc/passwd",
    "http://[::1]/",
    "draft\n",
    "💥" * 40,
]
ODD_TEXT = TEXT | some.sampled_from(NO_NUMBERS + ODD)


def outcome(function, *arguments):
    """The refusal or the result; any other error passes, and fails the test."""
    try:
        return None, function(*arguments)
    except RequestError as refusal:
        return refusal, None


@THOROUGH
@given(name=some.sampled_from(sorted(Options.model_fields)), text=ODD_TEXT)
def test_any_text_in_an_option_is_a_valid_value_or_named(name, text):
    refusal, options = outcome(upload_form.options_of, {name: text})
    if refusal:
        assert name in refusal.detail
        assert len(refusal.detail) < 1000
    else:
        assert Options.model_validate(options.model_dump()) == options


@THOROUGH
@given(name=ODD_TEXT)
def test_any_other_name_of_a_field_is_refused_in_one_printable_line(name):
    if name in Options.model_fields:
        return
    with pytest.raises(BadRequest) as refusal:
        upload_form.options_of({name: "1"})
    assert refusal.value.detail.isprintable()
    assert shown(name) in refusal.value.detail


def read(body, content_type, query=b"", reader=upload_form.read):
    """Read a request as the server would."""
    chunks = [{"type": "http.request", "body": body, "more_body": False}]
    headers = [(b"content-type", content_type)]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query, "headers": headers, "app": None}

    async def receive():
        return chunks.pop(0) if chunks else {"type": "http.disconnect"}

    return asyncio.run(reader(Request(scope, receive)))


NAMES = (
    some.sampled_from(["image", "file", "mask", "seed", "quality", "response", "../image", "imáge", "i\0", ""]) | TEXT
)
LINE = some.sampled_from([b"\r\n", b"\n", b"\r", b"", b"\r\n\r\n"])
EVIL = some.sampled_from(
    ['"', '\\"', "; name=image", "\r\nX-Evil: 1", "%0d%0a", "../../../etc/passwd", "C:\\x", "é", "\0"]
)


@some.composite
def part(draw):
    head = [f'Content-Disposition: form-data; name="{draw(NAMES)}"'.encode()]
    if draw(some.booleans()):
        head[0] += f'; filename="{draw(TEXT)}{draw(EVIL)}"'.encode()
    head += draw(some.lists(some.sampled_from([
        b"Content-Type: image/png", b"Content-Type: text/plain; charset=no-such", b"Content-Transfer-Encoding: base64",
        b"Content-Disposition: form-data; name=image", b"no colon", b": empty", b"X: " + b"y" * 5000,
    ]), max_size=3))  # fmt: skip
    return draw(LINE).join(head) + draw(LINE) + draw(LINE) + draw(some.binary(max_size=40)) + draw(LINE)


@some.composite
def form(draw):
    boundary = draw(some.sampled_from([b"x", b"", b"--", b"x" * 300, b"a b", b'"q"', b"\xff", b"x; charset=utf-7"]))
    lead = draw(some.sampled_from([b"--", b"-", b"", b"\r\n--"]))
    parts = [lead + boundary + draw(LINE) + draw(part()) for _ in range(draw(some.integers(0, 4)))]
    tail = draw(some.sampled_from([b"--" + boundary + b"--\r\n", b"--" + boundary, b"", b"garbage"]))
    return b"".join(parts) + tail, b"multipart/form-data" + draw(
        some.sampled_from([b"; boundary=", b";boundary="])
    ) + boundary


@pytest.mark.slow
@settings(THOROUGH, max_examples=400)
@given(form=form())
def test_any_form_is_read_or_refused(form):
    refusal, given = outcome(read, *form)
    assert refusal.status in (400, 415) if refusal else given.submission.photo


@THOROUGH
@given(body=some.binary(max_size=200), content_type=some.binary(max_size=60), query=some.binary(max_size=60))
def test_any_body_of_any_type_is_read_or_refused(body, content_type, query):
    refusal, given = outcome(read, body, content_type, query)
    assert refusal.status in (400, 415) if refusal else given.submission.photo


@pytest.mark.parametrize("name", ["image", "mask", "seed"])
def test_a_field_sent_ten_thousand_times_is_refused(name):
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n1\r\n' % name.encode() for _ in range(10_000)
    )
    with pytest.raises(BadRequest):
        read(parts + b"--x--\r\n", b"multipart/form-data; boundary=x")


JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=9),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=9), inner, max_size=3),
)


@pytest.mark.slow
@THOROUGH
@given(name=some.sampled_from(["format", *EXPORT_OPTIONS]) | TEXT, value=JSON)
def test_any_json_for_an_export_is_a_valid_order_or_refused(name, value):
    refusal, order = outcome(read, json.dumps({name: value}).encode(), b"application/json", b"", export_form.read)
    assert refusal.status == 400 if refusal else order.format in FORMATS


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, b'{"seed":' + b"9" * 5000 + b"}", b"\xff"]
)
def test_json_that_is_too_deep_or_too_long_is_refused(body):
    with pytest.raises(BadRequest):
        read(body, b"application/json", b"", export_form.read)


@pytest.mark.slow
@THOROUGH
@given(asset_id=some.text(max_size=40) | some.from_regex(r"[0-9a-fA-F./\\%]{30,34}"))
def test_no_text_but_an_id_reaches_the_disk(tmp_path_factory, asset_id):
    store = AssetFolder(tmp_path_factory.getbasetemp() / "outputs" / "deeper", 100, 1000)
    with pytest.raises(NotFound):
        asyncio.run(store.get(asset_id))


@THOROUGH
@given(key=some.text(max_size=220) | some.binary(max_size=220).map(lambda raw: raw.decode("latin-1")))
def test_an_idempotency_key_is_printable_ascii(key):
    accepted = IDEMPOTENCY_KEY.fullmatch(key) is not None
    assert accepted == (1 <= len(key) <= 200 and bool(re.fullmatch(r"[ -~]*\Z", key)))


PIXELS = some.binary(min_size=400, max_size=400)


@pytest.mark.slow
@THOROUGH
@given(levels=PIXELS, alpha=some.none() | PIXELS)
def test_any_uploaded_mask_selects_something_and_not_everything_or_is_refused(levels, alpha):
    grey = np.frombuffer(levels, np.uint8).reshape(20, 20)
    photo = Photo(np.zeros((20, 20, 3), np.uint8), None, (20, 20), ())
    veil = None if alpha is None else np.frombuffer(alpha, np.uint8).reshape(20, 20)
    uploaded = Photo(np.repeat(grey[..., None], 3, axis=2), veil, (20, 20), ())
    try:
        mask = masks.isolate(photo, uploaded, None)
    except NoObject:
        return
    assert mask.pixels.shape == (20, 20)
    assert masks.MIN_UPLOAD_PIXELS <= mask.pixels.sum() <= masks.MAX_UPLOAD_COVERAGE * 400
    assert mask.coverage == pytest.approx(mask.pixels.mean())


@pytest.mark.slow
@THOROUGH
@given(levels=PIXELS, size=some.sampled_from([(20, 20), (400, 1), (1, 400), (100, 4)]))
def test_any_answer_of_the_model_is_cleaned_to_a_part_of_it(levels, size):
    soft = np.frombuffer(levels, np.uint8).reshape(size)
    pixels, others = masks.clean(soft)
    assert pixels.shape == others.shape == soft.shape
    assert not (pixels & others).any()
    assert (soft[others] >= weak_parts.WEAK).all()


@THOROUGH
@given(
    size=some.tuples(some.integers(16, 40), some.integers(16, 40)),
    other=some.tuples(some.integers(16, 40), some.integers(16, 40)),
)
def test_a_mask_of_any_other_size_is_refused_naming_both(size, other):
    if size == other:
        return
    photo, mask = (Photo(np.zeros((high, wide, 3), np.uint8), None, (wide, high), ()) for wide, high in (size, other))
    with pytest.raises(BadRequest, match=rf"{other[0]} × {other[1]} .* {size[0]} × {size[1]};"):
        masks.isolate(photo, mask, None)
