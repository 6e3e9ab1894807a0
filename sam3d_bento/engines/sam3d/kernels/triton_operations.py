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
BOUNDED_BY_DESCRIPTORS = AttentionTile(128, 64, 8, 4)
ATTENTION_BY_DESCRIPTORS = AttentionTile(64, 128, 4, 3)
# Compute capabilities of H100 and H200. Others were not measured with descriptors.
BULK_COPY_TARGETS = (90,)
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

    Where scores are not bounded, the kernel for sm_90 is faster than torch's, and needs no plan for each new length as
    cuDNN does. Elsewhere torch's kernels are used for them.
    """
    described = _has_bulk_copies()
    if not (bounded or described):
        return reference.attend(q, k, v, heads)
    batch, queries, width = q.shape
    length, channels = k.shape[1], width // heads
    out = torch.empty((batch, queries, width), dtype=q.dtype, device=q.device)
    tile = ATTENTION
    if described:
        tile = BOUNDED_BY_DESCRIPTORS if bounded else ATTENTION_BY_DESCRIPTORS
    grid = triton.cdiv(queries, tile.queries), heads, batch
    whole, factor = length // tile.keys * tile.keys, channels**-0.5 * LOG2_E
    options = {"CHANNELS": channels, "QUERIES": tile.queries, "KEYS": tile.keys}
    options |= {"num_warps": tile.warps, "num_stages": tile.stages}
    if described:
        blocks = ((q, tile.queries), (k, tile.keys), (v, tile.keys), (out, tile.queries))
        rows = [TensorDescriptor.from_tensor(tensor, [1, size, channels]) for tensor, size in blocks]
        launch(attention_kernel.attend_by_descriptors, grid, *rows, length, whole, factor, BOUNDED=bounded, **options)
        return out
    strides = (*(tensor.stride(1) for tensor in (q, k, v)), *(tensor.stride(0) for tensor in (q, k, v)))
    launch(
        attention_kernel.attend, grid, q, k, v, out, queries, length, whole, *strides, factor, HEADS=heads, **options
    )
    return out


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
