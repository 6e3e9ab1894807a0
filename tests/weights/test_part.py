import hashlib
import os
import resource
import stat
import threading

import pytest

from sam3d_bento.weights.part import BLOCK_BYTES, WeightsError, hold

CONTENT = b"the right bytes " * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "net.onnx"


def held(place, content=CONTENT, waiting=lambda: None, on_progress=lambda received: None):
    return hold(place, len(content), hashlib.sha256(content).hexdigest(), waiting=waiting, on_progress=on_progress)


def names(place):
    return [path.name for path in place.parent.iterdir()]


def test_a_file_gets_its_name_only_when_it_is_whole(place):
    arrived = []
    with held(place, on_progress=arrived.append) as part:
        part.append(CONTENT[:1000])
        assert names(place) == [f".net.onnx.{SHA256[:8]}.part"]
        with pytest.raises(WeightsError, match=r"the file has 1,000 bytes instead of 80,000"):
            part.move_to(place)
        part.append(CONTENT[1000:])
        assert not place.exists()
        part.move_to(place)
    assert names(place) == ["net.onnx"]
    assert place.read_bytes() == CONTENT
    assert arrived == [1000, 80_000]


def test_fetched_file_is_readable_by_others(place):
    with held(place) as part:
        part.append(CONTENT)
        part.move_to(place)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(place.stat().st_mode) == 0o666 & ~umask


def test_the_next_run_goes_on_where_one_broke_off(place):
    with held(place) as part:
        part.append(CONTENT[:1000])
    assert not place.exists()
    with held(place) as part:
        assert part.received == 1000
        part.append(CONTENT[1000:])
        part.move_to(place)
    assert place.read_bytes() == CONTENT


def test_a_part_of_another_version_is_not_continued(place):
    with held(place, b"another version" * 1000) as part:
        part.append(b"another")
    with held(place) as part:
        assert part.received == 0


def test_a_wrong_byte_is_refused_with_both_hashes_and_forgotten(place):
    wrong = CONTENT[:-1] + b"?"
    with held(place) as part:
        part.append(wrong)
        with pytest.raises(WeightsError) as refusal:
            part.move_to(place)
        assert part.received == 0
    assert str(refusal.value) == f"the file's SHA-256 is {hashlib.sha256(wrong).hexdigest()} instead of {SHA256}"
    assert names(place) == []


def test_a_byte_too_many_is_refused_and_all_forgotten(place):
    with held(place) as part:
        part.append(CONTENT)
        with pytest.raises(WeightsError, match="longer than 80,000 bytes"):
            part.append(b"?")
    assert names(place) == []


def test_a_part_that_is_longer_than_the_file_is_discarded(place):
    place.with_name(f".net.onnx.{SHA256[:8]}.part").write_bytes(CONTENT + b"?")
    with held(place) as part:
        assert part.received == 0
        part.append(CONTENT)
        part.move_to(place)
    assert place.read_bytes() == CONTENT


def test_an_empty_part_is_removed(place):
    with held(place):
        pass
    assert names(place) == []


def test_a_second_one_waits_and_never_writes_into_the_finished_file(place):
    waits = threading.Event()
    found = []

    def second():
        with held(place, waiting=waits.set) as part:
            found.append((part.received, place.read_bytes()))
            part.append(b"junk")

    with held(place) as part:
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        part.append(CONTENT)
        part.move_to(place)
    thread.join(10)
    assert found == [(0, CONTENT)]
    assert place.read_bytes() == CONTENT


def test_a_second_one_goes_on_with_what_the_first_left(place):
    waits = threading.Event()
    found = []

    def second():
        with held(place, waiting=waits.set) as part:
            found.append(part.received)

    with held(place) as part:
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(10)
        part.append(CONTENT[:1000])
    thread.join(10)
    assert found == [1000]


def test_half_a_block_on_a_full_disk_does_not_count(place):
    """The disk took a part of the block: what comes next must follow the bytes that were hashed."""
    content = bytes(2 * BLOCK_BYTES)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with held(place, content) as part:
        part.append(content[:BLOCK_BYTES])
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK_BYTES + 1000, hard))
            with pytest.raises(OSError, match="too large"):
                part.append(content[BLOCK_BYTES:])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert part.received == BLOCK_BYTES
        part.append(content[BLOCK_BYTES:])
        part.move_to(place)
    assert place.read_bytes() == content
