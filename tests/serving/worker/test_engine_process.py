"""The service's side of the protocol, over a real pipe whose other end the test holds."""

import pickle
import socket
import threading
import time
from pathlib import Path

import pytest

from sam3d_bento.errors import Cancelled, DeadlineExceeded, EngineLost, NoObject, NotReady
from sam3d_bento.serving.worker import engine_process
from sam3d_bento.serving.worker.__main__ import Pipe
from sam3d_bento.serving.worker.channel import Channel
from sam3d_bento.serving.worker.engine_process import EngineProcess, Waker, converse, load
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.messages import (
    Alive,
    Cancel,
    Done,
    Failed,
    HandedOver,
    LoadFailed,
    Progress,
    Ready,
    RunJob,
    Start,
)
from sam3d_bento.settings import Settings
from sam3d_bento.submission import RunnerInfo, Submission
from tests.support.waiting import PATIENCE


@pytest.fixture
def job():
    return Job(Submission(b"photo"), "test", lambda job: None)


@pytest.fixture
def ends():
    """Of one pipe: the engine's socket, then the service's channel."""
    engine, service = socket.socketpair()
    yield engine, Channel(service, 10_000)
    engine.close()
    service.close()


@pytest.fixture
def engine(ends):
    """The end that the engine process would hold."""
    return Pipe(ends[0])


@pytest.fixture
def hold(ends, job):
    """Hold the conversation about `job`; its outcome."""

    def hold(deadline_seconds=30.0, interruption=lambda: None):
        task = RunJob(job.id, job.submission, Path())
        return converse(ends[1], task, job, deadline_seconds, Waker(), interruption)

    return hold


def test_the_task_is_sent_its_progress_kept_and_its_end_returned(hold, job, engine):
    engine.send(Progress(job.id, "mask", 0.5))
    engine.send(Done(job.id, b"the result"))
    assert hold().result == b"the result"
    assert engine.receive().submission == job.submission
    assert job.progress == ("mask", 0.5)


def test_an_error_of_the_run_is_its_end(hold, job, engine):
    engine.send(Failed(job.id, NoObject("Nothing.")))
    assert isinstance(hold(), NoObject)


def test_a_cancelled_job_is_told_to_the_engine_once_and_the_engine_has_the_last_word(hold, job, engine):
    job.cancelled.set()
    engine.send(Progress(job.id, "mask", 0.5))
    engine.send(Progress(job.id, "mask", 0.6))
    engine.send(Failed(job.id, Cancelled("It was.")))
    assert isinstance(hold(), Cancelled)
    assert isinstance(engine.receive(), RunJob)
    assert engine.receive() == Cancel(job.id)
    assert not engine.poll()


def test_silence_ends_at_the_deadline(hold):
    outcome = hold(deadline_seconds=0.05)
    assert isinstance(outcome, DeadlineExceeded)
    assert "0.05 seconds" in outcome.detail


def test_a_closed_pipe_is_a_lost_engine(hold, ends):
    ends[0].close()
    assert isinstance(hold(), EngineLost)


def test_an_answer_for_another_job_is_never_handed_out(hold, engine):
    engine.send(Done("another", b"somebody else's result"))
    assert isinstance(hold(), EngineLost)


def test_a_handover_that_was_not_asked_for_is_a_lost_engine(hold, job, engine):
    """There is no memory that the exporter could read."""
    engine.send(HandedOver(job.id))
    assert isinstance(hold(), EngineLost)


def test_the_deadline_counts_from_the_start_of_the_whole_run(hold, job):
    job.started = time.monotonic() - 29.9
    begun = time.monotonic()
    assert isinstance(hold(deadline_seconds=30.0), DeadlineExceeded)
    assert time.monotonic() - begun < 15, "not 30 seconds from now"


def test_an_interruption_ends_it_whatever_the_engine_says(hold, job, engine):
    engine.send(Done(job.id, b"too late"))
    outcome = hold(interruption=lambda: NotReady("The service is shutting down."))
    assert outcome.detail == "The service is shutting down."


NO_MESSAGES = {
    "a pickle": b"\x80\x04\x95\x1a\x00\x00\x00.",
    "an empty frame": b"",
    "no JSON": b"\0\0\0\1{",
    "an unknown kind": b"\0\0\0\x11" + b'{"type": "other"}',
}


@pytest.mark.parametrize("content", NO_MESSAGES.values(), ids=NO_MESSAGES)
def test_invalid_message_is_a_lost_engine(hold, load_it, ends, content):
    for outcome in (hold, load_it):
        ends[0].sendall(len(content).to_bytes(8) + content)
        assert isinstance(outcome(), EngineLost)


