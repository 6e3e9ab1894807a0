"""Triton kernels for submanifold sparse convolutions. Neighbours are gathered inside the product, or after it."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["rows", "none"])
def convolve(
    x_ptr, table_ptr, weight_ptr, bias_ptr, out_ptr, rows, none, IN: tl.constexpr, OUT: tl.constexpr,
    OFFSETS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    """Compute `reference.convolve` for one tile of ROWS x COLUMNS. none: the number of rows of x."""
    here = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inner = tl.arange(0, INNER)
    inside = here < rows
    width = (columns < OUT)[None, :]
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for offset in range(OFFSETS):
        neighbour = tl.load(table_ptr + offset * rows.to(tl.int64) + here, mask=inside, other=none)
        there = (neighbour < none)[:, None]
        a_ptr = x_ptr + neighbour[:, None].to(tl.int64) * IN + inner[None, :]
        b_ptr = weight_ptr + (offset * IN + inner[:, None]) * OUT + columns[None, :]
        for channel in range(0, IN, INNER):
            a = tl.load(a_ptr + channel, mask=there, other=0)
            b = tl.load(b_ptr + channel * OUT, mask=width, other=0)
            total = tl.dot(a, b, total)
    total += tl.load(bias_ptr + columns, mask=columns < OUT, other=0)[None, :].to(tl.float32)
    places = out_ptr + here[:, None].to(tl.int64) * OUT + columns[None, :]
    tl.store(places, total.to(out_ptr.dtype.element_ty), mask=inside[:, None] & width)


@triton.jit(do_not_specialize=["rows", "none"])
def add_products(
    products_ptr, table_ptr, bias_ptr, out_ptr, rows, none, OUT: tl.constexpr, OFFSETS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Add up the products of one tile of rows and channels, see `reference.convolve_upsampled`.

    products (none, OFFSETS, OUT).
    """
    here = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = here < rows
    total = tl.zeros([ROWS, COLUMNS], tl.float32)
    for offset in range(OFFSETS):
        place = tl.load(table_ptr + offset * rows.to(tl.int64) + here, mask=inside, other=none)
        source = products_ptr + (place[:, None].to(tl.int64) * OFFSETS + offset) * OUT + columns[None, :]
        total += tl.load(source, mask=(place < none)[:, None], other=0).to(tl.float32)
    total += tl.load(bias_ptr + columns)[None, :].to(tl.float32)
    places = out_ptr + here[:, None].to(tl.int64) * OUT + columns[None, :]
    tl.store(places, total.to(out_ptr.dtype.element_ty), mask=inside[:, None])
