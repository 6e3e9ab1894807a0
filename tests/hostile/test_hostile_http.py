"""Hostile requests to a real server: it answers each with a refusal, and is afterwards as it was before."""

import contextlib
import io
import os
import random
import re
import select
import socket
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.support.malformed import corpus, findings
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.server

SAMPLE = 250  # of the corpus
SEED = 7
HEAD = "POST /api/mask HTTP/1.1\r\nHost: localhost\r\n"
FORM = "Content-Type: multipart/form-data; boundary=x\r\n"


def resident(pid):
    """Bytes of memory of the process and all below it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident, children))


def left_behind(server):
    return [path for path in server.work_dir.rglob("*") if path.is_file()]


def test_a_sample_of_the_malformed_pictures_costs_the_server_nothing(server):
    sample = random.Random(SEED).sample(list(corpus()), SAMPLE)  # in no order: both halves are alike
    with server.client() as client:
        held = None
        for n, (name, data) in enumerate(sample):
            files = {"image": ("photo", data), "mask": ("mask", data)}
            answer = client.post("/api/mask", files=files)
            assert answer.status_code < 500, name
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json", name
            if n % 10 == 0:
                options = {"target_faces": "1000", "texture_size": "512"}
                answer = client.post("/api/inference", files=files, data=options)
                assert answer.status_code < 500, (name, answer.text)
            if n == SAMPLE // 2:
                held = resident(server.process.pid)
        grown = resident(server.process.pid) - held
    assert grown < 60e6, "in the second half"
    assert left_behind(server) == []
    health = server.wait_until(200)
    assert (health["loads"], health["losses"]) == (1, 0)
    assert not server.log_lines("Traceback")


@pytest.mark.parametrize("make", findings(), ids=lambda make: make.__name__)
def test_picture_that_exhausted_the_decoder_is_a_400(server, make):
    answer = httpx.post(f"{server.url}/api/mask", files={"image": make(19_000_000)}, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def talk(server, *contents, quiet=None):
    """Send each on a connection of its own; what came back on each, until it was closed, or nothing came on any for
    `quiet` seconds."""
    host, port = server.url.removeprefix("http://").split(":")
    came = {}
    with contextlib.ExitStack() as stack:
        for content in contents:
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE))
            came[connection] = b""
            with contextlib.suppress(ConnectionError):  # it need not hear all of it
                connection.sendall(content)
        waiting = set(came)
        while waiting and (readable := select.select(waiting, [], [], quiet or PATIENCE)[0]):
            for connection in readable:
                chunk = b""
                with contextlib.suppress(ConnectionError):
                    chunk = connection.recv(65536)
                came[connection] += chunk
                if not chunk:
                    waiting.remove(connection)
    return list(came.values())


def statuses(came):
    return [int(code) for code in re.findall(rb"^HTTP/1\.1 (\d{3}) ", came, re.M)]


def part(disposition, content=b"1"):
    return b"--x\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + content + b"\r\n"


def posted(body, head=FORM):
    return (HEAD + head + f"Content-Length: {len(body)}\r\n\r\n").encode() + body


ESCAPE = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SMUGGLED = {
    "length and chunks": f"Content-Length: {len(ESCAPE) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{ESCAPE}",
    "chunks and length": f"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{ESCAPE}",
    "two lengths": f"Content-Length: 0\r\nContent-Length: {len(ESCAPE)}\r\n\r\n{ESCAPE}",
    "a list of lengths": f"Content-Length: 0, {len(ESCAPE)}\r\n\r\n{ESCAPE}",
    "a signed length": f"Content-Length: +{len(ESCAPE)}\r\n\r\n{ESCAPE}",
    "chunked, obfuscated": f"Transfer-Encoding: xchunked\r\nContent-Length: {len(ESCAPE)}\r\n\r\n{ESCAPE}",
    "chunked, twice": f"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{ESCAPE}",
    "a space before the colon": f"Content-Length : {len(ESCAPE)}\r\n\r\n{ESCAPE}",
    "a folded header": f"X: y\r\n Content-Length: 0\r\nContent-Length: {len(ESCAPE)}\r\n\r\n{ESCAPE}",
    "a chunk of negative size": f"Transfer-Encoding: chunked\r\n\r\n-1\r\n{ESCAPE}",
    "a chunk of enormous size": f"Transfer-Encoding: chunked\r\n\r\n{'f' * 40}\r\n{ESCAPE}",
    "a chunk with an extension": f'Transfer-Encoding: chunked\r\n\r\n1;{"a" * 100}="\n"\r\nx\r\n0\r\n\r\n',
    "a bare newline": f"Content-Length: 0\nX: y\r\n\r\n{ESCAPE}",
    "zeros in a header": "X: \0\r\nContent-Length: 0\r\n\r\n",
    "a head of a megabyte": "X: " + "y" * 1_000_000 + "\r\n\r\n",
    "ten thousand headers": "X: y\r\n" * 10_000 + "\r\n",
    "a length of 5000 digits": f"Content-Length: {'9' * 5000}\r\n\r\n",
}


def test_a_request_is_never_two_requests(server):
    """The server may refuse it, or read it in one way. With two ways to read its length, what follows it on the
    connection is not answered: a proxy before us that reads the other would hand that answer to somebody else."""
    head = HEAD + "Content-Type: image/png\r\n"
    answers = talk(server, *[(head + rest).encode() for rest in SMUGGLED.values()], quiet=3)
    for (name, rest), came in zip(SMUGGLED.items(), answers, strict=True):
        found = statuses(came)
        assert all(400 <= status < 500 for status in found), (name, came[:500])
        if rest.count("ontent-Length") > 1 or ("ransfer-Encoding" in rest and "ontent-Length" in rest):
            assert len(found) <= 1, (name, came)


FORMS = {
    "a header in a name": part(b'name="image\r\nX-Evil: 1"'),
    "a header in a file name": part(b'name="image"; filename="a\r\nX-Evil: 1"'),
    "an encoded header in a file name": part(b'name="image"; filename="a%0d%0aX-Evil: 1"'),
    "a path as a file name": part(b'name="image"; filename="../../../../tmp/evil.png"'),
    "a path as a name": part(b'name="../../../../tmp/evil"; filename="a"'),
    "a zero in a file name": part(b'name="image"; filename="a\0.png"'),
    "a name in many scripts": part('name="имя名字🖼"'.encode()),
    "a file name in many scripts": part(b"name=\"image\"; filename*=UTF-8''%F0%9F%96%BC.png"),
    "a name that is no text": part(b'name="\xff\xfe"'),
    "a name of 100 kB": part(b'name="' + b"n" * 100_000 + b'"'),
    "no name": part(b"filename=a"),
    "the photo twice": 2 * part(b'name="image"; filename="a"'),
    "no line ends": b'--xContent-Disposition: form-data; name="image"1--x--',
    "no end": part(b'name="image"; filename="a"')[:-2],
    "bare newlines": part(b'name="image"; filename="a"').replace(b"\r\n", b"\n"),
    "ten thousand fields": 10_000 * part(b'name="seed"'),
    "ten thousand files": 10_000 * part(b'name="image"; filename="a"'),
    "a thousand headers": b"--x\r\n" + 1000 * b"X: y\r\n" + b"\r\n\r\n",
    "an address": part(b'name="image"', b"http://169.254.169.254/latest/meta-data"),
    "nothing": b"",
}


@pytest.mark.parametrize("body", FORMS.values(), ids=list(FORMS))
def test_an_odd_form_is_a_4xx_that_writes_nothing_and_repeats_no_header(server, body):
    (came,) = talk(
        server, posted(body + b"--x--\r\n").replace(b"Host: localhost", b"Host: localhost\r\nConnection: close")
    )
    assert [status // 100 for status in statuses(came)] == [4], came[:500]
    assert b"\r\nX-Evil" not in came
    assert b"application/problem+json" in came
    assert left_behind(server) == []
    assert not Path("/tmp/evil.png").exists()


@pytest.mark.parametrize("boundary", ["", '"', "x" * 5000, "\xff", "x\tz", "--", "%0d%0a"])
def test_an_odd_boundary_is_a_4xx(server, boundary):
    head = f"Connection: close\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
    body = part(b'name="image"; filename="a"')
    (came,) = talk(server, (HEAD + head + f"Content-Length: {len(body)}\r\n\r\n").encode("latin-1") + body)
    assert [status // 100 for status in statuses(came)] == [4]


@pytest.mark.parametrize(
    "path",
    [
        "/api/assets/../../etc/passwd", "/api/assets/..%2f..%2fetc%2fpasswd.glb", "/api/assets/%2e%2e%2f.glb",
        "/api/assets/" + "a" * 60_000 + ".glb", "/api/assets/%00.glb", "/api/assets/%ff%fe.glb",
        "/api/jobs/%0d%0aX-Evil:1",        "/api/jobs/../../health/x", "//api//options",
        "/static/../../service.py", "/%2e%2e/service.py",
    ],
)  # fmt: skip
def test_a_path_leads_to_no_file_of_ours(server, path):
    for method in ("GET", "DELETE", "HEAD"):
        (came,) = talk(server, f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert [status // 100 for status in statuses(came)] == [4], came[:200]
        assert b"\r\nX-Evil" not in came
        assert b"root:" not in came
        assert b"import" not in came


def test_after_all_this_the_server_is_well(server):
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(file, "PNG")
    with server.client() as client:
        assert client.post("/api/inference", files={"image": file.getvalue()}).status_code == 422
    health = server.wait_until(200)
    assert (health["loads"], health["losses"]) == (1, 0)
    assert not server.log_lines("Traceback")
