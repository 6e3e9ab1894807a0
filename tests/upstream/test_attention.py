"""Packed attention gives upstream's numbers without its mask."""

import contextlib
import importlib
import random

import pytest

pytestmark = pytest.mark.usefixtures("upstream")

PACKAGE = "sam3d_objects.model.backbone.tdfy_dit.modules.sparse.attention"


def random_lengths(count, longest, seed=0):
    return [random.Random(seed).randint(1, longest) for _ in range(count)]


@pytest.mark.parametrize(
    "lengths",
    [[700], [1], [1, 1, 1], [64, 64], [1, 5, 300, 17, 64, 65, 512, 2, 900], random_lengths(60, 220)],
    ids=["one", "one of one", "ones", "equal", "mixed", "windows"],
)
def test_self_attention_equals_upstreams(lengths):
    import torch

    from sam3d_bento.engines.sam3d.attention import packed_attention

    torch.manual_seed(0)
    q, k, v = (torch.randn(1, sum(lengths), 3, 16) for _ in range(3))
    expected = importlib.import_module(f"{PACKAGE}.masked_sdpa").masked_sdpa(q, k, v, lengths, lengths)
    assert (packed_attention(q, k, v, lengths, lengths) - expected).abs().max() < 1e-5


def test_cross_attention_equals_upstreams():
    import torch

    from sam3d_bento.engines.sam3d.attention import packed_attention

    torch.manual_seed(0)
    q_lengths, kv_lengths = random_lengths(20, 90), random_lengths(20, 400, seed=1)
    q = torch.randn(1, sum(q_lengths), 2, 8)
    k, v = (torch.randn(1, sum(kv_lengths), 2, 8) for _ in range(2))
    expected = importlib.import_module(f"{PACKAGE}.masked_sdpa").masked_sdpa(q, k, v, q_lengths, kv_lengths)
    assert (packed_attention(q, k, v, q_lengths, kv_lengths) - expected).abs().max() < 1e-5


def test_nothing_as_large_as_the_mask_is_ever_allocated():
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from sam3d_bento.engines.sam3d.attention import packed_attention

    class Largest(TorchDispatchMode):
        values = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(tensor, torch.Tensor):
                    self.values = max(self.values, tensor.numel())
            return result

    lengths = random_lengths(100, 200)
    total, heads, channels = sum(lengths), 4, 16
    q, k, v = (torch.randn(1, total, heads, channels) for _ in range(3))
    with Largest() as seen:
        packed_attention(q, k, v, lengths, lengths)
    assert seen.values < 2.1 * total * heads * channels  # the padded queries, not total x total
    assert seen.values < total * total / 10


def test_upstream_calls_it_and_keeps_its_own_backend_after_packed():
    from sam3d_bento.engines.sam3d.attention import packed, packed_attention

    modules = [importlib.import_module(f"{PACKAGE}.{name}") for name in ("full_attn", "windowed_attn")]
    assert all(module.masked_sdpa is packed_attention for module in modules)
    for module in modules:
        module.ATTN = "flash_attn"  # as on a GPU with that package
    try:
        with packed():
            assert all(module.ATTN == "sdpa" for module in modules)
        assert all(module.ATTN == "flash_attn" for module in modules)
        with contextlib.suppress(KeyError), packed():
            raise KeyError
        assert all(module.ATTN == "flash_attn" for module in modules)
    finally:
        for module in modules:
            module.ATTN = "sdpa"
