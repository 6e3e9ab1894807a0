import httpx
import pytest

from sam3d_bento.cli import local_service
from sam3d_bento.errors import NotReady
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.server


def test_temporary_service_answers_during_the_block_and_leaves_nothing(mask_model, monkeypatch, tmp_path):
    monkeypatch.setenv("SAM3D_ENGINE", "preview")
    monkeypatch.setenv("SAM3D_OUTPUT_URL", "s3://a-bucket/that-it-must-not-use")
    monkeypatch.setenv("SAM3D_API_KEYS_FILE", str(tmp_path / "nowhere"))
    with local_service.started() as own:
        own.wait_until_ready(PATIENCE)
        assert httpx.get(f"{own.url}/health").status_code == 200
        assert own.files() == []
        assert own.folder.is_dir()
    assert not own.running
    assert not own.folder.exists()


def test_process_that_cannot_start_gives_the_reason(monkeypatch):
    monkeypatch.setenv("SAM3D_QUEUE_LIMIT", "none")
    with local_service.started() as own, pytest.raises(NotReady, match="SAM3D_QUEUE_LIMIT"):
        own.wait_until_ready(PATIENCE)


def test_an_engine_that_cannot_load_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv("SAM3D_ENGINE", "sam3d")
    monkeypatch.setenv("SAM3D_CHECKPOINT_DIR", str(tmp_path))
    with local_service.started() as own, pytest.raises(NotReady, match="could not be loaded"):
        own.wait_until_ready(PATIENCE)
