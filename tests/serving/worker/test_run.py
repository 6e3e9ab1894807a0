"""A job's run, in a real engine process around fake_runner."""

import os
import signal

import pytest

from sam3d_bento.errors import DeadlineExceeded, EngineLost, NoObject, NotReady, StorageFull
from sam3d_bento.serving.worker.engine_process import EngineProcess, Waker, load
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.messages import Done, Ready, Start
from sam3d_bento.serving.worker.run import run
from sam3d_bento.submission import Submission


@pytest.fixture
def engine(settings):
    """A loaded engine process."""
    engine = EngineProcess()
    loaded = load(engine.pipe, Start("tests.support.fake_runner:FakeRunner", settings), Waker(), lambda: False, 30.0)
    assert isinstance(loaded, Ready)
    yield engine
    engine.end(0.0)


@pytest.fixture
def run_one(engine, workdir):
    """Run one job; it, and how it ended."""

    def run_one(photo, *, keep_reconstruction=False, deadline_seconds=30.0, interruption=lambda: None):
        job = Job(Submission(photo.encode()), "test", lambda job: None, keep_reconstruction=keep_reconstruction)
        return job, run(engine, job, workdir, deadline_seconds, Waker(), interruption)

    return run_one


def dead(engine):
    return engine.process.poll() is not None


def test_a_run_hands_over_its_result_and_what_it_kept_and_leaves_no_directory(run_one, engine, workdir):
    job, outcome = run_one("nap:0", keep_reconstruction=True)
    assert outcome.result.glb == b"glTFnap:0"
    assert job.reconstruction.read_bytes() == b"reconstruction of nap:0"
    assert list(workdir.path.iterdir()) == [job.reconstruction], "its directory is gone"
    assert job.submission is None
    assert not job.future.done(), "how the job ends is its worker's to say"
    assert not dead(engine)


def test_reconstruction_is_not_kept_unless_requested(run_one):
    job, outcome = run_one("nap:0")
    assert isinstance(outcome, Done)
    assert job.reconstruction is None


def test_a_refusal_costs_nothing_but_the_job(run_one, engine, workdir):
    job, outcome = run_one("refuse", keep_reconstruction=True)
    assert isinstance(outcome, NoObject)
    assert job.reconstruction is None
    assert isinstance(run_one("nap:0")[1], Done)
    assert list(workdir.path.iterdir()) == []
    assert not dead(engine)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("photo", "loss"), [("hang", DeadlineExceeded), ("poison", EngineLost), ("litter:crash", EngineLost)]
)
def test_a_loss_leaves_neither_a_process_that_could_write_nor_a_directory(run_one, engine, workdir, photo, loss):
    job, outcome = run_one(photo, deadline_seconds=0.5)
    assert isinstance(outcome, loss)
    assert dead(engine)
    assert list(workdir.path.iterdir()) == []
    assert job.submission is None


def test_a_process_that_is_stopped_in_its_tracks_is_ended_too(run_one, engine):
    os.kill(engine.process.pid, signal.SIGSTOP)
    assert isinstance(run_one("nap:0", deadline_seconds=0.2)[1], DeadlineExceeded)
    assert dead(engine)


def test_an_interruption_leaves_the_process_to_the_worker(run_one, engine, workdir):
    job, outcome = run_one("nap:60", interruption=lambda: NotReady("The service is shutting down."))
    assert isinstance(outcome, NotReady)
    assert not dead(engine), "the worker ends it, with some grace"
    assert list(workdir.path.iterdir()) == []
    assert job.submission is None


def test_without_a_directory_nothing_runs_and_the_client_hears_no_path(run_one, engine, workdir):
    workdir.path.rmdir()
    workdir.path.write_text("a file where the folder was")
    job, outcome = run_one("crash")
    assert isinstance(outcome, StorageFull)
    assert str(workdir.path) not in outcome.detail
    assert job.submission is None
    assert not dead(engine)
    workdir.path.unlink()
