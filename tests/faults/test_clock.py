"""Jumps of the wall clock."""

import os
import re
import time
from pathlib import Path

import pytest

import sam3d_bento
from sam3d_bento.errors import NotFound
from sam3d_bento.serving.assets.folder import AssetFolder

pytestmark = pytest.mark.anyio
READS_THE_WALL_CLOCK = re.compile(r"\btime\.time\(|datetime\.now\(|utcnow\(")
DAY = 86_400


@pytest.fixture
def anyio_backend():
    return "asyncio"


def test_only_what_outlives_the_process_asks_the_wall_clock():
    """Deadlines, waits, progress and estimates are monotonic. Results have expiry times that hold over restarts, in a
    folder and in a bucket with its credentials; a job tells when it was made."""
    package = Path(sam3d_bento.__file__).parent
    asking = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if READS_THE_WALL_CLOCK.search(path.read_text())
    }
    assert asking == {
        f"serving/{name}.py" for name in ("assets/folder", "assets/bucket", "assets/credentials", "job_status")
    }


async def test_when_the_clock_jumps_back_results_stay_and_forward_they_expire(tmp_path, monkeypatch):
    store = AssetFolder(tmp_path, ttl_seconds=100, max_bytes=1000)
    asset = await store.put(b"glTF")
    now = time.time()
    monkeypatch.setattr("sam3d_bento.serving.assets.folder.time.time", lambda: now - DAY)
    assert store.sweep() == 0
    found = await store.get(asset)
    assert found.expires_in_seconds <= 100, "no client is told to keep it for longer than it was promised"
    monkeypatch.setattr("sam3d_bento.serving.assets.folder.time.time", lambda: now + DAY)
    with pytest.raises(NotFound):
        await store.get(asset)
    assert store.sweep() == 1


async def test_a_file_from_the_future_is_kept_no_longer_than_others_from_now_on(tmp_path):
    """What was stored before the clock was set back."""
    store = AssetFolder(tmp_path, ttl_seconds=100, max_bytes=1000)
    asset = await store.put(b"glTF")
    path = (await store.get(asset)).path
    os.utime(path, (time.time() + DAY,) * 2)
    assert store.sweep() == 0
    assert abs(path.stat().st_mtime - time.time()) < 10, "its time begins now"
