import os
from pathlib import Path

import pytest

from sam3d_bento.serving.workdir import WorkDir
from sam3d_bento.serving.worker import Worker
from sam3d_bento.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(
        work_dir=tmp_path / "work",
        output_dir=tmp_path / "outputs",
        engine="preview",
        deadline_seconds=20,
        queue_limit=2,
    )


@pytest.fixture
def find_fakes(monkeypatch):
    """Engine processes started by the test can import tests/serving/fake_runner.py."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))


@pytest.fixture
def workdir(settings):
    workdir = WorkDir(settings.work_dir)
    workdir.claim()
    yield workdir
    workdir.close()


@pytest.fixture
def start_worker(settings, workdir, find_fakes):
    """A factory of started workers around fake_runner; all are stopped at the end."""
    started = []

    def start(loader="fake_runner:FakeRunner", **changes):
        worker = Worker("engine", loader, settings.model_copy(update=changes), workdir)
        started.append(worker)
        worker.start()
        return worker

    yield start
    for worker in started:
        worker.stop()


@pytest.fixture
def anyio_backend():
    """What BentoML runs on."""
    return "asyncio"
