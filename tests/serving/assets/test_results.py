import pytest

from sam3d_bento.errors import Internal, StorageFull
from sam3d_bento.serving.assets import results
from sam3d_bento.serving.assets.folder import AssetFolder
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Asset, Submission

pytestmark = pytest.mark.anyio
REPORT = {"engine": "fake", "seconds": {"decode": 0.1}, "gpu_peak_bytes": None}


@pytest.fixture
def job(tmp_path):
    job = Job(Submission(b"photo"), "the-request", lambda job: None)
    job.queue_seconds = 0.25
    (tmp_path / "reconstruction").write_bytes(b"dense mesh")
    job.reconstruction = (tmp_path / "reconstruction").open("rb")
    return job


@pytest.fixture
def asset():
    """Of each test its own: others look whether any stays in memory."""
    return Asset(b"glTF model", REPORT)


def place(tmp_path, max_bytes=1000):
    return AssetFolder(tmp_path / "outputs", ttl_seconds=100, max_bytes=max_bytes)


async def test_what_a_job_made_can_be_fetched_under_the_id_in_its_report(job, asset, tmp_path):
    assets = place(tmp_path)
    report = await results.store(assets, job, asset)
    assert (await assets.get(report["id"])).path.read_bytes() == b"glTF model"
    assert (await assets.get(report["id"], "npz")).path.read_bytes() == b"dense mesh"
    assert report["request_id"] == "the-request"
    assert report["seconds"] == {"queue": 0.25, "decode": 0.1}
    assert "id" not in asset.report, "the asset's own report is left as it is"
    assert job.reconstruction.closed


async def test_a_result_that_cannot_be_stored_is_said_without_a_path_and_holds_no_file(job, asset, tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    with pytest.raises(Internal) as fault:
        await results.store(place(tmp_path), job, asset)
    assert str(tmp_path) not in fault.value.detail
    assert job.reconstruction.closed


async def test_no_room_is_said_as_such_and_holds_no_file(job, asset, tmp_path):
    with pytest.raises(StorageFull):
        await results.store(place(tmp_path, max_bytes=5), job, asset)
    assert job.reconstruction.closed


async def test_a_job_that_kept_nothing_has_a_result_all_the_same(asset, tmp_path):
    job = Job(Submission(b"photo"), "test", lambda job: None)
    report = await results.store(place(tmp_path), job, asset)
    assert {path.suffix for path in (tmp_path / "outputs").iterdir()} == {".glb"}
    assert report["id"]


def test_the_log_tells_the_engine_the_asset_and_how_long_each_stage_took():
    report = {**REPORT, "id": "an-id", "seconds": {"queue": 0.25, "decode": 0.1}}
    expected = {"engine": "fake", "asset": "an-id", "queue_seconds": 0.25, "decode_seconds": 0.1}
    assert results.log_fields(report) == {**expected, "gpu_peak_bytes": None}
