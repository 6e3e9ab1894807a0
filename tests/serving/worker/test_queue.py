import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sam3d_bento.errors import Busy, Cancelled, NotReady
from sam3d_bento.serving.worker.job import Job
from sam3d_bento.serving.worker.queue import JobQueue
from sam3d_bento.serving.worker.run_times import RunTimes
from sam3d_bento.submission import Submission

CANCELLED, STOPPING = Cancelled("Cancelled."), NotReady("Stopping.")


def job(on_change=lambda job: None):
    return Job(Submission(b"photo"), "test", lambda job: None, on_change=on_change)


def filled(count, limit=10, **options):
    """A queue in which `count` jobs wait, and these jobs."""
    queue = JobQueue(limit, RunTimes())
    jobs = [job(**options) for _ in range(count)]
    for one in jobs:
        queue.add(one)
    return queue, jobs


def test_jobs_run_in_the_order_in_which_they_came():
    queue, jobs = filled(3)
    assert [queue.take() for _ in range(4)] == [*jobs, None]


def test_a_job_knows_how_many_go_before_it_until_it_runs():
    queue, (first, second) = filled(2)
    assert [queue.position(one) for one in (first, second)] == [0, 1]
    queue.take()
    assert [queue.position(one) for one in (first, second)] == [None, 0]
    assert (queue.running, queue.waiting) == (first, 1)
    assert queue.release() is first
    assert (queue.running, queue.release()) == (None, None)


def test_as_many_as_the_limit_wait_behind_the_one_that_runs():
    queue, _ = filled(2, limit=2)
    queue.take()
    queue.add(job())
    assert queue.full
    refused = job()
    for ask in (queue.admit, lambda: queue.add(refused)):
        with pytest.raises(Busy):
            ask()
    assert queue.position(refused) is None
    queue.release()
    queue.admit()


def test_a_limit_of_none_still_lets_one_job_run():
    queue, _ = filled(1, limit=0)
    with pytest.raises(Busy):
        queue.add(job())
    queue.take()
    assert queue.full
    queue.release()
    queue.add(job())


def test_refused_job_gets_the_time_until_the_queue_is_done():
    run_times = RunTimes()
    run_times.learn({"reconstruct": 4.2})
    queue = JobQueue(1, run_times)
    for _ in range(2):
        queue.add(job())
    queue.take()
    with pytest.raises(Busy) as refusal:
        queue.admit()
    assert refusal.value.retry_after_seconds == 9, "the one that runs and the one that waits, rounded up"


def test_a_removed_job_ends_and_makes_room_and_its_upload_is_let_go():
    queue, (first, second, third) = filled(3, limit=2)
    assert queue.remove(second, CANCELLED)
    assert second.future.exception(0) is CANCELLED
    assert second.submission is None
    assert queue.position(third) == 1
    assert not queue.full
    assert not first.future.done()


def test_only_a_job_that_waits_can_be_removed():
    queue, (running, gone) = filled(2)
    queue.take()
    queue.remove(gone, CANCELLED)
    for one in (running, gone, job()):
        assert not queue.remove(one, STOPPING)
    assert not running.future.done()
    assert running.submission is not None
    assert gone.future.exception(0) is CANCELLED


def test_clearing_ends_those_that_wait_and_leaves_the_one_that_runs():
    queue, (running, *others) = filled(3)
    queue.take()
    queue.clear(STOPPING)
    assert [one.future.exception(0) for one in others] == [STOPPING, STOPPING]
    assert [one.submission for one in others] == [None, None]
    assert (queue.running, queue.waiting) == (running, 0)
    assert not running.future.done()


def test_those_that_wait_are_told_and_may_ask_the_queue_meanwhile():
    """As `FollowedJob` does: it looks where its job stands whenever it is told, or its job has ended."""
    told = []
    queue, (first, second, third) = filled(3, on_change=lambda one: told.append((one, queue.position(one))))
    second.future.add_done_callback(lambda future: told.append(queue.position(third)))
    queue.take()
    queue.notify_waiting()
    assert told == [(second, 0), (third, 1)]
    queue.remove(second, CANCELLED)
    assert told[-1] == 0
    assert first.future.running()


def test_each_job_leaves_the_queue_exactly_once():
    """Callers cancel, a supervisor takes and ends, and the queue is cleared: all at the same time, over and over."""
    for _ in range(50):
        queue, jobs = filled(20, limit=20)
        begin = threading.Barrier(4)

        def serve(queue=queue, begin=begin):
            begin.wait()
            taken = []
            while (one := queue.take()) is not None:
                taken.append(one)
                queue.release()
            return taken

        def cancel(queue=queue, begin=begin, jobs=jobs):
            begin.wait()
            return [one for one in reversed(jobs) if queue.remove(one, CANCELLED)]

        def clear(queue=queue, begin=begin):
            begin.wait()
            queue.clear(STOPPING)  # a future that was resolved already would raise here, or in remove

        with ThreadPoolExecutor(4) as threads:
            served, *others = [threads.submit(part) for part in (serve, cancel, cancel, clear)]
            taken = served.result()
            removed = [one for other in others[:2] for one in other.result()]
            others[2].result()
        cleared = [one for one in jobs if one.future.done() and one.future.exception() is STOPPING]
        assert len(taken) + len(removed) + len(cleared) == len(jobs)
        assert set(taken) | set(removed) | set(cleared) == set(jobs)
        assert not any(one.future.done() for one in taken)


def test_no_more_jobs_are_added_than_there_is_room_for_however_many_come_at_once():
    queue = JobQueue(5, RunTimes())
    begin = threading.Barrier(4)

    def come(_):
        begin.wait()
        added = 0
        for _ in range(10):
            try:
                queue.add(job())
            except Busy:
                continue
            added += 1
        return added

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(come, range(4))) == queue.waiting == 6, "five wait, and one is about to run"


def test_of_those_that_wait_the_overdue_end_each_with_its_own_error():
    queue, (running, old, young) = filled(3)
    queue.take()
    for late in (running, old):
        late.submitted -= 100
    left = queue.expire(lambda job: job.submitted + 60, lambda job: NotReady("Waited."))
    assert 50 < left <= 60
    assert isinstance(old.future.exception(0), NotReady)
    assert (old.submission, queue.position(young), running.future.done()) == (None, 0, False)
    queue.remove(young, CANCELLED)
    assert queue.expire(lambda job: job.submitted, lambda job: NotReady("Waited.")) is None


def test_overdue_jobs_share_no_error():
    queue, jobs = filled(2)
    queue.expire(lambda job: job.submitted, lambda job: NotReady("Waited."))
    assert jobs[0].future.exception(0) is not jobs[1].future.exception(0)
