"""Jobs of two processes, both real: an engine process that hands over, and an exporter.

Each test starts both. Most run with `make test-faults`.
"""

import gc
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from sam3d_bento.errors import Cancelled, DeadlineExceeded, EngineLost, Internal, NoObject, NotReady
from sam3d_bento.options import Options
from sam3d_bento.serving.worker.state import WorkerState
from sam3d_bento.submission import Submission
from tests.support import descriptors, processes
from tests.support.hanging_disk import HangingDisk
from tests.support.places import PROJECT
from tests.support.waiting import PATIENCE, until

RUNNERS = "tests.support.split_runner:"


@pytest.fixture
def start_pair(start_worker):
    """A factory of the engine's worker and the exporter's, the former ready; the latter too if its loader works."""

    def start(export_loader=f"{RUNNERS}Exporter", **changes):
        exporter = start_worker(export_loader, name="export", queue_while_loading=True, **changes | {"queue_limit": 1})
        engine = start_worker(f"{RUNNERS}SplitRunner", exporter=lambda: exporter, **{"queue_limit": 8} | changes)
        until(lambda: engine.state is not WorkerState.STARTING)
        if export_loader == f"{RUNNERS}Exporter":
            until(lambda: exporter.ready)
        return engine, exporter

    return start


def submit(worker, photo, **arguments):
    return worker.submit(Submission(photo.encode(), options=Options()), "test", **arguments)


def finish(job):
    return job.future.result(PATIENCE)


def stage(job):
    return job.progress and job.progress[0]


