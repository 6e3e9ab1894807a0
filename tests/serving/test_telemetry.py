import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sam3d_bento.errors import EngineLost
from sam3d_bento.options import Options
from sam3d_bento.serving import telemetry
from sam3d_bento.serving.worker import State
from sam3d_bento.submission import Submission

PATIENCE = 30


def load(worker):
    """Waiting and running, as Prometheus reads them."""
    families = text_string_to_metric_families(telemetry.exposition(worker))
    values = {sample.name: sample.value for family in families for sample in family.samples}
    return values["sam3d_queue_waiting"], values["sam3d_queue_running"]


def submit(worker, photo):
    return worker.submit(Submission(photo.encode(), None, Options()), photo)


def wait_for(condition):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        threading.Event().wait(0.01)


@pytest.fixture
def worker(start_worker):
    worker = start_worker()
    wait_for(lambda: worker.state is State.READY)
    return worker


def test_the_metrics_count_what_waits_and_what_runs(worker):
    assert load(worker) == (0, 0)
    jobs = [submit(worker, "nap:60") for _ in range(3)]
    wait_for(lambda: worker.running is not None)
    assert load(worker) == (2, 1)
    jobs[2].cancel()
    assert load(worker) == (1, 1)
    for job in jobs:
        job.cancel()
    wait_for(lambda: all(job.future.done() for job in jobs))
    assert load(worker) == (0, 0)


def test_a_lost_engine_leaves_nothing_running_and_keeps_those_who_wait(worker):
    lost = submit(worker, "crash")
    waiting = submit(worker, "nap:60")
    with pytest.raises(EngineLost):
        lost.future.result(PATIENCE)
    assert sum(load(worker)) == 1
    waiting.cancel()
    wait_for(waiting.future.done)
    assert load(worker) == (0, 0)
