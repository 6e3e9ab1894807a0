import os
import signal
import subprocess
import sys
import threading

import pytest

from sam3d_bento.errors import Busy, Cancelled, DeadlineExceeded, EngineLost, Internal, NoObject, NotReady
from sam3d_bento.options import Options
from sam3d_bento.serving.worker import worker as module
from sam3d_bento.serving.worker.state import MAX_LOSSES_IN_A_ROW, WorkerState
from sam3d_bento.submission import Submission
from tests.support import descriptors, fake_runner, processes
from tests.support.hanging_disk import HangingDisk
from tests.support.places import PROJECT
from tests.support.waiting import PATIENCE, until


def ready(worker):
    until(lambda: worker.state is not WorkerState.STARTING)
    assert worker.state is WorkerState.READY, worker.reason
    return worker


def submit(worker, photo, **options):
    return worker.submit(Submission(photo.encode(), options=Options(**options)), label="test")


def finish(job):
    return job.future.result(PATIENCE)


def test_one_load_serves_many_jobs_each_with_its_own_result(start_worker):
    worker = ready(start_worker(queue_limit=20))
    jobs = [submit(worker, f"nap:0.0{n}") for n in range(8)]
    results = [finish(job) for job in jobs]
    assert [r.glb for r in results] == [f"glTFnap:0.0{n}".encode() for n in range(8)]
    assert [r.report["runs"] for r in results] == list(range(1, 9)), "one process, one load, in order"
    assert worker.loads == 1


def test_the_runner_computes_in_another_process_than_the_service(start_worker):
    result = finish(submit(ready(start_worker()), "nap:0"))
    assert result.report["pid"] != os.getpid()


def test_jobs_are_refused_while_the_first_load_runs(start_worker):
    worker = start_worker()
    with pytest.raises(NotReady) as refusal:
        submit(worker, "nap:0")
    assert refusal.value.retry_after_seconds


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(start_worker):
    worker = ready(start_worker(queue_limit=2))
    finish(submit(worker, "nap:0"))  # from now on it thinks that a run takes no time
    jobs = [submit(worker, "nap:30") for _ in range(3)]
    with pytest.raises(Busy) as refusal:
        submit(worker, "nap:0")
    assert refusal.value.retry_after_seconds >= 1
    for job in jobs:
        job.cancel()
    until(lambda: not worker.queue.full)
    assert finish(submit(worker, "nap:0")).glb == b"glTFnap:0"


def test_a_running_job_tells_how_far_it_is(start_worker):
    worker = ready(start_worker())
    job = submit(worker, "nap:60")
    until(lambda: job.progress == ("reconstruct", 0.5))
    job.cancel()
    waiting = submit(worker, "nap:0")
    assert finish(waiting)
    assert waiting.progress == ("export", 1.0)


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(start_worker):
    worker = ready(start_worker())
    first, second = submit(worker, "nap:30"), submit(worker, "crash")
    until(lambda: worker.state is WorkerState.BUSY)
    second.cancel()
    with pytest.raises(Cancelled):
        finish(second)
    assert not first.future.done()
    first.cancel()


def test_a_running_job_is_cancelled_at_its_next_step_and_the_process_is_kept(start_worker):
    worker = ready(start_worker())
    before = finish(submit(worker, "nap:0")).report["pid"]
    job = submit(worker, "nap:60")
    until(lambda: worker.queue.running)
    job.cancel()
    with pytest.raises(Cancelled):
        finish(job)
    assert finish(submit(worker, "nap:0")).report["pid"] == before


def test_cancelling_a_finished_job_changes_nothing(start_worker):
    worker = ready(start_worker())
    job = submit(worker, "nap:0")
    assert finish(job).glb
    job.cancel()
    assert finish(submit(worker, "nap:0.01")).glb == b"glTFnap:0.01"


def test_a_run_beyond_the_deadline_costs_the_process_and_queued_jobs_survive(start_worker):
    worker = ready(start_worker(deadline_seconds=1.0))
    before = finish(submit(worker, "nap:0")).report["pid"]
    hanging, waiting = submit(worker, "hang"), submit(worker, "nap:0")
    with pytest.raises(DeadlineExceeded):
        finish(hanging)
    assert not worker.ready, "unready from the moment that the deadline is told"
    after = finish(waiting)
    assert after.glb == b"glTFnap:0"
    assert after.report["pid"] != before
    assert not processes.alive(before)
    assert worker.loads == 2


def test_a_process_that_dies_in_a_job_is_replaced(start_worker):
    worker = ready(start_worker())
    with pytest.raises(EngineLost) as loss:
        finish(submit(worker, "crash"))
    assert loss.value.retryable
    assert finish(submit(worker, "nap:0")).glb == b"glTFnap:0"


