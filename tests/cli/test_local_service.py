import threading
import time

import httpx
import pytest

from sam3d_bento.cli import local_service
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.server


def test_it_answers_while_the_block_lasts_and_leaves_nothing(mask_model, monkeypatch, tmp_path):
    monkeypatch.setenv("SAM3D_ENGINE", "preview")
    monkeypatch.setenv("SAM3D_OUTPUT_URL", "s3://a-bucket/that-it-must-not-use")
    monkeypatch.setenv("SAM3D_API_KEYS_FILE", str(tmp_path / "nowhere"))
    give_up = time.monotonic() + PATIENCE
    with local_service.started() as own:
        while True:
            assert own.running, own.last_words()
            assert time.monotonic() < give_up, own.last_words()
            try:
                if httpx.get(f"{own.url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            threading.Event().wait(0.05)
        assert own.files() == []
        assert own.folder.is_dir()
    assert not own.running
    assert not own.folder.exists()
