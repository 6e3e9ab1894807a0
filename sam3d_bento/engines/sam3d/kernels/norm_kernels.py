"""Triton kernels for norms. Each row, or each block of rows, is read once and written once."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["added_rows"])
def residual_norm(
    x_ptr,
    added_ptr,
    gate_ptr,
    constant_ptr,
    weight_ptr,
    bias_ptr,
    shift_ptr,
    scale_ptr,
    y_ptr,
    added_rows,
    CHANNELS: tl.constexpr,
    EPSILON: tl.constexpr,
    ADDED: tl.constexpr,
    GATED: tl.constexpr,
    CONSTANT: tl.constexpr,
    NORM: tl.constexpr,
    AFFINE: tl.constexpr,
    MODULATED: tl.constexpr,
    SILU: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Compute `reference.residual_norm` for one row."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < CHANNELS
    stream = x_ptr.dtype.element_ty
    x = tl.load(x_ptr + row * CHANNELS + columns, mask=inside, other=0).to(tl.float32)
    if ADDED:
        has_added = row < added_rows
        h = tl.load(added_ptr + row * CHANNELS + columns, mask=inside & has_added, other=0).to(tl.float32)
        if GATED:
            h *= tl.load(gate_ptr + columns, mask=inside, other=0).to(tl.float32)
            h = h.to(added_ptr.dtype.element_ty).to(tl.float32)
        if CONSTANT:
            h += tl.load(constant_ptr + columns, mask=inside & (row >= added_rows), other=0).to(tl.float32)
        x = (x + h).to(stream).to(tl.float32)
        tl.store(x_ptr + row * CHANNELS + columns, x.to(stream), mask=inside)
    if NORM:
        mean = tl.sum(x, 0) / CHANNELS
        centred = tl.where(inside, x - mean, 0.0)
        y = centred * tl.rsqrt(tl.sum(centred * centred, 0) / CHANNELS + EPSILON)
        if AFFINE:
            y *= tl.load(weight_ptr + columns, mask=inside, other=0).to(tl.float32)
            y += tl.load(bias_ptr + columns, mask=inside, other=0).to(tl.float32)
        y = y.to(stream).to(tl.float32)
        if MODULATED:
            factor = 1.0 + tl.load(scale_ptr + columns, mask=inside, other=0).to(tl.float32)
            y *= factor.to(scale_ptr.dtype.element_ty).to(tl.float32)
            y = y.to(stream).to(tl.float32)
            y += tl.load(shift_ptr + columns, mask=inside, other=0).to(tl.float32)
        y = y.to(stream).to(y_ptr.dtype.element_ty)
        if SILU:
            y = y.to(tl.float32)
            y = y / (1.0 + tl.exp(-y))
        tl.store(y_ptr + row * CHANNELS + columns, y.to(y_ptr.dtype.element_ty), mask=inside)


@triton.jit
def normalise_heads(qkv_ptr, gammas_ptr, stride, HEADS: tl.constexpr, CHANNELS: tl.constexpr, SCALE: tl.constexpr):
    """Compute `reference.normalise_heads` for one row. HEADS: of queries and keys together."""
    row = tl.program_id(0).to(tl.int64)
    places = tl.arange(0, HEADS)[:, None] * CHANNELS + tl.arange(0, CHANNELS)[None, :]
    x = tl.load(qkv_ptr + row * stride + places).to(tl.float32)
    # 1e-12: the epsilon of torch.nn.functional.normalize.
    length = tl.maximum(tl.sqrt(tl.sum(x * x, 1)), 1e-12)
    x = x / length[:, None] * tl.load(gammas_ptr + places) * SCALE
    tl.store(qkv_ptr + row * stride + places, x.to(qkv_ptr.dtype.element_ty))


@triton.jit(do_not_specialize=["rows"])
def moments(x_ptr, means_ptr, squares_ptr, rows, CHANNELS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """Compute the mean and the sum of squared deviations of each channel over one block of ROWS rows."""
    block = tl.program_id(0).to(tl.int64)
    here = block * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, BLOCK)
    inside = (here < rows)[:, None] & (columns < CHANNELS)[None, :]
    count = tl.minimum(rows - block * ROWS, ROWS).to(tl.float32)
    x = tl.load(x_ptr + here[:, None] * CHANNELS + columns[None, :], mask=inside, other=0).to(tl.float32)
    mean = tl.sum(x, 0) / count
    centred = tl.where(inside, x - mean[None, :], 0.0)
    place = block * CHANNELS + columns
    tl.store(means_ptr + place, mean, mask=columns < CHANNELS)
    tl.store(squares_ptr + place, tl.sum(centred * centred, 0), mask=columns < CHANNELS)


@triton.jit(do_not_specialize=["total"])
def scale_silu(x_ptr, scale_ptr, shift_ptr, y_ptr, total, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """Compute SiLU of `x * scale + shift` for one block of values. scale, shift: per channel, float32."""
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = places < total
    channel = places % CHANNELS
    y = tl.load(x_ptr + places, mask=inside, other=0).to(tl.float32)
    y = y * tl.load(scale_ptr + channel) + tl.load(shift_ptr + channel)
    y = y.to(y_ptr.dtype.element_ty).to(tl.float32)
    tl.store(y_ptr + places, (y / (1.0 + tl.exp(-y))).to(y_ptr.dtype.element_ty), mask=inside)
