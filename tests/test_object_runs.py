"""The runs of a scene's objects: order, overlap, and what stops them."""

import threading

import pytest

from sam3d_bento.errors import Cancelled, NoObject
from sam3d_bento.object_runs import MAX_WAITING_EXPORTS, ObjectRun, run_objects
from tests.support.waiting import PATIENCE


def runs(count):
    return [ObjectRun(f"object-{index + 1}") for index in range(count)]


def silent(*told):
    pass


def test_an_export_goes_on_beside_the_next_network():
    """Each waits for the other: one after the other, they would wait for ever."""
    in_export, in_network = threading.Event(), threading.Event()
    two = runs(2)

    def reconstruct(index, on_step):
        if index == 1:
            in_network.set()
            assert in_export.wait(PATIENCE)
        return index

    def export(index, made, on_step):
        if index == 0:
            in_export.set()
            assert in_network.wait(PATIENCE)
        return f"glb {made}"

    run_objects(two, reconstruct, export, silent)
    assert [run.result for run in two] == ["glb 0", "glb 1"]
    first, second = (run.times for run in two)
    assert first["export"][0] <= second["reconstruct"][1], "it began before the network had ended"
    assert second["reconstruct"][0] <= first["export"][1]
    assert first["reconstruct"][1] <= second["reconstruct"][0], "the network works on one object at a time"
    assert first["export"][1] <= second["export"][0], "and so does the exporter"


def test_the_network_does_not_run_far_ahead_of_the_exports():
    ahead, go_on = [], threading.Event()
    four = runs(4)
    made, exported = [], []

    def reconstruct(index, on_step):
        ahead.append(len(made) - len(exported))
        made.append(index)
        return index

    def export(index, number, on_step):
        assert go_on.wait(PATIENCE)
        exported.append(index)
        return index

    def on_progress(stage, fraction, objects):
        if sum(each.stage == "export" or each.state == "done" for each in objects) > MAX_WAITING_EXPORTS + 1:
            go_on.set()

    run_objects(four, reconstruct, export, on_progress)
    assert [run.result for run in four] == [0, 1, 2, 3]
    assert max(ahead) <= MAX_WAITING_EXPORTS + 1


def test_what_has_a_result_or_an_error_is_not_run_again():
    three = runs(3)
    three[0].result, three[1].error = "kept", NoObject("Nothing here.")
    ran, told = [], []
    run_objects(
        three,
        lambda index, on_step: ran.append(index) or index,
        lambda i, made, on_step: made,
        lambda *what: told.append(what),
    )
    assert ran == [2]
    assert (three[0].result, three[1].error.code, three[2].result) == ("kept", "no_object", 2)
    assert [each.state for each in told[0][2]] == ["done", "failed", "running"]


def test_a_cancelled_run_ends_the_export_at_its_next_step():
    exporting, ended = threading.Event(), threading.Event()

    def export(index, made, on_step):
        exporting.set()
        try:
            while True:
                on_step(0.5)
        finally:
            ended.set()

    def on_progress(stage, fraction, objects):
        if exporting.is_set():
            raise Cancelled("Stop.")

    with pytest.raises(Cancelled):
        run_objects(runs(1), lambda index, on_step: index, export, on_progress)
    assert ended.is_set()
