"""From a job to a stored result. The worker's part is played by the tests: they resolve the job's future."""

import asyncio

import pytest

from sam3d_bento.errors import Internal, NoObject, StorageFull
from sam3d_bento.serving.assets.folder import AssetFolder
from sam3d_bento.serving.reconstructor import Reconstructor, ended, log_fields
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Asset, Submission

pytestmark = pytest.mark.anyio
REPORT = {"engine": "fake", "seconds": {"decode": 0.1}, "gpu_peak_bytes": None}


@pytest.fixture
def job(tmp_path):
    """A job that has ended with an asset and a reconstruction."""
    job = Job(Submission(b"photo"), "the-request", lambda job: None)
    job.queue_seconds = 0.25
    job.reconstruction = tmp_path / "reconstruction"
    job.reconstruction.write_bytes(b"dense mesh")
    job.future.set_result(Asset(b"glTF model", REPORT))
    return job


def place(tmp_path, max_bytes=1000):
    return AssetFolder(tmp_path / "outputs", ttl_seconds=100, max_bytes=max_bytes)


def reconstructor(assets):
    return Reconstructor(None, assets, keep_reconstructions=True)


async def test_result_of_a_job_can_be_fetched_by_the_id_in_its_report(job, tmp_path):
    assets = place(tmp_path)
    made = await reconstructor(assets).finish(job)
    assert made.glb == b"glTF model"
    assert (await assets.get(made.report["id"])).path.read_bytes() == b"glTF model"
    assert (await assets.get(made.report["id"], "npz")).path.read_bytes() == b"dense mesh"
    assert made.report["request_id"] == "the-request"
    assert made.report["seconds"] == {"queue": 0.25, "decode": 0.1}
    assert "id" not in REPORT, "the asset's own report is left as it is"
    assert not job.reconstruction.exists(), "it was moved, not copied"


async def test_result_that_is_not_stored_has_a_report(job, tmp_path):
    made = await reconstructor(place(tmp_path)).finish(job, store=False)
    assert (made.report["request_id"], "id" in made.report) == ("the-request", False)
    assert not (tmp_path / "outputs").exists()


async def test_a_result_that_cannot_be_stored_is_said_without_a_path_and_leaves_no_file(job, tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    with pytest.raises(Internal) as fault:
        await reconstructor(place(tmp_path)).finish(job)
    assert str(tmp_path) not in fault.value.detail
    assert not job.reconstruction.exists()


async def test_no_room_is_said_as_such_and_leaves_no_file(job, tmp_path):
    with pytest.raises(StorageFull):
        await reconstructor(place(tmp_path, max_bytes=5)).finish(job)
    assert not job.reconstruction.exists()


async def test_a_job_that_kept_nothing_has_a_result_all_the_same(tmp_path):
    job = Job(Submission(b"photo"), "test", lambda job: None)
    job.future.set_result(Asset(b"glTF model", REPORT))
    made = await reconstructor(place(tmp_path)).finish(job)
    assert {path.suffix for path in (tmp_path / "outputs").iterdir()} == {".glb"}
    assert made.report["id"]


async def test_the_jobs_error_arrives_as_it_is(tmp_path):
    job = Job(Submission(b"photo"), "test", lambda job: None)
    job.future.set_exception(NoObject("Nothing here."))
    with pytest.raises(NoObject, match="Nothing here"):
        await reconstructor(place(tmp_path)).finish(job)


async def test_a_cancelled_wait_cancels_the_job():
    dropped = []
    job = Job(Submission(b"photo"), "test", dropped.append)
    waiting = asyncio.ensure_future(ended(job))
    await asyncio.wait({waiting}, timeout=0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert dropped == [job]


def test_the_log_has_the_engine_the_asset_and_how_long_each_stage_took():
    report = {**REPORT, "id": "an-id", "seconds": {"queue": 0.25, "decode": 0.1}}
    expected = {"engine": "fake", "asset": "an-id", "queue_seconds": 0.25, "decode_seconds": 0.1}
    assert log_fields(report) == {**expected, "gpu_peak_bytes": None}
