"""Triton kernels for attention: softmax while reading (Dao et al. 2022, FlashAttention).

The exponentials of bounded scores do not overflow, so no maximum is looked for and subtracted.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _add_block(
    q, k_ptr, v_ptr, start, length, k_stride, v_stride, total, out, factor,
    CHANNELS: tl.constexpr, KEYS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Add one block of keys and values; return the new total of the exponentials, and the new output."""
    keys = start + tl.arange(0, KEYS)
    columns = tl.arange(0, CHANNELS)
    k_places = k_ptr + keys[None, :].to(tl.int64) * k_stride + columns[:, None]
    v_places = v_ptr + keys[:, None].to(tl.int64) * v_stride + columns[None, :]
    if MASKED:
        k = tl.load(k_places, mask=(keys < length)[None, :], other=0)
        v = tl.load(v_places, mask=(keys < length)[:, None], other=0)
    else:
        k = tl.load(k_places)
        v = tl.load(v_places)
    scores = tl.dot(q, k) * factor
    if MASKED:
        scores = tl.where((keys < length)[None, :], scores, -float("inf"))
    exponentials = tl.exp2(scores)
    return total + tl.sum(exponentials, 1), tl.dot(exponentials.to(v.dtype), v, out)


@triton.jit(do_not_specialize=["q_length", "length", "whole"])
def attend(
    q_ptr, k_ptr, v_ptr, out_ptr, q_length, length, whole, q_stride, k_stride, v_stride, q_batch, k_batch, v_batch,
    factor, CHANNELS: tl.constexpr, HEADS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Compute `reference.attend` with bounded scores for one block of queries, one head, and one element of the batch.

    whole: `length`, rounded down to whole blocks of KEYS. factor: the scale of the scores, times log2(e).
    """
    queries = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    head = tl.program_id(1) * CHANNELS
    batch = tl.program_id(2).to(tl.int64)
    columns = tl.arange(0, CHANNELS)
    inside = (queries < q_length)[:, None]
    q_ptr += batch * q_batch + head
    k_ptr += batch * k_batch + head
    v_ptr += batch * v_batch + head
    q = tl.load(q_ptr + queries[:, None].to(tl.int64) * q_stride + columns[None, :], mask=inside, other=0)
    total = tl.zeros([QUERIES], tl.float32)
    out = tl.zeros([QUERIES, CHANNELS], tl.float32)
    for start in range(0, whole, KEYS):
        total, out = _add_block(
            q, k_ptr, v_ptr, start, length, k_stride, v_stride, total, out, factor, CHANNELS, KEYS, False
        )  # fmt: skip
    if whole < length:
        total, out = _add_block(
            q, k_ptr, v_ptr, whole, length, k_stride, v_stride, total, out, factor, CHANNELS, KEYS, True
        )  # fmt: skip
    width = HEADS * CHANNELS
    places = out_ptr + (batch * q_length + queries[:, None]) * width + head + columns[None, :]
    tl.store(places, (out / total[:, None]).to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _add_described_block(
    q, k_rows, v_rows, batch, start, head, length, most, total, out, factor,
    CHANNELS: tl.constexpr, KEYS: tl.constexpr, BOUNDED: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """Add one block of keys and values; return the new maximum, total and output. Rows beyond the end are read as 0."""
    k = k_rows.load([batch, start, head]).reshape(KEYS, CHANNELS)
    scores = tl.dot(q, k.T) * factor
    if MASKED:
        scores = tl.where((start + tl.arange(0, KEYS) < length)[None, :], scores, -float("inf"))
    if BOUNDED:
        exponentials = tl.exp2(scores)
    else:
        higher = tl.maximum(most, tl.max(scores, 1))
        shrink = tl.exp2(most - higher)
        exponentials = tl.exp2(scores - higher[:, None])
        total *= shrink
        out *= shrink[:, None]
        most = higher
    v = v_rows.load([batch, start, head]).reshape(KEYS, CHANNELS)
    return most, total + tl.sum(exponentials, 1), tl.dot(exponentials.to(v.dtype), v, out)


@triton.jit(do_not_specialize=["length", "whole"])
def attend_by_descriptors(
    q_rows, k_rows, v_rows, out_rows, length, whole, factor,
    CHANNELS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, BOUNDED: tl.constexpr,
):  # fmt: skip
    """Compute `reference.attend` with the bulk copies of sm_90. The arguments are descriptors of (n, L, H·D).

    Scores that are not BOUNDED have the maximum so far subtracted.
    """
    row = tl.program_id(0) * QUERIES
    head = tl.program_id(1) * CHANNELS
    batch = tl.program_id(2)
    q = q_rows.load([batch, row, head]).reshape(QUERIES, CHANNELS)
    most = tl.full([QUERIES], -float("inf"), tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    out = tl.zeros([QUERIES, CHANNELS], tl.float32)
    for start in range(0, whole, KEYS):
        most, total, out = _add_described_block(
            q, k_rows, v_rows, batch, start, head, length, most, total, out, factor, CHANNELS, KEYS, BOUNDED, False
        )  # fmt: skip
    if whole < length:
        most, total, out = _add_described_block(
            q, k_rows, v_rows, batch, whole, head, length, most, total, out, factor, CHANNELS, KEYS, BOUNDED, True
        )  # fmt: skip
    result = (out / total[:, None]).to(out_rows.dtype)
    out_rows.store([batch, row, head], result.reshape(1, QUERIES, CHANNELS))
