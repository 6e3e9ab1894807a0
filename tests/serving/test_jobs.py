"""The register itself; what clients see of it is in routes/test_jobs.py."""

import asyncio
import gc
import tracemalloc

import pytest

from sam3d_bento.errors import KeyReused, NotFound
from sam3d_bento.options import Options
from sam3d_bento.serving import jobs as module
from sam3d_bento.serving.assets.folder import AssetFolder
from sam3d_bento.serving.job_status import JobState
from sam3d_bento.serving.jobs import Claim, Jobs
from sam3d_bento.serving.reconstructor import Reconstructor
from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.submission import Submission

pytestmark = pytest.mark.anyio
KEY = (b"a client", "k")
# Of an ended job, with its events and its timer: a thousand of them are held.
MOST_BYTES_A_JOB = 8_000


@pytest.fixture
async def jobs(start_worker, settings):
    worker = start_worker(queue_limit=20)
    while worker.state is not WorkerState.READY:
        await asyncio.sleep(0.01)
    return Jobs(
        Reconstructor(worker, AssetFolder(settings.output_dir, 100, 10**9), keep_reconstructions=True),
        worker,
        settings.output_ttl_seconds,
    )


async def ended(job):
    async for _ in job.events(None, 30):
        pass
    return job


async def test_of_too_many_that_ended_the_oldest_are_forgotten(jobs, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENDED", 2)
    taken = [await ended(jobs.submit(Submission(b"nap:0"), "test")) for _ in range(3)]
    with pytest.raises(NotFound):
        jobs.get(taken[0].id)
    assert [jobs.get(job.id) for job in taken[1:]] == taken[1:]


async def test_an_ended_job_holds_little_and_nothing_of_its_upload(jobs):
    tracemalloc.start()
    try:
        for count in (5, 50):  # the first few fill caches
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(count):
                await ended(jobs.submit(Submission(b"nap:0", bytes(500_000)), "test"))
            gc.collect()
            held = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    print(f"{held:.0f} bytes a job")
    assert held < MOST_BYTES_A_JOB


async def test_a_claim_is_of_the_whole_input(jobs):
    first = jobs.submit(Submission(b"nap:0"), "test", await Claim.of(KEY, Submission(b"nap:0")))
    assert jobs.knows(KEY)
    assert jobs.submit(Submission(b"nap:0"), "other", await Claim.of(KEY, Submission(b"nap:0"))) is first
    others = [Submission(b"nap:0", options=options) for options in (Options(seed=1), Options(name="chair"))]
    for other in (Submission(b"nap:0", b"mask"), Submission(b"nap:"), *others):
        with pytest.raises(KeyReused):
            jobs.submit(other, "test", await Claim.of(KEY, other))


async def test_two_clients_may_choose_the_same_key(jobs):
    first = jobs.submit(Submission(b"nap:0"), "test", await Claim.of(KEY, Submission(b"nap:0")))
    others = (b"another", KEY[1])
    assert not jobs.knows(others)
    second = jobs.submit(Submission(b"nap:0.01"), "test", await Claim.of(others, Submission(b"nap:0.01")))
    assert second is not first


async def test_a_result_that_cannot_be_stored_is_the_jobs_problem(jobs, settings):
    settings.output_dir.write_text("no folder")
    job = await ended(jobs.submit(Submission(b"nap:0"), "test"))
    assert (job.now.state, job.error.code) == (JobState.FAILED, "internal")
    assert str(settings.output_dir) not in job.error.detail


async def test_a_listener_that_is_slow_gets_the_last_events_in_order_and_the_end(jobs):
    job = jobs.submit(Submission(b"nap:0.2"), "test")
    listening = job.events(0, 30)
    first = await anext(listening)
    await ended(job)
    later = [moment async for moment in listening]
    numbers = [first.number, *(moment.number for moment in later)]
    assert numbers == sorted(set(numbers))
    assert later[-1].state is JobState.DONE


async def test_silent_stream_gets_heartbeats(jobs):
    jobs.submit(Submission(b"nap:30"), "test")
    waiting = jobs.submit(Submission(b"nap:0"), "test")
    heard = waiting.events(None, 0.01)
    assert (await anext(heard)).state is JobState.QUEUED
    silence = [await anext(heard) for _ in range(8)]
    assert silence[-1] is None