def test_an_engine_that_gives_itself_up_is_replaced_and_queued_jobs_survive(start_worker):
    worker = ready(start_worker())
    before = finish(submit(worker, "nap:0")).report["pid"]
    poisoned, waiting = submit(worker, "poison"), submit(worker, "nap:0")
    with pytest.raises(EngineLost, match="The GPU failed in this run"):
        finish(poisoned)
    assert not worker.ready, "unready from the moment that the loss is told"
    after = finish(waiting)
    assert after.glb == b"glTFnap:0"
    assert after.report["pid"] != before
    assert not processes.alive(before), "it said so while it lived"
    assert worker.loads == 2


def lose(worker, photo):
    with pytest.raises((EngineLost, DeadlineExceeded)):
        finish(submit(worker, photo))


@pytest.mark.faults
def test_losses_in_a_row_are_counted_and_a_job_that_ends_otherwise_starts_anew(start_worker):
    worker = ready(start_worker(deadline_seconds=1.0))
    assert worker.losses == 0
    for n, photo in enumerate(("poison", "crash", "hang"), start=1):
        lose(worker, photo)
        assert worker.losses == n, "counted before the job ends"
    assert worker.loads <= 4
    until(lambda: worker.ready)
    assert worker.losses == 3, "a load alone proves nothing"
    with pytest.raises(NoObject):
        finish(submit(worker, "refuse"))
    assert worker.losses == 0, "to refuse a photo, the engine must be well"
    lose(worker, "crash")
    assert worker.losses == 1


@pytest.mark.faults
def test_a_death_while_idle_is_a_loss_too(start_worker):
    worker = ready(start_worker())
    lose(worker, "crash")
    until(lambda: worker.ready)
    pid = finish(submit(worker, "nap:0")).report["pid"]
    assert worker.losses == 0
    os.kill(pid, signal.SIGKILL)
    until(lambda: worker.loads == 3)
    assert worker.losses == 1


