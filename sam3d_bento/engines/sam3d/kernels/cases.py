"""Every form in which the released networks call the operations.

`ahead` compiles these forms, and `choice` compares each with its torch form before the first request. A form that is
missing here would be compiled during a request (tests/upstream/test_kernel_cases.py looks for such).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

# Of both generators: width of a token, and heads.
WIDTH, HEADS = 1024, 16
# Rows of the residual stream, and how many of them are evaluated with the photo's tokens.
ROWS, CONDITIONAL = 40, 24
# Tokens of a self-attention, and rows of a convolution's result: more than a block, and no whole number of them.
TOKENS = 150
# Queries of an attention for which an H200 needs more than one round (`attention_kernel.attend_in_shares`).
QUERIES = 1200
# Tokens of the pose. As few are the blocks of a very small object.
FEW_QUERIES = 4
# Convolutions by input and output channels: of the second generator, and of the mesh decoder.
CONVOLUTIONS = ((128, 128), (128, 1024), (1024, 1024), (256, 128), (192, 192), (96, 96))
UPSAMPLED = ((2048, 128), (768, 192), (192, 96))
OFFSETS = 27
# Channels of group norms in the mesh decoder, and of the second generator's residual blocks: before the first
# convolution, and after it.
GROUP_NORMS = (768, 192, 96)
AFFINE_CHANNELS, MODULATED_CHANNELS = (128, 256, 2048), (128, 1024)

# Called with a shape and a scale; returns a float16 tensor.
Maker = Callable[..., Any]


class Case(NamedTuple):
    """One call of an operation. run: makes it with the given operations, and returns the tensors to compare."""

    name: str
    run: Callable[[Any], list[Any]]


def cases(device: Any) -> Iterator[Case]:
    """Yield the calls with random numbers on `device`; on torch's `meta` device, without numbers."""
    generator = None if str(device) == "meta" else torch.Generator(device=device).manual_seed(0)

    def make(*shape: int, scale: float = 1.0, dtype: Any = torch.float16) -> Any:
        return (torch.randn(shape, device=device, generator=generator) * scale).to(dtype)

    for stream in (torch.float32, torch.float16):
        yield from _block(make, stream, str(stream).removeprefix("torch."))
    yield Case("queries and keys of each head", _heads(make))
    own = make(2, QUERIES, 3 * WIDTH, scale=0.5).chunk(3, -1)  # scores below MOST_SCORE
    yield Case("attention with bounded scores", lambda operations: [operations.attend(*own, HEADS, True)])
    tokens = make(1, 2 * TOKENS, 2 * WIDTH, scale=3).chunk(2, -1)
    seen = make(1, QUERIES, WIDTH, scale=3)
    yield Case("attention", lambda operations: [operations.attend(seen, *tokens, HEADS)])
    few, few_own = seen[:, :FEW_QUERIES], [own[0][:, :FEW_QUERIES], *own[1:]]
    yield Case("attention of few queries", lambda operations: [operations.attend(few, *tokens, HEADS)])
    yield Case(
        "attention of few queries with bounded scores", lambda operations: [operations.attend(*few_own, HEADS, True)]
    )
    for channels in AFFINE_CHANNELS:
        affine = make(channels, dtype=torch.float32), make(channels, dtype=torch.float32)
        yield Case(f"residual block, {channels} channels", _norm(make(ROWS, channels), affine=affine, silu=True))
    for channels in MODULATED_CHANNELS:
        pair = make(channels), make(channels)
        yield Case(
            f"modulated convolution, {channels} channels", _norm(make(ROWS, channels), modulation=pair, silu=True)
        )
    table = (torch.rand((OFFSETS, TOKENS), device=device, generator=generator) * 2 * ROWS).clamp(max=ROWS).int()
    for name, sizes in (("convolve", CONVOLUTIONS), ("convolve_upsampled", UPSAMPLED)):
        for size in sizes:
            yield Case(f"{name}, {size[0]} to {size[1]} channels", _convolution(make, name, table, *size))
    for channels in GROUP_NORMS:
        yield Case(f"group norm, {channels} channels", _group_norm(make, channels))


def _block(make: Maker, stream: Any, name: str) -> Iterator[Case]:
    x = make(ROWS, WIDTH, dtype=stream)
    added, crossed = make(ROWS, WIDTH), make(CONDITIONAL, WIDTH)
    gate, constant, shift, scale = (make(WIDTH) for _ in range(4))
    affine = make(WIDTH, dtype=torch.float32), make(WIDTH, dtype=torch.float32)
    pair = shift, scale
    yield Case(f"first block, {name}", _norm(x, modulation=pair))
    yield Case(f"after self-attention, {name}", _norm(x, added=added, gate=gate, affine=affine))
    yield Case(f"after cross-attention, {name}", _norm(x, added=added, modulation=pair))
    both = _norm(x, added=crossed, constant=constant, modulation=pair)
    yield Case(f"after cross-attention of one pass of two, {name}", both)
    yield Case(f"after the MLP, {name}", _norm(x, added=added, gate=gate, modulation=pair))
    yield Case(f"after the last MLP, {name}", _norm(x, added=added, gate=gate, norm=False))


def _norm(x: Any, **how: Any) -> Callable[[Any], list[Any]]:
    def run(operations: Any) -> list[Any]:
        stream = x.clone()
        y = operations.residual_norm(stream, torch.float16, **how)
        return [stream] if y is None else [stream, y]

    return run


def _heads(make: Maker) -> Callable[[Any], list[Any]]:
    qkv, gammas = make(ROWS, 3 * WIDTH), make(2 * HEADS, WIDTH // HEADS, dtype=torch.float32)

    def run(operations: Any) -> list[Any]:
        changed = qkv.clone()
        operations.normalise_heads(changed, gammas)
        return [changed]

    return run


def _convolution(make: Maker, name: str, table: Any, channels: int, out: int) -> Callable[[Any], list[Any]]:
    x, bias = make(ROWS, channels), make(out)
    weight = make(OFFSETS, channels, out, scale=channels**-0.5)
    return lambda operations: [getattr(operations, name)(x, table, weight, bias)]


def _group_norm(make: Maker, channels: int) -> Callable[[Any], list[Any]]:
    weight, bias = make(channels, dtype=torch.float32), make(channels, dtype=torch.float32)
    norm = SimpleNamespace(num_groups=32, weight=weight, bias=bias, eps=1e-5)
    x = make(1000, channels)
    return lambda operations: [operations.group_norm_silu(x, norm)]
