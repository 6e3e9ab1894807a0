"""The operations of `reference` as Triton kernels, for float16 on a GPU. Importing this module imports triton.

Kernels are specialised on channels and dtypes, never on numbers of rows. An object of another size therefore compiles
nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton

from sam3d_bento.engines.sam3d.group_norms import scale_and_shift
from sam3d_bento.engines.sam3d.kernels import attention_kernel, convolution_kernels, norm_kernels, reference
from sam3d_bento.engines.sam3d.kernels.launching import launch

try:
    from triton.tools.tensor_descriptor import TensorDescriptor
except ImportError:  # Triton 3.1
    TensorDescriptor = None

NAME = "triton"

LOG2_E = 1.4426950408889634
# Values of a block in `scale_silu`, and in `moments`: enough work for 8 warps, and few enough for their registers.
ELEMENTWISE_VALUES = 4096
MOMENTS_VALUES = 16384


class AttentionTile(NamedTuple):
    """Size of the work of one block. queries, keys: rows of each that are multiplied at once."""

    queries: int
    keys: int
    warps: int
    stages: int


class ConvolutionTile(NamedTuple):
    """Size of the work of one block. rows, columns: of the result. inner: input channels multiplied at once."""

    rows: int
    columns: int
    inner: int
    warps: int
    stages: int


# The fastest of a few on an H200. On sm_89, each needs at most the 99 KiB of shared memory that a block has
# there (tests/upstream/test_kernels_ahead.py).
ATTENTION = AttentionTile(128, 64, 8, 3)
BOUNDED_IN_SHARES = AttentionTile(128, 64, 4, 3)
ATTENTION_IN_SHARES = AttentionTile(64, 128, 4, 3)
# For the few tokens of the pose: so small that it finds room on the GPU beside the kernels of the other stream.
FEW_QUERIES_IN_SHARES = AttentionTile(16, 64, 1, 2)
# Compute capabilities of H100 and H200. Others were not measured with descriptors.
BULK_COPY_TARGETS = (90,)
# Programs with either of the two large tiles above that a multiprocessor of sm_90 runs at once, by their registers and
# shared memory.
PROGRAMS_OF_MULTIPROCESSOR = 2
# Multiprocessors of an H200, for a device that is no GPU: there, kernels are only compiled or interpreted.
H200_MULTIPROCESSORS = 132
# Rows of one program of `join_shares`: few, so that many programs read the parts.
JOINED_ROWS = 16
# The first whose columns divide the output channels.
CONVOLUTIONS = (
    ConvolutionTile(128, 128, 32, 8, 3),
    ConvolutionTile(128, 64, 64, 4, 3),
    ConvolutionTile(128, 32, 32, 4, 3),
    ConvolutionTile(128, 16, 32, 4, 3),
)


def residual_norm(
    x: Any,
    dtype: Any,
    *,
    added: Any = None,
    gate: Any = None,
    constant: Any = None,
    affine: tuple[Any, Any] | None = None,
    modulation: tuple[Any, Any] | None = None,
    silu: bool = False,
    norm: bool = True,
) -> Any:
    """See `reference.residual_norm`."""
    rows, channels = x.shape
    y = torch.empty((rows, channels), dtype=dtype, device=x.device) if norm else None
    weight, bias = (x, x) if affine is None else affine
    shift, scale = (x, x) if modulation is None else modulation
    launch(
        norm_kernels.residual_norm,
        (rows,),
        x,
        x if added is None else added,
        x if gate is None else gate,
        x if constant is None else constant,
        weight,
        bias,
        shift,
        scale,
        x if y is None else y,
        rows if added is None else len(added),
        CHANNELS=channels,
        EPSILON=reference.LAYER_NORM_EPSILON,
        ADDED=added is not None,
        GATED=gate is not None,
        CONSTANT=constant is not None,
        NORM=norm,
        AFFINE=affine is not None,
        MODULATED=modulation is not None,
        SILU=silu,
        BLOCK=triton.next_power_of_2(channels),
        num_warps=4,
    )
    return y


def normalise_heads(qkv: Any, gammas: Any) -> None:
    """See `reference.normalise_heads`."""
    heads, channels = gammas.shape
    launch(
        norm_kernels.normalise_heads,
        (len(qkv),),
        qkv,
        gammas,
        qkv.stride(0),
        HEADS=heads,
        CHANNELS=channels,
        SCALE=channels**0.5,
        num_warps=4,
    )


def attend(q: Any, k: Any, v: Any, heads: int, bounded: bool = False) -> Any:
    """See `reference.attend`.

    The kernel for sm_90 is faster than torch's, and needs no plan for each new length as cuDNN does. Elsewhere torch's
    kernels are used for scores that are not bounded.
    """
    if _has_bulk_copies():
        return _attend_in_shares(q, k, v, heads, bounded)
    if not bounded:
        return reference.attend(q, k, v, heads)
    batch, queries, width = q.shape
    length, channels = k.shape[1], width // heads
    out = torch.empty((batch, queries, width), dtype=q.dtype, device=q.device)
    strides = (*(tensor.stride(1) for tensor in (q, k, v)), *(tensor.stride(0) for tensor in (q, k, v)))
    launch(
        attention_kernel.attend,
        (triton.cdiv(queries, ATTENTION.queries), heads, batch),
        q,
        k,
        v,
        out,
        queries,
        length,
        length // ATTENTION.keys * ATTENTION.keys,
        *strides,
        channels**-0.5 * LOG2_E,
        CHANNELS=channels,
        HEADS=heads,
        QUERIES=ATTENTION.queries,
        KEYS=ATTENTION.keys,
        num_warps=ATTENTION.warps,
        num_stages=ATTENTION.stages,
    )
    return out


def _attend_in_shares(q: Any, k: Any, v: Any, heads: int, bounded: bool) -> Any:
    """See `attention_kernel.attend_in_shares`. Without it, a last round of few tiles takes as long as a full one."""
    batch, queries, width = q.shape
    length, channels = k.shape[1], width // heads
    tile = BOUNDED_IN_SHARES if bounded else ATTENTION_IN_SHARES
    if queries <= FEW_QUERIES_IN_SHARES.queries:
        tile = FEW_QUERIES_IN_SHARES
    programs = PROGRAMS_OF_MULTIPROCESSOR * _multiprocessors(q.device)
    rounds, rest = divmod(triton.cdiv(queries, tile.queries) * heads * batch, programs)
    out = torch.empty((batch, queries, width), dtype=q.dtype, device=q.device)
    parts = torch.empty((2 * programs, tile.queries, channels), dtype=torch.float32, device=q.device)
    sums = torch.empty((2 * programs, 2, tile.queries), dtype=torch.float32, device=q.device)
    blocks = ((q, tile.queries), (k, tile.keys), (v, tile.keys), (out, tile.queries))
    rows = [TensorDescriptor.from_tensor(tensor, [1, size, channels]) for tensor, size in blocks]
    form = {"HEADS": heads, "CHANNELS": channels, "QUERIES": tile.queries, "KEYS": tile.keys, "BOUNDED": bounded}
    launch(
        attention_kernel.attend_in_shares,
        (programs,),
        *rows,
        parts,
        sums,
        queries,
        length,
        rounds,
        rest,
        channels**-0.5 * LOG2_E,
        **form,
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    if rest:
        launch(
            attention_kernel.join_shares,
            (rest, tile.queries // JOINED_ROWS),
            parts,
            sums,
            out,
            queries,
            length,
            rounds,
            programs,
            **form,
            ROWS=JOINED_ROWS,
            num_warps=4,
        )
    return out


def _multiprocessors(device: torch.device) -> int:
    """Return how many multiprocessors the GPU has."""
    if device.type != "cuda":
        return H200_MULTIPROCESSORS
    return int(torch.cuda.get_device_properties(device).multi_processor_count)


def _has_bulk_copies() -> bool:
    """Return whether the GPU has the bulk copies of sm_90, and this Triton uses them."""
    return TensorDescriptor is not None and triton.runtime.driver.active.get_current_target().arch in BULK_COPY_TARGETS


def convolve(x: Any, table: Any, weight: Any, bias: Any) -> Any:
    """See `reference.convolve`. Input channels must be a multiple of 64, or of 32 with the smaller tiles."""
    offsets, rows = table.shape
    channels, out_channels = weight.shape[1:]
    tile = next(tile for tile in CONVOLUTIONS if out_channels % tile.columns == 0)
    out = torch.empty((rows, out_channels), dtype=x.dtype, device=x.device)
    launch(
        convolution_kernels.convolve,
        (triton.cdiv(rows, tile.rows), triton.cdiv(out_channels, tile.columns)),
        x,
        table,
        weight,
        bias,
        out,
        rows,
        len(x),
        IN=channels,
        OUT=out_channels,
        OFFSETS=offsets,
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        INNER=tile.inner,
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    return out


def convolve_upsampled(x: Any, table: Any, weight: Any, bias: Any) -> Any:
    """See `reference.convolve_upsampled`. The number of output channels must be a multiple of 16.

    It is fastest where `weight` lies in memory as (in, K, out).
    """
    offsets, rows = table.shape
    out_channels = weight.shape[2]
    products = x @ weight.transpose(0, 1).reshape(x.shape[1], -1)
    columns = next(size for size in (128, 64, 32, 16) if out_channels % size == 0)
    out = torch.empty((rows, out_channels), dtype=x.dtype, device=x.device)
    launch(
        convolution_kernels.add_products,
        (triton.cdiv(rows, 32), out_channels // columns),
        products,
        table,
        bias,
        out,
        rows,
        len(x),
        OUT=out_channels,
        OFFSETS=offsets,
        ROWS=32,
        COLUMNS=columns,
        num_warps=4,
    )
    return out


def group_norm_silu(x: Any, norm: Any) -> Any:
    """See `reference.group_norm_silu`. Moments of blocks of rows are combined as in Chan, Golub & LeVeque 1983."""
    rows, channels = x.shape
    block = triton.next_power_of_2(channels)
    size = MOMENTS_VALUES // block
    blocks = triton.cdiv(rows, size)
    means, squares = (torch.empty((blocks, channels), dtype=torch.float32, device=x.device) for _ in range(2))
    launch(
        norm_kernels.moments,
        (blocks,),
        x,
        means,
        squares,
        rows,
        CHANNELS=channels,
        ROWS=size,
        BLOCK=block,
        num_warps=8,
    )
    counts = torch.full((blocks, 1), float(size), device=x.device)
    counts[-1] = rows - (blocks - 1) * size
    mean = (means * counts).sum(0) / rows
    variance = (squares.sum(0) + ((means - mean) ** 2 * counts).sum(0)) / rows
    scale, shift = scale_and_shift(norm, mean, variance)
    y = torch.empty_like(x)
    launch(
        norm_kernels.scale_silu,
        (triton.cdiv(x.numel(), ELEMENTWISE_VALUES),),
        x,
        scale.flatten().contiguous(),
        shift.flatten().contiguous(),
        y,
        x.numel(),
        CHANNELS=channels,
        BLOCK=ELEMENTWISE_VALUES,
        num_warps=8,
    )
    return y
