import threading
import time

import pytest

from sam3d_bento.serving.worker import heartbeat
from sam3d_bento.serving.worker.heartbeat import Work, beating
from tests.support.waiting import until

LIMIT = 0.08  # seconds: a look each hundredth


def compute():
    """Use the processor for longer than counts as nothing."""
    end = time.process_time() + 2 * heartbeat.MIN_CPU_SECONDS
    while time.process_time() < end:
        pass


def test_work_is_seen_and_waiting_is_none():
    before = Work.so_far()
    threading.Event().wait(0.05)
    assert not Work.so_far().exceeds(before)
    compute()
    assert Work.so_far().exceeds(before)


def test_a_load_that_only_reads_gets_on(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(bytes(2 * heartbeat.MIN_READ_BYTES))
    before = Work.so_far()
    file.read_bytes()
    assert Work.so_far().exceeds(before)


@pytest.mark.parametrize("work", [Work(1.02, 0, 0), Work(1, 65_536, 0), Work(1, 0, 64)])
def test_any_kind_of_work_is_enough(work):
    before = Work(1, 0, 0)
    assert work.exceeds(before)
    assert not before.exceeds(before)


def test_a_load_that_gets_on_is_heard_and_after_its_end_nothing_is():
    beats = []
    with beating(lambda: beats.append(1), LIMIT):
        until(lambda: compute() or len(beats) >= 2)
    heard = len(beats)
    compute()
    threading.Event().wait(0.05)
    assert len(beats) == heard


def test_a_load_that_waits_for_ever_is_not_heard():
    beats = []
    with beating(lambda: beats.append(1), LIMIT):
        threading.Event().wait(0.3)
    assert len(beats) <= 1, "the start of the thread may count"


def test_a_service_that_is_gone_ends_the_beats_and_not_the_load():
    def beat():
        raise BrokenPipeError

    with beating(beat, LIMIT):
        for _ in range(3):
            compute()
