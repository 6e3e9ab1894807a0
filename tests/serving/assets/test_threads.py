import asyncio
import gc
import threading
import time
import weakref

import pytest

from sam3d_bento.errors import StorageUnavailable
from sam3d_bento.serving.assets import threads
from sam3d_bento.serving.assets.threads import StorageThreads
from sam3d_bento.serving.worker.state import WorkerState
from tests.support.hanging_disk import HangingDisk
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(threads, "PATIENCE_SECONDS", 0.2)


@pytest.fixture
def hang():
    """A call that waits as a disk does that hangs; it ends with the test."""
    ended = threading.Event()
    yield lambda: ended.wait(PATIENCE)
    ended.set()


@pytest.fixture(params=["run", "call"])
def call(request):
    """Both ways to make a call: from an event loop, and from a thread."""
    if request.param == "call":
        return lambda store, *arguments: store.call(*arguments)
    return lambda store, *arguments: asyncio.run(store.run(*arguments))


def test_a_call_gives_what_the_function_gives(call):
    store = StorageThreads("test")
    assert call(store, divmod, 7, 3) == (2, 1)


@pytest.mark.parametrize("error", [ZeroDivisionError(), TimeoutError(110, "Connection timed out"), SystemExit(1)])
def test_an_error_is_the_functions_own_also_when_the_disk_itself_gives_up(call, error):
    def fail():
        raise error

    with pytest.raises(type(error)) as raised:
        call(StorageThreads("test"), fail)
    assert raised.value.args == error.args


def test_a_call_that_hangs_is_given_up(call, hang, impatient):
    with pytest.raises(StorageUnavailable) as raised:
        call(StorageThreads("test"), hang)
    assert raised.value.retryable


def test_calls_that_hang_take_no_more_threads_than_the_limit_and_those_behind_them_are_given_up(hang, impatient):
    store = StorageThreads("bounded", 3)

    async def ask():
        return await asyncio.gather(*(store.run(hang) for _ in range(20)), return_exceptions=True)

    start = time.monotonic()
    assert {type(outcome) for outcome in asyncio.run(ask())} == {StorageUnavailable}
    assert time.monotonic() - start < 5
    assert sum(thread.name.startswith("bounded-") for thread in threading.enumerate()) == 3


def test_when_the_disk_answers_again_so_do_the_threads(impatient):
    store, ended = StorageThreads("test", 1), threading.Event()
    with pytest.raises(StorageUnavailable):
        store.call(ended.wait)
    ended.set()
    assert store.call(divmod, 7, 3) == (2, 1)


def test_no_thread_is_started_where_one_is_idle():
    store = StorageThreads("idle", 8)
    for _ in range(20):
        until(lambda: store.call(lambda: True))
    assert sum(thread.name.startswith("idle-") for thread in threading.enumerate()) <= 2


def test_the_threads_do_not_hold_up_the_end_of_the_process():
    store = StorageThreads("daemon")
    assert store.call(lambda: threading.current_thread().daemon)


def test_late_result_of_an_abandoned_call_is_dropped(impatient):
    class Opened:
        pass

    store, ended, made = StorageThreads("test", 1), threading.Event(), []

    def open_late():
        ended.wait(PATIENCE)
        opened = Opened()
        made.append(weakref.ref(opened))
        return opened

    with pytest.raises(StorageUnavailable):
        asyncio.run(store.run(open_late))
    ended.set()
    store.call(lambda: None)
    until(lambda: gc.collect() >= 0 and made[0]() is None)


def test_a_store_that_hangs_at_the_start_is_the_reason_in_health(serve, settings, monkeypatch):
    monkeypatch.setattr(threads, "PATIENCE_SECONDS", 0.5)
    settings.output_dir.mkdir()
    hanging = HangingDisk(settings.output_dir)
    try:
        report = serve(wait_for=(WorkerState.FAILED,)).get("/health")
    finally:
        hanging.end()
    said = "The folder in SAM3D_OUTPUT_DIR cannot be used: The storage does not respond."
    assert (report.status_code, report.json()["reason"]) == (503, said)
