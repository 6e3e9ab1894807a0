import asyncio

from sam3d_bento.serverless import progress
from sam3d_bento.serving.reconstructor import ended
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.submission import Submission


class Listener:
    """Hears of a job, and lets the test act on what it heard."""

    def __init__(self, job, act):
        self.heard = []
        self.job = job
        self.act = act

    def __call__(self, news):
        self.heard.append(news)
        self.act(self.job, len(self.heard))


def submitted(cancel=lambda job: None):
    return Job(Submission(b""), "test", cancel)


def wait(job, on_news):
    """Wait for the job's result while its progress is passed on."""

    async def scenario():
        async with progress.passed_on(job, on_news, interval_seconds=0.01):
            return await ended(job)

    return asyncio.run(scenario())


def test_news_are_told_until_the_result_is_there():
    def act(job, told):
        if told == 1:
            job.progress = ("export", 0.12345)
        else:
            job.future.set_result("done")

    job = submitted()
    job.progress = ("reconstruct", 0.0)
    listener = Listener(job, act)
    assert wait(job, listener) == "done"
    assert listener.heard == [{"stage": "reconstruct", "fraction": 0.0}, {"stage": "export", "fraction": 0.123}]


def test_nothing_is_told_of_a_job_that_waits_or_stands_still():
    async def scenario():
        job, heard = submitted(), []
        async with progress.passed_on(job, heard.append, interval_seconds=0.001):
            waiting = asyncio.ensure_future(ended(job))
            await asyncio.wait({waiting}, timeout=0.05)
            before = list(heard)
            job.progress = ("mask", 0.5)
            await asyncio.wait({waiting}, timeout=0.05)
            job.future.set_result("done")
            return before, heard, await waiting

    assert asyncio.run(scenario()) == ([], [{"stage": "mask", "fraction": 0.5}], "done")


def test_a_listener_that_fails_does_not_break_the_job():
    def act(job, told):
        asyncio.get_running_loop().call_later(0.05, job.future.set_result, "done")
        job.progress = ("export", 0.5)
        raise RuntimeError("can't start new thread")

    job = submitted()
    job.progress = ("reconstruct", 0.0)
    listener = Listener(job, act)
    assert wait(job, listener) == "done"
    assert len(listener.heard) == 1, "it is not asked again"
