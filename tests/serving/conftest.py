import contextlib
import functools
import threading
import time

import pytest
from starlette.testclient import TestClient

from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.settings import Settings
from tests.support.waiting import PATIENCE


@pytest.hookimpl(tryfirst=True)  # before the marks are chosen by
def pytest_collection_modifyitems(items):
    """Mark the tests that start an engine process as tests of a server."""
    for item in items:
        if {"serve", "shared_service", "start_worker"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.server)


def settings_in(folder):
    return Settings(
        work_dir=folder / "work",
        output_dir=folder / "outputs",
        engine="preview",
        deadline_seconds=20,
        queue_limit=2,
    )


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture
def workdir(settings):
    workdir = WorkDir(settings.work_dir)
    workdir.claim()
    yield workdir
    workdir.close()


@pytest.fixture
def start_worker(settings, workdir):
    """A factory of started workers around fake_runner; all are stopped at the end."""
    started = []

    def start(
        loader="tests.support.fake_runner:FakeRunner",
        queue_while_loading=False,
        name="engine",
        exporter=None,
        **changes,
    ):
        changed = settings.model_copy(update=changes)
        worker = Worker(name, loader, changed, workdir, queue_while_loading=queue_while_loading, exporter=exporter)
        started.append(worker)
        worker.start()
        return worker

    yield start
    for worker in started:
        worker.stop()


@functools.cache
def application():
    """One for all tests: a second one would register BentoML's metrics twice. Each client's lifespan is its own."""
    from sam3d_bento import service

    return service.Sam3D.to_asgi()


@contextlib.contextmanager
def starting(settings):
    """Give a factory of clients of a running service. A start stops the one before: BentoML knows one at a time."""
    from sam3d_bento import service
    from sam3d_bento.serving import backend as backends
    from sam3d_bento.serving.routes import handlers

    clients = []

    def stop():
        while clients:
            clients.pop().__exit__(None, None, None)

    with pytest.MonkeyPatch.context() as patch:

        def start(
            loader="tests.support.fake_runner:FakeRunner",
            wait_for=(WorkerState.READY,),
            export_loader=backends.EXPORT_LOADER,
            **changes,
        ):
            stop()
            changed = settings.model_copy(update=changes)
            made = functools.partial(backends.Backend, engine_loader=loader, export_loader=export_loader)
            patch.setattr(service, "settings", changed)
            patch.setattr(service, "Backend", made)
            client = TestClient(application(), raise_server_exceptions=False)
            client.__enter__()
            clients.append(client)
            give_up = time.monotonic() + PATIENCE
            while handlers.backend().worker.state not in wait_for:
                assert time.monotonic() < give_up
                threading.Event().wait(0.01)
            return client

        try:
            yield start
        finally:
            stop()


@pytest.fixture
def serve(settings):
    """A factory of clients of a service that is this test's alone."""
    with starting(settings) as start:
        yield start


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory):
    """The client of one service for all tests of a file, and its settings. Such a file uses no `serve`."""
    settings = settings_in(tmp_path_factory.mktemp("shared"))
    with starting(settings) as start:
        yield start(), settings


@pytest.fixture
def anyio_backend():
    """What BentoML runs on."""
    return "asyncio"
