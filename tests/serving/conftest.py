import functools
import os
import threading
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from sam3d_bento.serving.workdir import WorkDir
from sam3d_bento.serving.worker import Worker
from sam3d_bento.serving.worker_state import State
from sam3d_bento.settings import Settings

PATIENCE = 30


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


@functools.cache
def application():
    """One for all tests: a second one would register BentoML's metrics twice. Each client's lifespan is its own."""
    import service

    return service.Sam3D.to_asgi()


@pytest.fixture
def serve(settings, find_fakes, monkeypatch):
    """A factory of clients of a running service. A start stops the one before: BentoML knows one at a time."""
    import service
    from sam3d_bento.serving import backend as backends
    from sam3d_bento.serving import routing

    clients = []

    def stop():
        while clients:
            clients.pop().__exit__(None, None, None)

    def start(loader="fake_runner:FakeRunner", wait_for=(State.READY,), **changes):
        stop()
        changed = settings.model_copy(update=changes)
        monkeypatch.setattr(service, "settings", changed)
        monkeypatch.setattr(service, "Backend", functools.partial(backends.Backend, engine_loader=loader))
        client = TestClient(application(), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        give_up = time.monotonic() + PATIENCE
        while routing.backend().worker.state not in wait_for:
            assert time.monotonic() < give_up
            threading.Event().wait(0.01)
        return client

    yield start
    stop()


@pytest.fixture
def anyio_backend():
    """What BentoML runs on."""
    return "asyncio"
