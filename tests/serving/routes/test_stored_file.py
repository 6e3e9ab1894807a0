"""How the files of results are served: by a running service, from a folder that others may write."""

import asyncio
import os
import time

import pytest

from sam3d_bento.serving.request_context import backend
from tests.support import odd_files, waiting

GLB = bytes(range(256)) * 4000


@pytest.fixture
def http(shared_service):
    return shared_service[0]


@pytest.fixture
def settings(shared_service):
    return shared_service[1]


@pytest.fixture
def link(http):
    """The address of a stored result of 1,024,000 bytes."""
    return f"/api/assets/{asyncio.run(backend().assets.put(GLB))}.glb"


def place(link, settings):
    return settings.output_dir / link.rsplit("/", 1)[-1]


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        (None, 200, GLB),
        ("bytes=0-9", 206, GLB[:10]),
        ("bytes=1000000-", 206, GLB[1_000_000:]),
        ("bytes=-5", 206, GLB[-5:]),
        ("bytes=300000-900000", 206, GLB[300_000:900_001]),
        ("bytes=0-99999999", 206, GLB),
        ("bytes=2000000-", 416, None),
    ],
)
def test_a_range_of_it_and_its_head(http, link, wanted, status, content):
    headers = {} if wanted is None else {"range": wanted}
    answer, head = http.get(link, headers=headers), http.head(link, headers=headers)
    assert (answer.status_code, head.status_code) == (status, status)
    if content is not None:
        assert answer.content == content
        assert answer.headers["content-length"] == head.headers["content-length"] == str(len(content))
        assert head.content == b""
        assert answer.headers["accept-ranges"] == "bytes"


def test_several_ranges_come_in_parts(http, link):
    answer = http.get(link, headers={"range": "bytes=0-3,500000-500003"})
    assert answer.status_code == 206
    assert answer.headers["content-type"].startswith("multipart/byteranges")
    assert GLB[:4] in answer.content
    assert GLB[500_000:500_004] in answer.content
    assert answer.headers["content-length"] == str(len(answer.content))


def test_a_range_of_another_version_is_the_whole(http, link):
    etag = http.head(link).headers["etag"]
    for tag, status in ((etag, 206), ('"another"', 200)):
        assert http.get(link, headers={"range": "bytes=0-9", "if-range": tag}).status_code == status


@pytest.mark.parametrize("make", odd_files.KINDS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_irregular_file_is_not_found(http, link, settings, make, method):
    path = place(link, settings)
    path.unlink()
    make(path)
    start = time.monotonic()
    answer = http.request(method, link)
    assert answer.status_code == 404
    assert time.monotonic() - start < 10, "it does not wait for a writer"
    assert os.path.lexists(path), "it is not ours to remove"


def test_forty_requests_for_a_fifo_leave_the_service_well(http, link, settings):
    path = place(link, settings)
    path.unlink()
    os.mkfifo(path)
    assert {http.get(link).status_code for _ in range(40)} == {404}
    assert http.get("/health").status_code == 200


@pytest.mark.parametrize("make", odd_files.KINDS)
def test_a_picture_and_a_reconstruction_that_are_none_are_not_there(http, link, settings, make):
    for suffix in (".webp", ".npz"):
        make(place(link, settings).with_suffix(suffix))
        (settings.output_dir / "target-of-link").unlink(missing_ok=True)

    async def found():
        async with backend().assets.local(link[-36:-4], "glb", "npz", "webp") as files:
            return set(files)

    assert asyncio.run(found()) == {"glb"}


def test_a_result_that_is_removed_before_its_answer_begins_is_a_404_and_no_cut_body(http, link, settings, monkeypatch):
    from sam3d_bento.serving.routes import stored_file

    opened = stored_file.open_regular

    def removed_before(path):
        path.unlink()
        return opened(path)

    monkeypatch.setattr(stored_file, "open_regular", removed_before)
    answer = http.get(link)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_result_that_is_removed_while_it_is_sent_is_sent_whole(http, link, settings, monkeypatch):
    from sam3d_bento.serving.routes import stored_file

    read = stored_file._Reader.read
    removed = []

    async def removed_meanwhile(reader, size):
        if not removed:
            removed.append(place(link, settings).unlink())
        return await read(reader, size)

    monkeypatch.setattr(stored_file._Reader, "read", removed_meanwhile)
    assert http.get(link).content == GLB
    assert removed
    assert http.get(link).status_code == 404


def test_no_descriptor_stays_open(http, link):
    def descriptors():
        return sum("outputs" in os.readlink(f"/proc/self/fd/{name}") for name in _open_now())

    for headers in ({}, {"range": "bytes=0-9"}, {"range": "bytes=9999999-"}, {"range": "nonsense"}):
        http.get(link, headers=headers)
        http.head(link, headers=headers)
    waiting.until(lambda: descriptors() == 0)  # a storage thread closes the last one after the answer


def _open_now():
    for name in os.listdir("/proc/self/fd"):
        if os.path.lexists(f"/proc/self/fd/{name}"):
            yield name