@pytest.mark.faults
def test_a_process_that_dies_while_idle_is_replaced(start_worker):
    worker = ready(start_worker())
    pid = finish(submit(worker, "nap:0")).report["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: worker.loads == 2)
    assert finish(submit(worker, "nap:0")).report["pid"] != pid


@pytest.mark.faults
def test_an_engine_that_stops_reading_is_replaced_at_the_deadline(start_worker):
    worker = ready(start_worker(deadline_seconds=1.0))
    pid = finish(submit(worker, "nap:0")).report["pid"]
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises((DeadlineExceeded, EngineLost)):
        finish(submit(worker, "nap:0"))
    assert finish(submit(worker, "nap:0")).report["pid"] != pid


def test_errors_of_the_tree_arrive_as_they_are_and_keep_the_process(start_worker):
    worker = ready(start_worker())
    with pytest.raises(NoObject, match="nothing here"):
        finish(submit(worker, "refuse"))
    assert finish(submit(worker, "nap:0")).report["runs"] == 2


def test_a_bug_becomes_an_internal_error_without_its_details(start_worker):
    worker = ready(start_worker())
    with pytest.raises(Internal) as fault:
        finish(submit(worker, "bug"))
    assert "secret" not in fault.value.detail
    assert finish(submit(worker, "nap:0")).glb


@pytest.mark.parametrize("photo", ["litter", "litter:crash", "bug", "nap:0"])
def test_a_jobs_directory_is_gone_when_its_future_resolves(start_worker, workdir, photo):
    worker = ready(start_worker())
    job = submit(worker, photo)
    job.future.exception(PATIENCE)
    assert list(workdir.path.iterdir()) == []
    assert job.submission is None, "the upload's bytes are let go"


@pytest.mark.parametrize(("loader", "said"), [("missing", "weights are missing"), ("broken", "log says why")])
def test_a_failed_load_stays_failed_with_its_reason_and_without_a_loop(start_worker, loader, said):
    worker = start_worker(f"tests.support.fake_runner:{loader}")
    until(lambda: worker.state is WorkerState.FAILED)
    assert said in worker.reason
    assert "/a/path" not in worker.reason
    with pytest.raises(NotReady, match=worker.reason):
        submit(worker, "nap:0")
    assert worker.all_losses == 0, "it has said no"


@pytest.fixture
def quick_pauses(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE_SECONDS", 0.01)


def loading(settings, number):
    """Wait until so many processes have begun to load; the id of the last."""
    path = fake_runner.attempts(settings)
    found = until(lambda: path.exists() and len(lines := path.read_text().splitlines()) == number and lines)
    return int(found[-1])


@pytest.mark.faults
@pytest.mark.parametrize("end", ["killed", "exits"])
def test_a_process_that_dies_while_it_loads_is_replaced(start_worker, settings, quick_pauses, end):
    worker = start_worker("tests.support.fake_runner:loads_late", queue_while_loading=True)
    waiting = submit(worker, "nap:0")
    order = settings.work_dir / "order"
    pid = loading(settings, 1)
    if end == "killed":
        os.kill(pid, signal.SIGKILL)
    else:
        order.write_text("die")
    until(lambda: worker.losses)
    assert not worker.ready
    assert "died while it was loading" in worker.reason
    order.write_text("load")
    assert finish(waiting).glb == b"glTFnap:0", "the job has waited for the load that succeeded"
    assert (worker.loads, worker.all_losses, worker.losses) == (1, worker.all_losses, 0)


@pytest.mark.faults
def test_a_replacement_that_dies_while_it_loads_is_replaced(start_worker, settings, quick_pauses):
    order = settings.work_dir / "order"
    order.write_text("load")
    worker = ready(start_worker("tests.support.fake_runner:loads_late"))
    pid = finish(submit(worker, "nap:0")).report["pid"]
    order.unlink()
    os.kill(pid, signal.SIGKILL)
    os.kill(loading(settings, 2), signal.SIGKILL)
    loading(settings, 3)
    assert (worker.state, worker.losses) == (WorkerState.RESTARTING, 2)
    order.write_text("load")
    assert finish(submit(worker, "nap:0")).glb
    assert worker.losses == 0


@pytest.mark.faults
@pytest.mark.parametrize("how", ["waits for ever", "is stopped"])
def test_a_load_that_falls_silent_is_begun_again(start_worker, settings, quick_pauses, how):
    loader = "waits" if how == "waits for ever" else "loads_late"
    worker = start_worker(f"tests.support.fake_runner:{loader}", load_silence_seconds=1.5)
    if how == "is stopped":
        os.kill(loading(settings, 1), signal.SIGSTOP)
    until(lambda: worker.losses)
    assert "sent nothing for 1.5 seconds" in worker.reason


@pytest.mark.faults
def test_where_nothing_loads_no_job_waits_and_none_is_taken_in(start_worker, settings, quick_pauses):
    worker = start_worker("tests.support.fake_runner:loads_late", queue_while_loading=True)
    waiting = submit(worker, "nap:0")
    for number in range(1, MAX_LOSSES_IN_A_ROW + 1):
        os.kill(loading(settings, number), signal.SIGKILL)
    with pytest.raises(NotReady) as refusal:
        finish(waiting)
    assert refusal.value.retry_after_seconds
    with pytest.raises(NotReady):
        submit(worker, "nap:0")
    (settings.work_dir / "order").write_text("load")
    ready(worker)
    assert finish(submit(worker, "nap:0")).glb


@pytest.mark.parametrize(("lost_loads", "seconds"), [(0, 0.0), (1, 0.5), (2, 1.0), (3, 2.0), (7, 30.0), (10**6, 30.0)])
def test_the_pause_after_lost_loads_grows_and_is_bounded(lost_loads, seconds):
    assert module.pause_seconds(lost_loads) == seconds


@pytest.mark.faults
def test_a_process_that_cannot_be_started_is_a_loss(start_worker, quick_pauses):
    """As with too many open files. What is short is given back, and the worker goes on."""
    worker = ready(start_worker())
    pid = finish(submit(worker, "nap:0")).report["pid"]
    with descriptors.none_left():
        os.kill(pid, signal.SIGKILL)
        until(lambda: worker.losses >= 2)
        assert "could not be started (Too many open files)" in worker.reason
    until(lambda: worker.ready)
    assert finish(submit(worker, "nap:0")).glb


def test_a_job_that_waits_too_long_ends_while_another_runs_on(start_worker):
    worker = ready(start_worker(queue_limit=1, deadline_seconds=10, load_silence_seconds=20, max_objects=1))
    running = submit(worker, "nap:60")
    until(lambda: worker.queue.running)
    waiting = submit(worker, "nap:0")
    waiting.submitted -= 39.9  # it has waited for most of its time
    worker._changed.set()
    with pytest.raises(NotReady, match="waited for 40 seconds") as refusal:
        finish(waiting)
    assert refusal.value.retryable
    assert not running.future.done()
    running.cancel()


def test_a_run_ends_and_livez_asks_for_a_restart_when_the_work_folder_hangs(start_worker, settings, monkeypatch):
    monkeypatch.setattr(module, "OVERDUE_SECONDS", 0.2)
    worker = ready(start_worker(queue_limit=1, deadline_seconds=0.5, load_silence_seconds=20))
    hanging = HangingDisk(settings.work_dir)
    try:
        with pytest.raises(DeadlineExceeded, match="a disk does not answer"):
            finish(submit(worker, "nap:0"))
        assert worker.losses == MAX_LOSSES_IN_A_ROW, "what /livez looks at"
        assert not worker.ready
        assert worker.reason == "The work folder does not answer."
        waiting = submit(worker, "nap:0")
        waiting.submitted -= worker._settings.queue_seconds
        with pytest.raises(NotReady, match="was not started"):
            finish(waiting)
    finally:
        hanging.end()
    until(lambda: worker.ready)
    assert finish(submit(worker, "nap:0")).glb == b"glTFnap:0"
    assert worker.losses == 0


def test_a_job_that_waits_for_a_load_ends_too(start_worker):
    loader = "tests.support.fake_runner:loads_late"
    worker = start_worker(
        loader,
        queue_while_loading=True,
        queue_limit=1,
        deadline_seconds=0.25,
        load_silence_seconds=1.5,
        max_objects=1,
    )
    with pytest.raises(NotReady, match="waited for 2 seconds"):
        finish(submit(worker, "nap:0"))


@pytest.mark.faults
@pytest.mark.parametrize("kind", fake_runner.FORGERIES)
def test_an_engine_that_says_what_is_no_message_is_replaced(start_worker, kind):
    worker = ready(start_worker())
    with pytest.raises(EngineLost, match="invalid message"):
        finish(submit(worker, f"forge:{kind}"))
    assert finish(submit(worker, "nap:0")).glb == b"glTFnap:0"


def test_stopping_ends_the_process_and_every_job(start_worker):
    worker = ready(start_worker())
    pid = finish(submit(worker, "nap:0")).report["pid"]
    jobs = [submit(worker, "nap:60"), submit(worker, "nap:60")]
    until(lambda: worker.queue.running)
    worker.stop()
    for job in jobs:
        with pytest.raises(NotReady):
            finish(job)
    assert not processes.alive(pid)
    assert worker.state is WorkerState.STOPPED


def test_submitting_or_cancelling_during_a_stop_is_answered(start_worker):
    worker = ready(start_worker(queue_limit=10**6))
    jobs, refusals = [], []

    def keep_coming():
        while not refusals:
            try:
                jobs.append(submit(worker, "nap:0"))
            except NotReady as refusal:
                refusals.append(refusal)
            else:
                jobs[len(jobs) // 2].cancel()

    client = threading.Thread(target=keep_coming)
    client.start()
    until(lambda: any(job.future.done() for job in jobs))
    worker.stop()
    client.join(PATIENCE)
    for job in jobs:
        assert isinstance(job.future.exception(PATIENCE), NotReady | Cancelled | None)
        assert job.submission is None
    assert (worker.queue.waiting, worker.queue.running) == (0, None)


def test_the_engine_process_does_not_outlive_a_killed_service(tmp_path):
    program = f"""
import os, sys, threading
from pathlib import Path
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
settings = Settings(work_dir=Path({str(tmp_path)!r}))
workdir = WorkDir(settings.work_dir)
workdir.claim()
worker = Worker("engine", "tests.support.fake_runner:FakeRunner", settings, workdir, queue_while_loading=True)
worker.start()
print(worker.submit(Submission(b"nap:0"), "x").future.result().report["pid"], flush=True)
worker.submit(Submission(b"hang"), "x")
threading.Event().wait()
"""
    service = processes.start([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    pid = int(service.stdout.readline())
    assert processes.alive(pid)
    service.kill()
    service.communicate()
    until(lambda: not processes.alive(pid))


def test_a_waiting_job_knows_its_place_and_hears_when_it_moves(start_worker):
    worker = ready(start_worker(queue_limit=5))
    moved = []
    submission = Submission(b"nap:0")
    first = submit(worker, "nap:30")
    second, third = (
        worker.submit(submission, "test", on_change=lambda job: moved.append(job.id)),
        worker.submit(submission, "test", on_change=lambda job: moved.append(job.id)),
    )
    until(lambda: worker.queue.running is first)
    assert [worker.queue.position(job) for job in (first, second, third)] == [None, 0, 1]
    second.cancel()
    assert worker.queue.position(third) == 0
    until(lambda: third.id in moved)
    first.cancel()
    finish(third)
    assert set(third.seconds) == {"decode", "export"}, "and how long each stage took"


def test_a_reconstruction_is_handed_over_and_goes_with_its_job(start_worker, workdir):
    worker = ready(start_worker())
    job = worker.submit(Submission(b"nap:0"), "test", keep_reconstruction=True)
    finish(job)
    assert job.reconstruction.read_bytes() == b"reconstruction of nap:0"
    assert list(workdir.path.iterdir()) == [job.reconstruction]
    plain = submit(worker, "nap:0")
    finish(plain)
    assert plain.reconstruction is None
    del job
    until(lambda: list(workdir.path.iterdir()) == [])
