"""A followed job by itself, on a worker that is never started: the test is what happens to the job."""

import asyncio

import pytest

from sam3d_bento.errors import Cancelled, EngineLost
from sam3d_bento.serving.job_status import HISTORY, STEP, FollowedJob, JobState
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.submission import Submission

pytestmark = pytest.mark.anyio
REPORT = {"id": "0" * 32, "seconds": {"queue": 1.0, "export": 2.0}}


@pytest.fixture
def worker(settings, workdir):
    return Worker("engine", "nobody:loads", settings.model_copy(update={"queue_limit": 10}), workdir)


@pytest.fixture
def new_job(worker):
    """A factory of jobs that wait in the worker's queue."""

    def new_job():
        job = Job(Submission(b"photo"), "test", worker.cancel)
        worker.queue.add(job)
        return job

    return new_job


async def heard(followed, after=None):
    """The events to the job's end; each None is a time without one."""
    return [moment async for moment in followed.events(after, heartbeat_seconds=30)]


def know_the_pace(worker, seconds):
    worker.run_times.learn({"reconstruct": seconds})


async def test_a_waiting_job_tells_its_place_and_when_it_will_be_through(worker, new_job):
    first, second = new_job(), new_job()
    followed = FollowedJob(second, worker)
    assert (followed.now.state, followed.now.position) == (JobState.QUEUED, 1)
    assert followed.now.estimated_seconds is None, "no run is known yet"
    know_the_pace(worker, 10.0)
    assert followed.now.estimated_seconds == 20.0, "the one before it, and its own"
    worker.queue.take()
    first.advance("reconstruct", 0.5)
    assert (followed.now.position, followed.now.estimated_seconds) == (0, 15.0)


async def test_a_running_job_tells_its_stage_and_what_is_left(worker, new_job):
    know_the_pace(worker, 10.0)
    job = new_job()
    followed = FollowedJob(job, worker)
    worker.queue.take()
    job.queue_seconds = 1.5
    job.advance("reconstruct", 0.25)
    now = followed.now
    assert (now.state, now.stage, now.stage_fraction, now.fraction) == (JobState.RUNNING, "reconstruct", 0.25, 0.25)
    assert (now.position, now.estimated_seconds) == (None, 7.5)
    assert set(now.seconds) == {"queue", "reconstruct"}
    assert now.seconds["queue"] == 1.5


async def test_an_event_is_made_when_somebody_who_looks_would_see_a_difference(worker, new_job):
    know_the_pace(worker, 10.0)
    job = new_job()
    followed = FollowedJob(job, worker)
    worker.queue.take()
    for fraction in (0.1, 0.1 + STEP / 4, 0.1 + STEP / 2, 0.1 + 2 * STEP):
        job.advance("reconstruct", fraction)
        followed.refresh()
    followed.refresh()
    followed.done(REPORT)
    moments = await heard(followed, after=0)
    assert [moment.number for moment in moments] == [1, 2, 3, 4]
    assert [moment.state for moment in moments] == [JobState.QUEUED, JobState.RUNNING, JobState.RUNNING, JobState.DONE]
    assert [moment.fraction for moment in moments] == [0.0, 0.1, pytest.approx(0.1 + 2 * STEP), 1.0]


async def test_new_listener_gets_the_current_state_and_a_returning_one_the_missed_events(worker, new_job):
    job = new_job()
    followed = FollowedJob(job, worker)
    worker.queue.take()
    for stage in ("decode", "mask"):
        job.advance(stage, 0.0)
        followed.refresh()
    late = asyncio.create_task(heard(followed))
    back = asyncio.create_task(heard(followed, after=1))
    from_another_job = asyncio.create_task(heard(followed, after=99))
    await asyncio.sleep(0)
    followed.done(REPORT)
    assert [moment.stage for moment in await late] == ["mask", None]
    assert [moment.stage for moment in await back] == ["decode", "mask", None]
    assert await from_another_job == await late


async def test_of_more_events_than_are_kept_the_last_ones_are_heard_and_nothing_is_lost(worker, new_job):
    job = new_job()
    followed = FollowedJob(job, worker)
    worker.queue.take()
    for number in range(2 * HISTORY):
        job.advance(("decode", "mask")[number % 2], 0.0)
        followed.refresh()
    followed.done(REPORT)
    moments = await heard(followed, after=0)
    assert len(moments) == HISTORY
    assert [moment.number for moment in moments] == list(range(2 * HISTORY + 3 - HISTORY, 2 * HISTORY + 3))
    assert (moments[-1].state, moments[-1].seconds) == (JobState.DONE, REPORT["seconds"])


async def test_silence_is_reported(worker, new_job):
    followed = FollowedJob(new_job(), worker)
    events = followed.events(None, heartbeat_seconds=0.01)
    assert (await anext(events)).state is JobState.QUEUED
    assert await anext(events) is None
    followed.failed(EngineLost("Gone."))
    assert (await anext(events)).state is JobState.FAILED
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_waiting_job_is_cancelled_at_once(worker, new_job):
    job = new_job()
    followed = FollowedJob(job, worker)
    followed.cancel()
    assert (followed.now.state, followed.ended) == (JobState.CANCELLED, True)
    assert isinstance(followed.error, Cancelled)
    assert worker.queue.waiting == 0
    followed.cancel()
    assert followed.now.number == 2, "nothing more has happened"


async def test_a_running_job_is_cancelled_when_its_worker_has_ended_it(worker, new_job):
    job = new_job()
    followed = FollowedJob(job, worker)
    worker.queue.take()
    job.advance("mask", 0.5)
    followed.cancel()
    assert job.cancelled.is_set()
    assert (followed.now.state, followed.ended) == (JobState.RUNNING, False)
    reached = followed.now.fraction
    followed.failed(Cancelled("It was."))
    assert (followed.now.state, followed.now.fraction) == (JobState.CANCELLED, reached), "its bar stays where it was"


async def test_the_first_end_counts(worker, new_job):
    job = new_job()
    followed = FollowedJob(job, worker)
    first = Cancelled("Nobody wants it.")
    followed.failed(first)
    followed.failed(EngineLost("Too late."))
    assert (followed.error, followed.now.state) == (first, JobState.CANCELLED)
    job.advance("mask", 0.5)
    followed.refresh()
    assert followed.now.number == 2, "no event follows the last one"
