import hashlib
import traceback
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from sam3d_bento.weights.download import Refused, download
from sam3d_bento.weights.part import BLOCK_BYTES, WeightsError, hold
from tests.support.weight_site import Page, Site

CONTENT = b"the right bytes " * 5000
TOKEN = "MarkerThatNobodySees"
BEARER = f"Bearer {TOKEN}"


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("sam3d_bento.weights.download.PAUSES_SECONDS", (0, 0))


@pytest.fixture
def elsewhere():
    """Another site."""
    site = Site()
    yield site
    site.close()


class Arriving:
    """The part of a file on its way to `place`, with some bytes already there."""

    def __init__(self, place):
        self.place = place

    @contextmanager
    def __call__(self, content=CONTENT, already=b""):
        sha256 = hashlib.sha256(content).hexdigest()
        with hold(self.place, len(content), sha256, waiting=lambda: None, on_progress=lambda received: None) as part:
            part.append(already)
            yield part


@pytest.fixture
def arriving(tmp_path):
    return Arriving(tmp_path / "net.onnx")


def get(site, arriving, content=CONTENT, already=b"", token=None):
    """Download /net. A wrong byte, or one too few, fails."""
    with arriving(content, already) as part:
        download(f"{site.address}/net", part, token)
        part.move_to(arriving.place)


def refused(site, arriving, **more):
    """How the download of /net fails, and how many bytes stay for the next run."""
    with arriving(already=more.pop("already", b"")) as part:
        with pytest.raises(WeightsError) as refusal:
            download(f"{site.address}/net", part, **more)
        return str(refusal.value), part.received


def test_a_cut_download_goes_on_with_the_same_version(site, arriving):
    site.pages["/net"] = Page(CONTENT, cuts=[1000, 500])
    get(site, arriving)
    assert site.ranges == [None, "bytes=1000-", "bytes=1500-"]
    assert [headers.get("If-Range") for _, headers in site.requests] == [None, '"version-1"', '"version-1"']


def test_bytes_of_an_earlier_run_are_not_requested_again(site, arriving):
    site.pages["/net"] = Page(CONTENT)
    get(site, arriving, already=CONTENT[:1000])
    assert site.ranges == ["bytes=1000-"]


def test_complete_file_makes_no_request(site, arriving):
    get(site, arriving, already=CONTENT)
    assert site.requests == []


def test_a_site_that_knows_no_ranges_begins_again(site, arriving):
    site.pages["/net"] = Page(CONTENT, ranges=False, cuts=[1000])
    get(site, arriving)
    assert site.ranges == [None, "bytes=1000-"]


def test_another_version_since_the_cut_begins_again(site, arriving):
    old = b"another version " * 5000

    site.pages["/net"] = [Page(old, cuts=[1000]), Page(CONTENT, etag='"version-2"')]
    get(site, arriving)
    assert site.ranges == [None, "bytes=1000-"]


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_strong_etag_the_hash_alone_decides(tag, site, arriving):
    site.pages["/net"] = Page(CONTENT, etag=tag, cuts=[1000])
    get(site, arriving)
    assert [headers.get("If-Range") for _, headers in site.requests] == [None, None]


def test_a_connection_that_keeps_dropping_is_given_up_and_what_came_is_kept(site, arriving):
    site.pages["/net"] = Page(CONTENT, cuts=[1000, 0, 0, 0])
    said, kept = refused(site, arriving)
    assert said == "the connection ended after 1,000 of 80,000 bytes"
    assert kept == 1000
    assert len(site.requests) == 3


def test_as_long_as_blocks_arrive_it_goes_on(site, arriving):
    content = bytes(6 * BLOCK_BYTES)
    site.pages["/net"] = Page(content, cuts=[BLOCK_BYTES] * 5)
    get(site, arriving, content)
    assert len(site.requests) == 6


def test_bytes_that_come_again_and_again_are_no_progress(site, arriving):
    content = bytes(2 * BLOCK_BYTES)
    site.pages["/net"] = Page(content, ranges=False, cuts=[BLOCK_BYTES] * 9)
    with arriving(content) as part, pytest.raises(WeightsError, match="connection ended"):
        download(f"{site.address}/net", part)
    assert len(site.requests) == 3, "one that brought a block, and two that brought nothing new"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_site_that_is_busy_is_asked_again(status, site, arriving):
    site.pages["/net"] = Page(status=status)
    said, _ = refused(site, arriving)
    assert said == f"the server answered {status} repeatedly"
    assert len(site.requests) == 3


def test_unreachable_server_is_a_sentence(arriving, elsewhere):
    elsewhere.close()
    assert refused(elsewhere, arriving) == ("Connection refused", 0)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(CONTENT[:-1]), "the file has 79,999 bytes instead of 80,000"),
        (Page(CONTENT + b"?"), "the file has 80,001 bytes instead of 80,000"),
        (Page(b"<html>sign in</html>", ranges=False), "the file has 20 bytes instead of 80,000"),
        (Page(status=404), "the server answered 404 (Not Found)"),
        (Page(status=204), "the server answered 204 (No Content)"),
        (Page(status=299), "the server answered 299 (not a standard status)"),
        (Page(status=206), "the server sent part of the file without a valid Content-Range"),
    ],
)
def test_response_that_cannot_be_the_file_keeps_the_bytes_that_arrived(page, reason, site, arriving):
    site.pages["/net"] = page
    assert refused(site, arriving, already=CONTENT[:1000]) == (reason, 1000)
    assert len(site.requests) == 1


