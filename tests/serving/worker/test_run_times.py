import pytest

from sam3d_bento.serving.worker.run_times import RunTimes

RUN = {"decode": 1.0, "mask": 1.0, "reconstruct": 6.0, "export": 2.0}


@pytest.fixture
def run_times():
    run_times = RunTimes()
    run_times.learn(RUN)
    return run_times


def test_before_the_first_run_there_is_a_bar_but_no_estimate():
    run_times = RunTimes()
    assert 0 < run_times.fraction("reconstruct", 0.5) < run_times.fraction("export", 0.5) < 1
    assert run_times.remaining(0.5) is None


def test_a_stage_has_its_share_of_the_past_runs_seconds(run_times):
    assert run_times.fraction("reconstruct", 0.5) == pytest.approx(0.5)
    assert run_times.fraction("export", 1.0) == pytest.approx(1.0)
    assert run_times.remaining(0.5) == pytest.approx(5.0)


def test_waiting_job_waits_for_earlier_jobs(run_times):
    assert run_times.remaining(0.0, runs_before=2, fraction_before=0.5) == pytest.approx(25.0)


@pytest.mark.parametrize(("export", "turn"), [(2.0, 8.0), (8.0, 8.0), (9.0, 9.0)])
def test_a_job_waits_for_the_longer_part_of_runs_that_overlap(export, turn):
    run_times = RunTimes()
    run_times.learn(RUN | {"export": export})
    run_times.overlaps = True
    assert run_times.turn_seconds == turn
    assert run_times.remaining(0.0, runs_before=2) == pytest.approx(2 * turn + 8.0 + export)
    assert run_times.remaining(0.5) == pytest.approx((8.0 + export) / 2), "its own parts follow each other"


def test_a_new_run_moves_the_mean_by_a_part(run_times):
    run_times.learn({stage: 2 * seconds for stage, seconds in RUN.items()})
    assert run_times.run_seconds == pytest.approx(13.0)


def test_a_run_without_some_stages_is_as_long_as_those_that_it_had():
    run_times = RunTimes()
    run_times.learn({"decode": 1.0, "mask": 2.0})
    assert run_times.run_seconds == 3.0
    assert run_times.fraction("mask", 1.0) == 1.0
