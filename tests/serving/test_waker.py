import threading
from multiprocessing import Pipe

import pytest

from sam3d_bento.serving.waker import Waker

PATIENCE = 30


@pytest.fixture
def pipe():
    """Both ends; the second is the one to wait for."""
    theirs, ours = Pipe()
    yield theirs, ours
    theirs.close()
    ours.close()


def returns(waker, pipe):
    """Whether a wait without a limit comes back."""
    waiting = threading.Thread(target=waker.wait, args=(pipe,), daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    return not waiting.is_alive()


def test_a_message_ends_the_wait_and_is_left_to_be_read(pipe):
    theirs, ours = pipe
    theirs.send("news")
    assert returns(Waker(), ours)
    assert ours.recv() == "news"


def test_a_closed_pipe_ends_the_wait(pipe):
    theirs, ours = pipe
    theirs.close()
    assert returns(Waker(), ours)


def test_another_thread_ends_the_wait(pipe):
    waker = Waker()
    threading.Timer(0.05, waker.wake).start()
    assert returns(waker, pipe[1])


def test_a_wake_that_came_early_ends_the_next_wait_only(pipe):
    waker = Waker()
    for _ in range(3):
        waker.wake()
    assert returns(waker, pipe[1])
    waker.wait(pipe[1], 0.01)
    assert not pipe[1].poll(0), "the second wait ended by its time"


def test_nobody_who_wakes_is_held_up_by_a_thread_that_never_waits():
    waker = Waker()
    for _ in range(100_000):
        waker.wake()
