"""Large pictures take turns over processes; small ones do not wait."""

import contextlib
import subprocess
import sys
import time

import pytest

from sam3d_bento.errors import Cancelled
from sam3d_bento.photo.decode_lock import LARGE_PIXELS, DecodeLock

HOLD = """
import sys, time
from pathlib import Path
from sam3d_bento.photo.decode_lock import LARGE_PIXELS, DecodeLock
with DecodeLock(Path(sys.argv[1])).turn(LARGE_PIXELS, lambda: None):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock, and its path."""
    path = tmp_path / "decode.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield process, path
    process.kill()
    process.wait()


def stop():
    raise Cancelled("The job was cancelled.")


def test_large_pictures_take_turns(holder):
    _, path = holder
    with pytest.raises(Cancelled), DecodeLock(path).turn(LARGE_PIXELS, stop):
        pytest.fail("another process has the turn")


def test_a_small_picture_does_not_wait(holder):
    _, path = holder
    with DecodeLock(path).turn(LARGE_PIXELS - 1, stop):
        pass


def test_a_killed_holder_frees_the_turn(holder):
    process, path = holder
    process.kill()
    process.wait()
    with DecodeLock(path).turn(LARGE_PIXELS, stop):
        pass


def test_a_holder_that_hangs_is_waited_for_no_longer_than_the_limit(holder):
    _, path = holder
    started, waits = time.monotonic(), []
    with DecodeLock(path, wait_seconds=0.2).turn(LARGE_PIXELS, lambda: waits.append(1)):
        assert 0.2 <= time.monotonic() - started < 5
    assert waits


def test_the_turn_ends_with_an_error_of_its_block(tmp_path):
    lock = DecodeLock(tmp_path / "decode.lock")
    with contextlib.suppress(ZeroDivisionError), lock.turn(LARGE_PIXELS, stop):
        raise ZeroDivisionError
    with lock.turn(LARGE_PIXELS, stop):
        pass


def test_nobody_waits_without_a_lock(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "missing" / "decode.lock", tmp_path / "link"):
        with DecodeLock(path).turn(LARGE_PIXELS, stop):
            pass
    assert not (tmp_path / "elsewhere").exists()