def test_a_frame_that_is_too_long_is_a_lost_engine(hold, ends):
    ends[0].sendall((10_001).to_bytes(8))
    assert isinstance(hold(), EngineLost)


def test_half_a_message_holds_up_nobody_beyond_the_deadline(hold, ends):
    ends[0].sendall((9_000).to_bytes(8) + b"half")
    assert isinstance(hold(deadline_seconds=0.05), DeadlineExceeded)


START = Start("module:attribute", Settings(engine="preview"))
READY = Ready(RunnerInfo("fake", "fake/1", "cpu", ("JPEG",)))


@pytest.fixture
def load_it(ends):
    """Ask for the load; how it ended."""

    def load_it(stopped=lambda: False, silence_seconds=30.0):
        return load(ends[1], START, Waker(), stopped, silence_seconds)

    return load_it


def test_load_message_is_sent_and_the_engine_answers_ready(load_it, engine):
    engine.send(Alive())
    engine.send(READY)
    assert load_it() == READY
    assert engine.receive() == START


def test_a_load_that_raised_ends_with_the_engines_own_reason(load_it, engine):
    engine.send(LoadFailed(NotReady("The weights are missing.")))
    loaded = load_it()
    assert isinstance(loaded, LoadFailed)
    assert loaded.error.detail == "The weights are missing."


def test_a_death_while_loading_is_a_loss(load_it, ends):
    ends[0].close()
    assert isinstance(load_it(), EngineLost)


def test_an_engine_that_speaks_of_something_else_while_it_loads_is_lost(load_it, engine):
    engine.send(Done("a job", b"a result"))
    assert isinstance(load_it(), EngineLost)


def test_a_load_that_falls_silent_is_a_loss(load_it, engine):
    engine.send(Alive())
    assert "sent nothing for 0.05 seconds" in load_it(silence_seconds=0.05).detail


def test_a_load_that_only_lives_is_a_loss_too(load_it, engine, monkeypatch):
    monkeypatch.setattr(engine_process, "LOAD_LIMIT_SILENCES", 2)
    over = threading.Event()

    def beat():
        while not over.wait(0.01):
            engine.send(Alive())

    beats = threading.Thread(target=beat)
    beats.start()
    try:
        assert "still loading after 0.4 seconds" in load_it(silence_seconds=0.2).detail
    finally:
        over.set()
        beats.join()


def test_nobody_waits_for_a_load_after_the_stop(ends):
    waker = Waker()
    waker.wake()
    assert load(ends[1], START, waker, lambda: True, 30.0) is None


@pytest.fixture
def pipe(ends):
    """Both ends; the second is the one to wait for."""
    return ends


def returns(waker, pipe):
    """Whether a wait without a limit comes back."""
    waiting = threading.Thread(target=waker.wait, args=(pipe,), daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    return not waiting.is_alive()


def test_a_message_ends_the_wait_and_is_left_to_be_read(pipe):
    theirs, ours = pipe
    theirs.sendall(bytes(7) + b"\4news")
    assert returns(Waker(), ours)
    assert bytes(ours.receive()) == b"news"


def test_a_closed_pipe_ends_the_wait(pipe):
    theirs, ours = pipe
    theirs.close()
    assert returns(Waker(), ours)


def test_another_thread_ends_the_wait(pipe):
    waker = Waker()
    threading.Timer(0.05, waker.wake).start()
    assert returns(waker, pipe[1])


def test_a_wake_that_came_early_ends_the_next_wait_only(pipe):
    waker = Waker()
    for _ in range(3):
        waker.wake()
    assert returns(waker, pipe[1])
    waker.wait(pipe[1], 0.01)
    assert not pipe[1].wait(0), "the second wait ended by its time"


def test_nobody_who_wakes_is_held_up_by_a_thread_that_never_waits():
    waker = Waker()
    for _ in range(100_000):
        waker.wake()


@pytest.mark.slow
@pytest.mark.parametrize("loader", ["FakeRunner", "missing", "broken"])
def test_a_service_that_goes_away_during_the_load_is_no_fault_of_the_engine(settings, capfd, loader):
    """It ends without a word, beyond what the load itself has to say."""
    engine = EngineProcess()
    engine.pipe.send(pickle.dumps(Start(f"tests.support.fake_runner:{loader}", settings)))
    assert engine.end(PATIENCE) == 1
    assert "Pipe" not in capfd.readouterr().err