def shared_memories(pid):
    """The shared memories that a process has open or mapped."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(os.readlink(link))
        except FileNotFoundError:  # the descriptor of this very listing
            continue
    return [text for text in (*links, *Path(f"/proc/{pid}/maps").read_text().splitlines()) if "sam3d-export" in text]


def test_each_job_gets_its_own_result_from_two_processes_in_order(start_pair):
    engine, exporter = start_pair()
    jobs = [submit(engine, f"nap:0.0{n}|nap:0.0{8 - n}") for n in range(8)]
    reports = [(finish(job).glb, finish(job).report) for job in jobs]
    assert [glb for glb, _ in reports] == [f"glTFnap:0.0{n}|nap:0.0{8 - n}".encode() for n in range(8)]
    assert [report["engine_runs"] for _, report in reports] == [report["runs"] for _, report in reports]
    assert [report["runs"] for _, report in reports] == list(range(1, 9))
    assert len({report["engine_pid"] for _, report in reports} | {report["pid"] for _, report in reports}) == 2
    assert (engine.loads, exporter.loads) == (1, 1)
    assert set(jobs[0].seconds) == {"decode", "reconstruct", "export"}


def test_a_network_runs_while_the_last_result_is_exported(start_pair):
    engine, exporter = start_pair()
    first, second = submit(engine, "nap:0|nap:60"), submit(engine, "nap:60|nap:0")
    until(lambda: (stage(first), stage(second)) == ("export", "reconstruct"))
    assert engine.queue.running is second
    assert engine.exporting == [first]
    second.cancel()
    first.cancel()
    for job in (first, second):
        with pytest.raises(Cancelled):
            finish(job)
    assert engine.exporting == []
    assert (engine.all_losses, exporter.all_losses) == (0, 0)


@pytest.mark.faults
def test_a_job_that_cannot_be_split_is_run_by_the_engine_process_and_closes_its_memory(start_pair):
    """As a scene, whose objects are exported beside its own networks."""
    engine, exporter = start_pair()
    whole = submit(engine, "nap:0", keep_reconstruction=True)
    report = finish(whole).report
    assert "engine_pid" not in report
    assert (whole.export, whole.memory) == (None, None)
    assert whole.reconstruction.read_bytes() == b"reconstruction of nap:0"
    assert finish(submit(engine, "nap:0|nap:0")).report["engine_pid"] == report["pid"]
    assert exporter.loads == 1


def test_no_run_starts_while_an_export_waits(start_pair):
    """So at most three reconstructions are in memory, however many jobs wait."""
    engine, _ = start_pair()
    first, second, third = (submit(engine, photo) for photo in ("nap:0|nap:60", "nap:0|nap:0", "nap:0|nap:0"))
    until(lambda: len(engine.exporting) == 2)
    until(lambda: engine.queue.running is None)
    assert engine.exporting == [first, second]
    assert stage(second) == "reconstruct"
    assert engine.queue.position(third) == 0
    assert engine.state is WorkerState.READY
    first.cancel()
    assert finish(second).report["engine_runs"] == 2
    assert finish(third).report["engine_runs"] == 3


@pytest.mark.faults
@pytest.mark.parametrize("place", ["runs", "waits"])
def test_an_export_is_cancelled_wherever_it_is_and_the_exporter_is_kept(start_pair, place):
    engine, _ = start_pair()
    before = finish(submit(engine, "nap:0|nap:0")).report["pid"]
    running = submit(engine, "nap:0|nap:60")
    waiting = submit(engine, "nap:0|nap:60")
    until(lambda: len(engine.exporting) == 2)
    (running if place == "runs" else waiting).cancel()
    with pytest.raises(Cancelled):
        finish(running if place == "runs" else waiting)
    (waiting if place == "runs" else running).cancel()
    assert finish(submit(engine, "nap:0|nap:0")).report["pid"] == before


@pytest.mark.faults
def test_a_job_that_is_cancelled_on_its_way_to_the_exporter_is_cancelled_there(start_pair):
    engine, _ = start_pair()
    jobs = [submit(engine, "nap:0|nap:60") for _ in range(3)]
    for job in jobs:
        until(lambda job=job: stage(job) is not None)
        job.cancel()
        with pytest.raises(Cancelled):
            finish(job)


def test_an_exporter_that_dies_costs_one_job_and_not_the_engine(start_pair):
    engine, exporter = start_pair()
    before = finish(submit(engine, "nap:0|nap:0")).report
    lost, kept = submit(engine, "nap:0|crash"), submit(engine, "nap:0|nap:0")
    with pytest.raises(EngineLost) as loss:
        finish(lost)
    assert loss.value.retryable
    after = finish(kept).report
    assert after["pid"] != before["pid"]
    assert after["engine_pid"] == before["engine_pid"]
    assert (engine.loads, engine.all_losses, exporter.loads, exporter.all_losses) == (1, 0, 2, 1)


@pytest.mark.faults
def test_an_exporter_that_hangs_ends_at_the_deadline_of_the_whole_run(start_pair):
    engine, exporter = start_pair(deadline_seconds=3.5)
    pid = finish(submit(engine, "nap:0|nap:0")).report["pid"]
    hanging, waiting = submit(engine, "nap:0.5|hang"), submit(engine, "nap:0|nap:0")
    with pytest.raises(DeadlineExceeded, match=r"after 3\.5 seconds"):
        finish(hanging)
    assert hanging.export.started == hanging.started, "the network's time counts too"
    assert not processes.alive(pid)
    assert exporter.all_losses == 1
    assert isinstance(waiting.future.exception(PATIENCE), DeadlineExceeded | None), "it began soon after the first"
    until(lambda: exporter.ready)
    assert finish(submit(engine, "nap:0|nap:0")).report["pid"] != pid
    assert engine.loads == 1


@pytest.mark.faults
def test_an_export_that_waits_beyond_its_deadline_ends_without_a_loss(start_pair, settings):
    engine, exporter = start_pair(f"{RUNNERS}waits", deadline_seconds=0.5)
    with pytest.raises(DeadlineExceeded):
        finish(submit(engine, "nap:0|nap:0"))
    assert (engine.all_losses, exporter.all_losses) == (0, 0)
    (settings.work_dir / "go").touch()
    until(lambda: exporter.ready)
    assert finish(submit(engine, "nap:0|nap:0")).glb


@pytest.mark.faults
def test_an_engine_process_that_dies_costs_no_export(start_pair):
    engine, _ = start_pair()
    pid = finish(submit(engine, "nap:0|nap:0")).report["engine_pid"]
    exported = submit(engine, "nap:0|nap:0.5")
    until(lambda: stage(exported) == "export")
    lost = submit(engine, "crash")
    with pytest.raises(EngineLost):
        finish(lost)
    assert not processes.alive(pid)
    assert finish(exported).report["engine_pid"] == pid
    until(lambda: engine.loads == 2)
    assert finish(submit(engine, "nap:0|nap:0")).report["engine_pid"] != pid


@pytest.mark.faults
def test_an_idle_exporter_that_is_killed_is_replaced(start_pair):
    engine, exporter = start_pair()
    pid = finish(submit(engine, "nap:0|nap:0")).report["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: exporter.loads == 2)
    assert finish(submit(engine, "nap:0|nap:0")).report["pid"] != pid


@pytest.mark.faults
def test_where_no_exporter_loads_a_job_says_so_and_the_engine_lives_on(start_pair):
    engine, exporter = start_pair("tests.support.fake_runner:broken")
    for _ in range(2):
        with pytest.raises(NotReady, match="could not be loaded"):
            finish(submit(engine, "nap:0|nap:0"))
    assert (engine.loads, engine.all_losses, engine.exporting) == (1, 0, [])
    assert exporter.state is WorkerState.FAILED


@pytest.mark.faults
@pytest.mark.parametrize("error", [NotReady("The service is shutting down."), RuntimeError("can't start new thread")])
def test_where_no_exporter_can_be_started_a_job_ends_and_the_engine_lives_on(start_worker, error):
    def refuse():
        raise error

    engine = start_worker(f"{RUNNERS}SplitRunner", exporter=refuse)
    until(lambda: engine.ready)
    expected = NotReady if isinstance(error, NotReady) else Internal
    for _ in range(2):
        assert type(submit(engine, "nap:0|nap:0").future.exception(PATIENCE)) is expected
    assert (engine.loads, engine.all_losses, engine.exporting) == (1, 0, [])


@pytest.mark.faults
@pytest.mark.parametrize(("verb", "error"), [("refuse", NoObject), ("bug", Internal), ("poison", EngineLost)])
def test_an_error_of_either_part_is_the_jobs_own(start_pair, verb, error):
    engine, _ = start_pair()
    for photo in (f"{verb}|nap:0", f"nap:0|{verb}"):
        with pytest.raises(error) as raised:
            finish(submit(engine, photo))
        assert "secret" not in raised.value.detail
    assert finish(submit(engine, "nap:0|nap:0")).glb


@pytest.mark.faults
@pytest.mark.parametrize("photo", ["litter|nap:0", "nap:0|litter", "litter:crash|nap:0", "nap:0|litter:crash", "bug"])
def test_no_file_and_no_memory_is_left_by_either_part(start_pair, workdir, photo):
    engine, exporter = start_pair()
    pids = finish(submit(engine, "nap:0|nap:0")).report
    job = submit(engine, photo)
    job.future.exception(PATIENCE)
    assert list(workdir.path.iterdir()) == []
    assert (job.submission, job.memory) == (None, None)
    until(lambda: engine.ready and exporter.ready)
    living = [pid for pid in (os.getpid(), pids["pid"], pids["engine_pid"]) if processes.alive(pid)]
    until(lambda: not any(map(shared_memories, living)))


@pytest.mark.faults
def test_a_reconstruction_is_handed_over_and_goes_with_its_job(start_pair, workdir):
    engine, _ = start_pair()
    job = submit(engine, "nap:0|nap:0", keep_reconstruction=True)
    assert finish(job).report["with_splats"]
    assert job.reconstruction.read_bytes() == b"reconstruction of nap:0|nap:0"
    assert list(workdir.path.iterdir()) == [job.reconstruction]
    del job
    until(lambda: list(workdir.path.iterdir()) == [])


def test_an_ended_job_is_freed_with_its_last_reference(start_pair):
    """And not by the garbage collector: its result has megabytes."""
    engine, _ = start_pair()
    job = submit(engine, "nap:0|nap:0")
    finish(job)
    seen = weakref.ref(job)
    until(lambda: engine.queue.running is None)
    gc.disable()
    try:
        del job
        until(lambda: seen() is None)
    finally:
        gc.enable()


def test_stopping_ends_runs_and_exports(start_pair):
    engine, exporter = start_pair()
    jobs = [submit(engine, "nap:0|nap:60"), submit(engine, "nap:60|nap:0"), submit(engine, "nap:0|nap:0")]
    until(lambda: (stage(jobs[0]), stage(jobs[1])) == ("export", "reconstruct"))
    for worker in (exporter, engine):
        worker.stop()
    for job in jobs:
        with pytest.raises(NotReady):
            finish(job)
    assert engine.exporting == []


@pytest.mark.faults
def test_neither_process_outlives_a_killed_service(tmp_path):
    """And with the last of them the kernel frees the shared memory, which has no name."""
    program = f"""
