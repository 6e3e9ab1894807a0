"""Compressed bodies: decoded within the limit, or refused by name."""

import asyncio
import gzip
import io
import os
import re
import tracemalloc
import zlib

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from sam3d_bento.errors import BadRequest, TooLarge
from sam3d_bento.serving.middleware.access_log import AccessLog
from sam3d_bento.serving.middleware.content_encoding import MAX_MEMBERS, ContentEncoding, decode
from sam3d_bento.serving.middleware.upload_limit import UploadLimit

LIMIT = 300_000
CONTENT = b"a photo" * 1000


def bare(content):
    """Compress without zlib's head and checksum, as some libraries do for `deflate`."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(content) + stream.flush()


async def echo(request):
    return Response(await request.body(), headers={"X-Seen": request.headers.get("content-encoding", "nothing")})


@pytest.fixture(scope="module")
def http():
    app = Starlette(routes=[Route("/", echo, methods=["GET", "POST"])])
    inner = ContentEncoding(app, LIMIT, {re.compile("/"): "Send less."})
    return TestClient(AccessLog(UploadLimit(inner, LIMIT)), raise_server_exceptions=True)


def post(http, content, encoding):
    return http.post("/", content=content, headers={"content-type": "image/png", "content-encoding": encoding})


ENCODED = {
    "gzip": ("gzip", gzip.compress(CONTENT)),
    "upper case": ("GZIP", gzip.compress(CONTENT, 1)),
    "its old name": ("x-gzip", gzip.compress(CONTENT)),
    "two members": ("gzip", gzip.compress(CONTENT[:99]) + gzip.compress(CONTENT[99:])),
    "padding": ("gzip", gzip.compress(CONTENT) + bytes(100)),
    "a line break after it": ("gzip", gzip.compress(CONTENT) + b"\r\n"),
    "deflate": ("deflate", zlib.compress(CONTENT)),
    "bare deflate": ("deflate", bare(CONTENT)),
    "two layers": ("gzip, deflate", zlib.compress(gzip.compress(CONTENT))),
    "a space before the comma": ("deflate ,gzip", gzip.compress(bare(CONTENT))),
    "identity": ("identity", CONTENT),
    "an empty header": ("", CONTENT),
    "identity after gzip": ("gzip, identity", gzip.compress(CONTENT)),
}


@pytest.mark.parametrize(("encoding", "body"), ENCODED.values(), ids=list(ENCODED))
def test_a_body_is_decoded(http, encoding, body):
    answer = post(http, body, encoding)
    assert answer.status_code == 200, answer.text
    assert answer.content == CONTENT


def test_inner_app_sees_no_content_encoding(http):
    assert post(http, gzip.compress(CONTENT), "gzip").headers["x-seen"] == "nothing"


def test_a_body_in_many_chunks_is_decoded(http):
    body = gzip.compress(os.urandom(150_000))
    answer = post(http, (body[n : n + 999] for n in range(0, len(body), 999)), "gzip")
    assert answer.content == gzip.decompress(body)


def test_two_headers_are_one_list(http):
    headers = [("content-encoding", "deflate"), ("content-encoding", "gzip")]
    assert http.post("/", content=gzip.compress(zlib.compress(CONTENT)), headers=headers).content == CONTENT


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("br", "br"), ("zstd", "zstd"), ("compress", "compress"), ("aws-chunked", "aws-chunked"), ("gzip, br", "br")],
)
def test_another_encoding_is_a_415_that_names_it_and_what_is_accepted(http, encoding, named):
    answer = post(http, b"x" * 100, encoding)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media")
    assert f"'{named}'" in answer.json()["detail"]
    assert answer.headers["accept-encoding"] == "gzip, deflate, identity"
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_request_without_a_body_has_no_encoding(http):
    assert http.get("/", headers={"content-encoding": "br"}).status_code == 200


def test_too_many_layers_are_a_415(http):
    assert post(http, b"x", ", ".join(["gzip"] * 1000)).status_code == 415


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress, bare])
def test_the_limit_counts_decoded_bytes(http, encode):
    encoding = "gzip" if encode is gzip.compress else "deflate"
    assert len(post(http, encode(bytes(LIMIT)), encoding).content) == LIMIT
    answer = post(http, encode(bytes(LIMIT + 1)), encoding)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert f"{LIMIT} bytes" in answer.json()["detail"]


def test_the_encoded_body_has_its_own_limit(http):
    assert post(http, gzip.compress(os.urandom(LIMIT + 1)), "gzip").status_code == 413


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_bomb_costs_no_more_memory_than_the_limit(layers):
    bomb = bytes(50_000_000)
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    tracemalloc.start()
    for _ in range(layers - 1):
        bomb = decode(bomb, "gzip", LIMIT)
    with pytest.raises(TooLarge):
        decode(bomb, "gzip", LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * LIMIT


def test_more_members_than_any_file_has_are_refused():
    assert decode(gzip.compress(b"") * MAX_MEMBERS, "gzip", LIMIT) == b""
    with pytest.raises(BadRequest, match="members"):
        decode(gzip.compress(b"") * (MAX_MEMBERS + 1), "gzip", LIMIT)


BROKEN = {
    "without its end": ("gzip", gzip.compress(CONTENT)[:-9], "cut short"),
    "all but its head is gone": ("gzip", gzip.compress(CONTENT)[:12], "cut short"),
    "zlib without its end": ("deflate", zlib.compress(CONTENT)[:-5], "cut short"),
    "another checksum": ("gzip", gzip.compress(CONTENT)[:-8] + bytes(8), "damaged"),
    "another inside": ("gzip", gzip.compress(CONTENT)[:10] + bytes([255] * 20), "damaged"),
    "only its first bytes": ("gzip", b"\x1f\x8bnot so", "damaged"),
}


@pytest.mark.parametrize(("encoding", "body", "problem"), BROKEN.values(), ids=list(BROKEN))
def test_a_body_that_is_not_whole_is_a_400(http, encoding, body, problem):
    answer = post(http, body, encoding)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert problem in answer.json()["detail"]


def plain(name):
    """Return a body that was never compressed: a picture of a format, a form, or nothing."""
    if name == "form":
        return b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n\0\r\n--b--\r\n'
    file = io.BytesIO()
    if name != "nothing":
        Image.radial_gradient("L").convert("RGB").save(file, name)
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "form", "nothing"])
def test_a_body_that_was_decoded_on_its_way_is_read_as_it_is(http, encoding, name):
    body = plain(name)
    assert post(http, body, encoding).content == body


def test_a_client_that_goes_away_is_noticed_inside():
    seen = []

    async def inner(scope, receive, send):
        try:
            await Request(scope, receive).body()
        except ClientDisconnect:
            seen.append("gone")

    messages = [
        {"type": "http.request", "body": gzip.compress(CONTENT)[:5], "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-encoding", b"gzip")]}
    asyncio.run(ContentEncoding(inner, LIMIT)(scope, receive, None))
    assert seen == ["gone"]


def test_messages_after_the_body_are_passed_on(http):
    """A handler that waits for the client's going away must not be given the body again, nor nothing."""

    async def twice(request):
        await request.body()
        return JSONResponse((await request.receive())["type"])

    app = ContentEncoding(Starlette(routes=[Route("/", twice, methods=["POST"])]), LIMIT)
    messages = [{"type": "http.request", "body": gzip.compress(CONTENT)}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    headers = [(b"content-encoding", b"gzip")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    asyncio.run(app(scope, receive, send))
    assert sent[1]["body"] == b'"http.disconnect"'


def test_the_refusal_of_what_is_too_large_when_decoded_has_the_advice_of_its_path(http):
    refused = post(http, gzip.compress(bytes(LIMIT + 1)), "gzip")
    assert refused.status_code == 413
    assert refused.json()["detail"] == f"The upload is larger than {LIMIT} bytes when it is decoded. Send less."
