import hashlib
import http.server
import json
import os
import stat
import threading

import pytest

from sam3d_bento import weight_sets
from sam3d_bento.weight_sets import WeightFile, WeightSet
from sam3d_bento.weight_sources import Url, WeightsError, Wheel
from sam3d_bento.weights import fetch, verify

CONTENT = b"the right bytes " * 5000
NAME = "net.onnx"


class Site:
    """A web site on the loopback address; `pages` maps a path to a body, or to (status, headers, body)."""

    def __init__(self):
        self.pages = {}
        self.requests = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                site.requests.append(self.path)
                page = site.pages.get(self.path, (404, {}, b""))
                status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
                self.send_response(status)
                for name, value in ({"Content-Length": len(body)} | headers).items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path):
        return Url(f"http://127.0.0.1:{self.server.server_port}{path}")


@pytest.fixture
def site():
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.fixture
def offer(monkeypatch, tmp_path):
    """Make the sources given the ones of a set named "test", whose only file is CONTENT."""

    def offer(*sources, name=NAME, others=(), **fields):
        file = WeightFile(name, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "MIT", sources)
        weight_set = WeightSet(lambda settings: tmp_path, (*others, file), **fields)
        monkeypatch.setitem(weight_sets.SETS, "test", weight_set)

    return offer


def get(folder):
    said = []
    paths = fetch("test", folder, said.append)
    return paths, said


def test_a_file_is_fetched_verified_and_readable_by_others(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    offer(site.url("/net"))
    paths, said = get(tmp_path / "new" / "folder")
    assert paths == [tmp_path / "new" / "folder" / NAME]
    assert paths[0].read_bytes() == CONTENT
    assert verify("test", paths[0].parent) == []
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o666 & ~umask
    assert "verified" in said[-1]


def test_a_right_file_is_used_again_without_any_network(site, offer, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT)
    offer(site.url("/net"), Wheel("no-such-package-anywhere==1.0", "net.onnx"))
    assert get(tmp_path)[0] == [tmp_path / NAME]
    assert site.requests == []


@pytest.mark.parametrize("wrong", [b"", CONTENT[:-1], CONTENT[:-1] + b"?"], ids=["empty", "short", "other"])
def test_a_wrong_file_is_found_and_replaced(wrong, site, offer, tmp_path):
    (tmp_path / NAME).write_bytes(wrong)
    site.pages["/net"] = CONTENT
    offer(site.url("/net"))
    (fault,) = verify("test", tmp_path)
    assert fault.name == NAME
    assert fault.kind == ("sha256" if len(wrong) == len(CONTENT) else "size")
    _, said = get(tmp_path)
    assert fault.sentence in said[0]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_missing_file_is_a_fault(offer, tmp_path):
    offer()
    (fault,) = verify("test", tmp_path / "nowhere")
    assert fault.kind == "missing"
    assert NAME in fault.sentence


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (CONTENT[:-1], "bytes; it should have"),
        ((200, {"Content-Length": len(CONTENT)}, CONTENT[:1000]), "bytes; it should have"),
        (CONTENT[:-1] + b"?", "another content"),
        (CONTENT + b"?", "longer than"),
        (b"<html>sign in</html>", "bytes; it should have"),
        ((404, {}, b""), "404"),
        ((302, {"Location": "http://192.0.2.1/net"}, b""), "not https"),
        ((302, {"Location": "file:///etc/hostname"}, b""), "not allowed"),
    ],
    ids=["short", "cut", "other", "long", "login", "gone", "plain-redirect", "file-redirect"],
)
def test_wrong_bytes_never_land(page, reason, site, offer, tmp_path):
    site.pages["/net"] = page
    offer(site.url("/net"))
    with pytest.raises(WeightsError, match=reason):
        get(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_stays_when_nothing_better_is_had(site, offer, tmp_path):
    (tmp_path / NAME).write_bytes(b"old")
    offer(site.url("/gone"))
    with pytest.raises(WeightsError):
        get(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_the_next_source_is_tried_and_every_failure_is_told(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    offer(site.url("/gone"), site.url("/net"))
    get(tmp_path)
    assert site.requests == ["/gone", "/net"]

    offer(site.url("/gone"), Url("http://example.org/net"), Url("ftp://example.org/net"))
    (tmp_path / NAME).unlink()
    with pytest.raises(WeightsError) as caught:
        get(tmp_path)
    for part in ("/gone", "404", "http://example.org/net is not https", "ftp://example.org/net is not https"):
        assert part in str(caught.value)


def test_a_redirect_to_a_good_place_is_followed(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    site.pages["/moved"] = (302, {"Location": "/net"}, b"")
    offer(site.url("/moved"))
    get(tmp_path)
    assert verify("test", tmp_path) == []


def test_an_unknown_set_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(WeightsError, match=r"'masks'.*mask"):
        fetch("masks", tmp_path, print)
    with pytest.raises(WeightsError):
        verify("masks", tmp_path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(offer, tmp_path):
    offer()
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WeightsError, match="folder"):
        get(tmp_path / "file" / "below")


def test_a_name_may_have_a_folder(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    offer(site.url("/net"), name="depth/net.pt")
    assert get(tmp_path)[0] == [tmp_path / "depth" / "net.pt"]
    assert (tmp_path / "depth" / "net.pt").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "depth").iterdir()] == ["net.pt"], "no partial file is left"
    assert verify("test", tmp_path) == []


def test_what_has_no_source_is_told_after_the_rest_was_fetched(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    gated = [WeightFile(name, 3, hashlib.sha256(b"abc").hexdigest(), "gated", ()) for name in ("one.ckpt", "two.ckpt")]
    elsewhere = "Ask Meta: put them into the folder."
    offer(site.url("/net"), others=gated, present=("code/main.py",), elsewhere=elsewhere)
    (tmp_path / "two.ckpt").write_bytes(b"ab")
    with pytest.raises(WeightsError) as refusal:
        get(tmp_path)
    for said in ("one.ckpt", "two.ckpt", "code/main.py", elsewhere):
        assert said in str(refusal.value)
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [(fault.name, fault.kind) for fault in verify("test", tmp_path)] == [
        ("one.ckpt", "missing"),
        ("two.ckpt", "size"),
        ("code/main.py", "missing"),
    ]

    for gated_file in gated:
        (tmp_path / gated_file.name).write_bytes(b"abc")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "main.py").touch()
    assert len(get(tmp_path)[0]) == 3
    assert verify("test", tmp_path) == []


def test_without_reading_the_size_alone_decides(offer, tmp_path):
    offer()
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"?")
    assert verify("test", tmp_path, contents=False) == []
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    (fault,) = verify("test", tmp_path, contents=False)
    assert fault.kind == "size"
    assert f"{len(CONTENT) - 1:,} bytes; it should have {len(CONTENT):,}" in fault.sentence


def test_a_folders_own_manifest_decides_for_it(site, offer, tmp_path):
    offer(site.url("/net"), takes_manifest=True, present=("code/main.py",))
    tiny = {"size": 4, "sha256": hashlib.sha256(b"tiny").hexdigest()}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"tiny/net.pt": tiny}}))
    (fault,) = verify("test", tmp_path)
    assert (fault.name, fault.kind) == ("tiny/net.pt", "missing")
    with pytest.raises(WeightsError, match=r"tiny/net\.pt.*manifest\.json"):
        get(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "net.pt").write_bytes(b"tiny")
    assert verify("test", tmp_path) == []
    assert site.requests == []