import threading
from pathlib import Path
from sam3d_bento.serving.worker.worker import Worker
from sam3d_bento.serving.worker.workdir import WorkDir
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Submission
settings = Settings(work_dir=Path({str(tmp_path)!r}))
workdir = WorkDir(settings.work_dir)
workdir.claim()
exporter = Worker("export", "{RUNNERS}Exporter", settings, workdir, queue_while_loading=True)
engine = Worker(
    "engine", "{RUNNERS}SplitRunner", settings, workdir, queue_while_loading=True, exporter=lambda: exporter
)
exporter.start()
engine.start()
report = engine.submit(Submission(b"nap:0|nap:0"), "x").future.result().report
first, second = (engine.submit(Submission(photo), "x") for photo in (b"nap:0|hang", b"hang|nap:0"))
while not (engine.exporting and engine.queue.running is second and second.progress):
    threading.Event().wait(0.01)
print(report["pid"], report["engine_pid"], flush=True)
threading.Event().wait()
"""
    service = processes.start([sys.executable, "-c", program], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in service.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(processes.alive, pids))
    assert all(map(shared_memories, (service.pid, *pids)))
    service.kill()
    service.communicate()
    until(lambda: not any(map(processes.alive, pids)))


@pytest.mark.faults
def test_a_shortage_of_descriptors_fails_the_job_and_nothing_else(start_pair):
    engine, _ = start_pair()
    finish(submit(engine, "nap:0|nap:0"))
    with descriptors.none_left():
        assert submit(engine, "nap:0|nap:0").future.exception(PATIENCE).retryable
    assert finish(submit(engine, "nap:0|nap:0")).report["engine_runs"] == 2


@pytest.mark.faults
def test_an_export_ends_when_the_work_folder_hangs(start_pair, settings, monkeypatch):
    monkeypatch.setattr("sam3d_bento.serving.worker.worker.OVERDUE_SECONDS", 0.2)
    engine, exporter = start_pair(deadline_seconds=2)
    finish(submit(engine, "nap:0|nap:0"))
    job = submit(engine, "nap:0|nap:60")
    until(lambda: stage(job) == "export")
    hanging = HangingDisk(settings.work_dir)
    try:
        with pytest.raises(DeadlineExceeded):
            finish(job)
    finally:
        hanging.end()
    until(lambda: engine.ready and exporter.ready)
    assert finish(submit(engine, "nap:0|nap:0")).glb
