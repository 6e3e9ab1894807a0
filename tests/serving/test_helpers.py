"""Helper processes: started when they are needed, gone when nobody uses them."""

import pytest

from sam3d_bento.errors import NotReady
from sam3d_bento.serving.helpers import Helpers
from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.submission import Submission
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def make(settings, workdir):
    loaders = iter(["tests.support.fake_runner:FakeRunner"] * 9)
    return lambda: Worker("mask", next(loaders), settings, workdir, queue_while_loading=True)


def end(helpers):
    helpers.close()
    for worker in helpers.workers:
        worker.stop()


@pytest.fixture
def helpers():
    helpers = Helpers(idle_seconds=0.3)
    yield helpers
    end(helpers)


@pytest.mark.slow
def test_a_helper_that_nobody_uses_ends_and_the_next_call_starts_another(helpers, make):
    first = helpers.get("mask", make)
    first.submit(Submission(b"nap:0"), "a").future.result(PATIENCE)
    assert helpers.get("mask", make) is first
    assert helpers.counts == {"mask": (1, 0)}
    until(lambda: helpers.workers == [])
    until(lambda: first.state is WorkerState.STOPPED)
    assert helpers.counts == {"mask": (1, 0)}
    second = helpers.get("mask", make)
    assert second is not first
    assert second.submit(Submission(b"nap:0"), "b").future.result(PATIENCE).glb == b"glTFnap:0"
    assert helpers.counts == {"mask": (2, 0)}


@pytest.mark.slow
def test_a_helper_with_a_job_stays_however_long_it_takes(helpers, make):
    helper = helpers.get("mask", make)
    assert helper.submit(Submission(b"nap:1.2"), "a").future.result(PATIENCE).glb == b"glTFnap:1.2"


def test_a_helper_whose_load_failed_is_let_go_and_tried_again(helpers, settings, workdir):
    failed = helpers.get("mask", lambda: Worker("mask", "tests.support.fake_runner:missing", settings, workdir))
    until(lambda: failed.state is WorkerState.FAILED)
    until(lambda: helpers.workers == [])


def test_after_the_close_none_is_started_and_those_that_run_can_be_stopped(make):
    helpers = Helpers(idle_seconds=600)
    worker = helpers.get("mask", make)
    helpers.close()
    for name in ("mask", "postprocess"):
        with pytest.raises(NotReady, match="shutting down"):
            helpers.get(name, make)
    end(helpers)
    assert worker.state is WorkerState.STOPPED
