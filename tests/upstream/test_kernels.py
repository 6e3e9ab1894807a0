"""Each Triton kernel against its torch form, in Triton's interpreter on the CPU."""

from importlib.util import find_spec
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton has no wheel for this machine")


@pytest.fixture(scope="module")
def both(upstream):
    """The Triton operations, interpreted, and their torch forms."""
    from triton.runtime import interpreter

    from sam3d_bento.engines.sam3d.kernels import reference, triton_operations

    # Triton 3.6 takes `int` of an array of one number as the bound of a loop, which NumPy 2.4 refuses.
    patch = interpreter._patch_lang_tensor

    def patched(tensor, scope):
        patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched
    return triton_operations, reference


@pytest.fixture(autouse=True)
def seeded(upstream):
    import torch

    torch.manual_seed(0)


NORMS = {
    "norm": {},
    "first block": {"modulation": 2},
    "after self-attention": {"added": 7, "gate": 1, "affine": 2},
    "after cross-attention": {"added": 4, "constant": 1, "modulation": 2},
    "last block": {"added": 7, "gate": 1, "norm": False},
    "residual block": {"affine": 2, "silu": True},
}


@pytest.mark.parametrize("case", NORMS)
@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float32", "float16"), ("float16", "float16")])
def test_residual_norm(both, case, dtypes):
    import torch

    stream, dtype = (getattr(torch, name) for name in dtypes)
    how = dict(NORMS[case])
    channels = 96  # no power of two
    for name, of in (("added", dtype), ("gate", dtype), ("constant", dtype), ("affine", torch.float32)):
        if name in how:
            rows = (how[name],) if name == "added" else ()
            made = [torch.randn(*rows, channels).to(of) for _ in range(2)]
            how[name] = tuple(made) if name == "affine" else made[0]
    if "modulation" in how:
        how["modulation"] = tuple(torch.randn(2, channels).to(dtype))
    x = torch.randn(7, channels).to(stream)
    results = []
    for operations in both:
        own = x.clone()
        results.append((own, operations.residual_norm(own, dtype, **how)))
    (x_fused, y_fused), (x_expected, y_expected) = results
    assert (y_expected is None) == (not how.get("norm", True))
    assert torch.equal(x, x_expected) == ("added" not in how)
    close(x_fused, x_expected, stream)
    if y_expected is not None:
        assert y_fused.dtype == dtype
        close(y_fused, y_expected, dtype if dtypes[0] == "float32" else torch.float16)


def close(found, expected, dtype):
    import torch

    # float16: one unit in the last place of numbers up to 16, because the order of the sums differs.
    torch.testing.assert_close(
        found.float(), expected.float(), rtol=0, atol=1e-5 if dtype == torch.float32 else 16 / 1024
    )


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_normalise_heads(both, dtype):
    import torch

    qkv, gammas = torch.randn(5, 3 * 4 * 16).to(getattr(torch, dtype)), torch.rand(8, 16)
    fused, expected = qkv.clone(), qkv.clone()
    both[0].normalise_heads(fused, gammas)
    both[1].normalise_heads(expected, gammas)
    assert torch.equal(fused[:, 128:], qkv[:, 128:])  # the values are not normalised
    close(fused, expected, getattr(torch, dtype))


@pytest.mark.parametrize(("target", "bounded"), [(80, True), (90, True), (90, False)])
@pytest.mark.parametrize("lengths", [(130, 300), (64, 128), (3, 5), (4, 700)])
def test_attention(both, lengths, target, bounded, monkeypatch):
    """Blocks that are full and not; rows at a stride, as slices of queries, keys and values are.

    target: a GPU whose kernel reads by addresses, and one whose kernel reads by descriptors.
    """
    monkeypatch.setattr(both[0], "_has_bulk_copies", lambda: target == 90)
    monkeypatch.setattr(both[0], "_multiprocessors", lambda device: 3)
    compare_attention(both, *lengths, bounded)


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("multiprocessors", [1, 2, 3, 5, 40])
def test_attention_does_not_depend_on_how_a_gpu_divides_it(both, multiprocessors, bounded, monkeypatch):
    """Whole rounds without a rest, with a small rest whose blocks are fewer than the programs, and a rest alone."""
    monkeypatch.setattr(both[0], "_has_bulk_copies", lambda: True)
    monkeypatch.setattr(both[0], "_multiprocessors", lambda device: multiprocessors)
    compare_attention(both, 300, 260, bounded)


def compare_attention(both, queries, keys, bounded):
    import torch

    q = torch.randn(2, queries, 32)
    k, v = torch.randn(2, keys, 96)[:, :, 32:].chunk(2, -1)
    if not bounded:
        q = q * 20  # exponentials that overflow without the maximum
    fused = both[0].attend(q, k, v, 2, bounded)
    close(fused, both[1].attend(q, k, v, 2), torch.float32)


@pytest.mark.parametrize("name", ["convolve", "convolve_upsampled"])
@pytest.mark.parametrize("channels", [(64, 48), (128, 192), (64, 128)])
def test_sparse_convolutions(both, name, channels):
    """Two forms of one sum: of each other, and of their torch forms."""
    import torch

    table = torch.randint(0, 21, (27, 150), dtype=torch.int32)  # 20 of 20 rows is: none
    x, weight, bias = torch.randn(20, channels[0]), torch.randn(27, *channels) / 30, torch.randn(channels[1])
    expected = both[1].convolve(x, table, weight, bias)
    for operations in both:
        close(getattr(operations, name)(x, table, weight, bias), expected, torch.float32)


@pytest.mark.parametrize("rows", [1, 300, 2000])
def test_group_norm_silu(both, rows):
    import torch

    norm = SimpleNamespace(num_groups=4, weight=torch.rand(24), bias=torch.rand(24), eps=1e-5)
    x = torch.randn(rows, 24) * torch.rand(24) + 3 * torch.randn(24)  # far from 0: no difference of large squares
    close(both[0].group_norm_silu(x, norm), both[1].group_norm_silu(x, norm), torch.float32)
