"""Which kernels are chosen, and what is said where there are none."""

from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.usefixtures("upstream")


@pytest.fixture
def gpu(monkeypatch):
    """Let there be an H100."""
    import torch

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    return torch.device("cuda:0")


def test_off_is_off_and_a_cpu_has_none(gpu):
    import torch

    from sam3d_bento.engines.sam3d.kernels.choice import choose

    assert choose("off", gpu) == (None, "off: SAM3D_KERNELS is off")
    assert choose("auto", torch.device("cpu")) == (None, "off: there is no GPU")


@pytest.mark.parametrize("reason", ["not installed", "older", "cannot compile", "something else"])
def test_what_stands_in_the_way_is_said_without_a_path(gpu, reason, monkeypatch, caplog):
    import torch

    from sam3d_bento.engines.sam3d.kernels import choice

    def no_compiler(operations, device):
        raise PermissionError(13, "Permission denied", "/app/triton/0123")

    monkeypatch.setattr(choice, "differing", lambda operations, device: "attention")
    if reason == "not installed":
        monkeypatch.setattr(choice.importlib.util, "find_spec", lambda name: None)
    elif reason == "older":
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    elif reason == "cannot compile":
        monkeypatch.setattr(choice, "differing", no_compiler)
    if reason not in ("not installed", "older"):
        pytest.importorskip("triton")
    chosen = choice.choose("auto", gpu)
    assert chosen.operations is None
    assert chosen.summary.startswith("off: ")
    assert reason in chosen.summary
    assert "/" not in chosen.summary
    assert chosen.summary.removeprefix("off: ") in caplog.text


def test_a_kernel_that_computes_something_else_is_named():
    import torch

    from sam3d_bento.engines.sam3d.kernels import reference
    from sam3d_bento.engines.sam3d.kernels.choice import differing

    device = torch.device("cpu")
    assert differing(reference, device) is None
    for factor in (1.01, float("nan")):
        wrong = SimpleNamespace(**vars(reference))
        wrong.group_norm_silu = lambda x, norm, factor=factor: reference.group_norm_silu(x, norm) * factor
        assert differing(wrong, device) == "group norm, 768 channels"