def test_a_file_without_a_length_is_refused_when_it_goes_on(site, arriving):
    site.pages["/net"] = Page(CONTENT + b"?", headers={"Content-Length": None})
    assert refused(site, arriving) == ("the file is longer than 80,000 bytes", 0)


def test_a_body_that_says_itself_where_it_ends_is_no_beginning_of_the_file(site, arriving):
    chunked = {"Content-Length": None, "Transfer-Encoding": "chunked"}
    site.pages["/net"] = Page(b"4\r\nsign\r\n0\r\n\r\n", headers=chunked)
    assert refused(site, arriving) == ("the file has 4 bytes instead of 80,000", 0)


def test_another_range_than_asked_for_is_not_put_together(site, arriving):
    page = Page(CONTENT, status=206, headers={"Content-Range": f"bytes 5000-79999/{len(CONTENT)}"})
    site.pages["/net"] = page
    said, kept = refused(site, arriving, already=CONTENT[:1000])
    assert (said, kept) == ("the server sent a different part of the file than requested", 0)


def test_a_site_that_has_less_by_now_is_read_from_the_beginning(site, arriving):
    site.pages["/net"] = Page(CONTENT[:500])
    assert refused(site, arriving, already=CONTENT[:1000]) == ("the file has 500 bytes instead of 80,000", 0)
    assert site.ranges == ["bytes=1000-", None]


@pytest.mark.parametrize("place", ["http://192.0.2.1/net", "http://localhost.example.org/net"])
def test_nothing_but_https_is_followed(place, site, arriving):
    site.pages["/net"] = Page(status=302, headers={"Location": place})
    assert refused(site, arriving)[0] == "the address, or one that it redirects to, does not use https"
    with arriving() as part, pytest.raises(WeightsError, match="does not use https"):
        download(place, part)


@pytest.mark.parametrize("place", ["file:///etc/hostname", "ftp://192.0.2.1/net", "//[/net", ""])
def test_no_other_kind_of_place_is_followed(place, site, arriving):
    site.pages["/net"] = Page(status=302, headers={"Location": place})
    assert refused(site, arriving)[1] == 0


def test_the_token_goes_along_within_its_site_only(site, elsewhere, arriving):
    site.pages["/net"] = Page(status=307, headers={"Location": "/moved"})
    site.pages["/moved"] = Page(status=302, headers={"Location": f"{elsewhere.address}/stored"})
    elsewhere.pages["/stored"] = Page(status=302, headers={"Location": f"{elsewhere.address}/net"})
    elsewhere.pages["/net"] = Page(CONTENT)
    get(site, arriving, token=SecretStr(TOKEN))
    assert [headers.get("Authorization") for _, headers in site.requests] == [BEARER, BEARER]
    assert [headers.get("Authorization") for _, headers in elsewhere.requests] == [None, None]


def test_the_token_does_not_come_back_with_a_redirect_that_returns(site, elsewhere, arriving):
    site.pages["/net"] = Page(status=302, headers={"Location": f"{elsewhere.address}/net"})
    elsewhere.pages["/net"] = Page(status=302, headers={"Location": f"{site.address}/back"})
    site.pages["/back"] = Page(CONTENT)
    get(site, arriving, token=SecretStr(TOKEN))
    assert [headers.get("Authorization") for _, headers in site.requests] == [BEARER, None]


@pytest.mark.parametrize("status", [401, 403])
def test_refusing_server_is_identified(status, site, elsewhere, arriving):
    elsewhere.pages["/net"] = Page(status=status)
    site.pages["/net"] = Page(status=302, headers={"Location": f"{elsewhere.address}/net"})
    for asked, by_first in ((elsewhere, True), (site, False)):
        with arriving() as part, pytest.raises(Refused) as refusal:
            download(f"{asked.address}/net", part)
        assert (refusal.value.status, refusal.value.by_first) == (status, by_first)


@pytest.mark.parametrize(
    "page",
    [
        *(Page(TOKEN.encode(), status, reason=BEARER, headers={"X-Echo": BEARER}) for status in (400, 401, 403, 503)),
        Page(status=200, reason=BEARER, headers={"Content-Length": TOKEN}, body=TOKEN.encode()),
        Page(status=206, headers={"Content-Range": BEARER}),
        Page(status=f"{TOKEN} {BEARER}"),
        *(
            Page(status=302, reason=BEARER, headers={"Location": place})
            for place in (
                f"http://192.0.2.1/{TOKEN}",
                f"http://{TOKEN}/",
                f"file:///{TOKEN}",
                f"//[{TOKEN}/",
                f"https://{TOKEN}.invalid/",
                f"/net?{TOKEN}",
            )
        ),
    ],
    ids=lambda page: f"{page.status}-{page.headers}",
)
def test_a_server_that_echoes_the_token_gets_it_into_no_message(page, site, arriving):
    site.pages["/net"] = site.pages[f"/net?{TOKEN}"] = page
    with arriving() as part, pytest.raises(WeightsError) as refusal:
        download(f"{site.address}/net", part, SecretStr(TOKEN))
    assert TOKEN not in "".join(traceback.format_exception(refusal.value))
    assert TOKEN not in repr(refusal.value)
    assert site.requests[0][1]["Authorization"] == BEARER
