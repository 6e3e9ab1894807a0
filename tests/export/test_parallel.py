import threading
from collections.abc import Iterator

import pytest

from sam3d_bento.export import parallel
from sam3d_bento.export.parallel import both, in_order


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "CORES", 2)


def test_results_come_in_order_and_items_run_side_by_side() -> None:
    first_may_end = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert first_may_end.wait(60)  # only the second item sets it, so both must run at once
        if item == 1:
            first_may_end.set()
        return item * item

    assert list(in_order(work, range(10))) == [item * item for item in range(10)]


def test_few_items_are_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(lambda item: item, items())
    assert next(results) == 0
    assert len(taken) == 3  # one for each of two threads, and one whose result was awaited


def test_an_error_is_raised_in_order_and_ends_the_iteration() -> None:
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        return 10 // (3 - item)

    results = in_order(work, range(1000))
    assert [next(results) for _ in range(3)] == [3, 5, 10]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) <= 6


def test_closing_the_iterator_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    results = in_order(lambda item: item, range(1000))
    next(results)
    results.close()
    assert threading.active_count() == before


def test_both_run_at_once_and_each_result_is_in_its_place() -> None:
    met = threading.Barrier(2, timeout=60)

    def work(name: str) -> str:
        met.wait()
        return name

    assert both(lambda: work("first"), lambda: work("second")) == ("first", "second")


@pytest.mark.parametrize("place", [0, 1])
def test_an_error_of_either_is_raised_and_no_thread_is_left(place: int) -> None:
    before = threading.active_count()
    parts = [lambda: 1, lambda: 1]
    parts[place] = lambda: 1 // 0
    with pytest.raises(ZeroDivisionError):
        both(*parts)
    assert threading.active_count() == before
