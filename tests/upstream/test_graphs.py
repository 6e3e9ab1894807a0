"""What is recorded when, and what of it is seen outside. Only a GPU records: here, to replay is to call again."""

import logging

import pytest

from tests.support.recorder import Recorder

pytestmark = pytest.mark.usefixtures("upstream")


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def replayed(recorder):
    """Of a tree of tensors and a number."""
    import torch

    from sam3d_bento.engines.sam3d.graphs import Replayed

    return Replayed(lambda x, times=1: {"tanh": torch.tanh(x["given"]) * times}, recorder)


def test_every_result_is_the_functions_and_outlives_the_calls_after_it(replayed):
    import torch

    given = [torch.randn(3) for _ in range(5)]
    results = [replayed({"given": x}, times=2)["tanh"] for x in given]
    assert all(torch.equal(result, torch.tanh(x) * 2) for x, result in zip(given, results, strict=True))


def test_the_second_call_of_a_kind_is_recorded_and_it_and_all_others_are_replayed(replayed, recorder):
    import torch

    seen = []
    for _ in range(4):
        replayed({"given": torch.ones(3)})
        seen.append((recorder.recorded, recorder.replays))
    assert seen == [(0, 0), (1, 1), (1, 2), (1, 3)]


@pytest.mark.parametrize("other", ["shape", "dtype", "constant"])
def test_call_that_differs_in_more_than_numbers_is_recorded_separately(replayed, recorder, other):
    import torch

    x = torch.randn(3)
    different = {"shape": (torch.randn(4), 1), "dtype": (torch.randn(3).double(), 1), "constant": (x, 5)}[other]
    for _ in range(3):
        replayed({"given": x}, times=1)
        given, times = different
        assert torch.equal(replayed({"given": given}, times=times)["tanh"], torch.tanh(given) * times)
    assert recorder.recorded == 2


def test_nothing_recorded_is_replayed_after_a_drop(replayed, recorder):
    import torch

    for _ in range(3):
        replayed({"given": torch.ones(3)})
    replayed.drop()
    replays = recorder.replays
    assert torch.equal(replayed({"given": torch.zeros(3)})["tanh"], torch.zeros(3))
    assert recorder.replays == replays


@pytest.mark.parametrize("error", ["operation not permitted when stream is capturing", "CUDA out of memory"])
def test_call_that_cannot_be_recorded_runs_directly_and_is_logged_once(error, caplog):
    import torch

    from sam3d_bento.engines.sam3d.graphs import Replayed

    attempts = []

    def refuse(function):
        attempts.append(1)
        raise RuntimeError(error + "\nsecond line")

    replayed = Replayed(torch.tanh, refuse)
    with caplog.at_level(logging.WARNING, logger="sam3d_bento.sam3d"):
        for _ in range(4):
            x = torch.randn(3)
            assert torch.equal(replayed(x), torch.tanh(x))
    assert attempts == [1]
    assert [record.getMessage() for record in caplog.records] == [
        f"sampling steps cannot be recorded and take longer: {error}"
    ]


def test_an_error_of_the_function_itself_is_the_callers(recorder):
    import torch

    from sam3d_bento.engines.sam3d.graphs import Replayed

    def fail(x):
        raise RuntimeError("no")

    replayed = Replayed(fail, recorder)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no"):
            replayed(torch.ones(1))
