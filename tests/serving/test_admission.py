"""The budget of uploads: nothing is reserved beyond it, everything comes back."""

import threading

import pytest

from sam3d_bento.errors import Busy
from sam3d_bento.serving.admission import Budget, Reservation


def test_upload_that_does_not_fit_is_busy_and_reserves_nothing():
    budget = Budget(100)
    one, other = Reservation(budget), Reservation(budget)
    one.grow(60)
    with pytest.raises(Busy) as refusal:
        other.grow(41)
    assert refusal.value.retry_after_seconds > 0
    assert (budget.held, other.count) == (60, 0)
    other.grow(40)
    assert budget.held == 100


def test_one_that_is_alone_may_be_larger_than_the_budget():
    budget = Budget(100)
    alone = Reservation(budget)
    alone.grow(90)
    alone.grow(90)
    assert budget.held == 180
    with pytest.raises(Busy):
        Reservation(budget).grow(1)


def test_handed_over_bytes_outlive_the_request_and_are_released_once():
    budget = Budget(100)
    request = Reservation(budget)
    request.grow(50)
    file = request.hand_over(30)
    request.release()
    assert budget.held == 30
    file.release()
    file.release()
    assert budget.held == 0


def test_more_than_was_reserved_is_reserved_when_it_is_handed_over():
    budget = Budget(100)
    request = Reservation(budget)
    request.grow(10)
    with pytest.raises(Busy):
        Reservation(budget).grow(91)
    assert request.hand_over(40).count == 40
    assert budget.held == 40


def test_threads_at_once_never_hold_more_than_the_budget():
    budget = Budget(1000)
    most = []

    def act():
        for _ in range(500):
            own = Reservation(budget)
            try:
                own.grow(300)
            except Busy:
                continue
            most.append(budget.held)
            own.release()

    threads = [threading.Thread(target=act) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 1000
    assert budget.held == 0
