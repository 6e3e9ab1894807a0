"""What the engine process may do to itself, and what a client sees of it."""

import os
import signal
import time

import pytest

from tests.support.asking import asking, engine_pid, files_below, health, post, problem, well
from tests.support.waiting import until

pytestmark = pytest.mark.server


@pytest.mark.parametrize(
    ("verb", "answer"),
    [
        (b"bug", (500, "internal", False)),
        (b"oom", (503, "gpu_out_of_memory", True)),
        (b"refuse", (422, "no_object", False)),
    ],
)
def test_an_engine_that_raises_costs_one_request_and_no_process(faulty, photo, verb, answer):
    well(faulty)
    before = engine_pid(faulty)
    refused = post(faulty, verb)
    assert problem(refused) == answer
    assert "secret" not in refused.text
    assert post(faulty, photo).status_code == 200
    assert engine_pid(faulty) == before


@pytest.mark.parametrize("verb", [b"hang", b"stuck"])
def test_an_engine_that_hangs_is_replaced_and_the_next_photo_is_served_in_15_seconds(faulty, photo, verb):
    """stuck: inside native code that holds the interpreter."""
    well(faulty)
    before = engine_pid(faulty)
    hanging = post(faulty, verb)
    ended = time.monotonic()
    assert problem(hanging) == (504, "deadline_exceeded", True)
    until(lambda: post(faulty, photo).status_code == 200)
    assert time.monotonic() - ended < 15
    assert engine_pid(faulty) != before


def test_jobs_in_the_queue_survive_a_kill_of_the_engine(faulty, photo):
    well(faulty)
    engine = engine_pid(faulty)
    running = asking(faulty, b"nap:30")
    until(lambda: (health(faulty)["run"] or {}).get("stage") == "reconstruct")
    waiting = [asking(faulty, photo), asking(faulty, photo)]
    until(lambda: health(faulty)["queue"]["waiting"] == 2)
    os.kill(engine, signal.SIGKILL)
    for thread in (running, *waiting):
        thread.join()
    assert problem(running.answer) == (503, "engine_lost", True)
    assert [thread.answer.status_code for thread in waiting] == [200, 200]
    assert waiting[0].answer.content == waiting[1].answer.content


def test_an_engine_killed_while_idle_is_replaced_before_anyone_asks(faulty, photo):
    before = well(faulty)["loads"]
    os.kill(engine_pid(faulty), signal.SIGKILL)
    until(lambda: health(faulty)["loads"] > before)
    assert post(faulty, photo).status_code == 200


def test_no_fault_leaves_a_file_in_the_work_directory(faulty, photo):
    well(faulty)
    for verb in (b"litter", b"bug", b"litter:crash"):
        post(faulty, verb)
    until(lambda: post(faulty, photo).status_code == 200)
    assert files_below(faulty.work_dir) == []


def test_sigterm_answers_what_runs_and_what_waits(start_faulty, photo):
    server = start_faulty()
    well(server)
    running = asking(server, b"nap:1.5")
    until(lambda: health(server)["queue"]["running"])
    waiting = asking(server, photo)
    until(lambda: health(server)["queue"]["waiting"])
    assert server.stop() == 0
    for thread in (running, waiting):
        thread.join()
    assert running.answer.status_code == 200
    assert waiting.answer.status_code == 200
    assert list(server.work_dir.iterdir()) == []
