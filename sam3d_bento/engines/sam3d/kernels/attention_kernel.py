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
    scores = tl.dot(q, k.T)
    if MASKED:
        scores = tl.where((start + tl.arange(0, KEYS) < length)[None, :], scores, -float("inf"))
    if BOUNDED:
        exponentials = tl.exp2(scores * factor)
    else:
        higher = tl.maximum(most, tl.max(scores, 1) * factor)
        shrink = tl.exp2(most - higher)
        exponentials = tl.exp2(scores * factor - higher[:, None])
        total *= shrink
        out *= shrink[:, None]
        most = higher
    v = v_rows.load([batch, start, head]).reshape(KEYS, CHANNELS)
    return most, total + tl.sum(exponentials, 1), tl.dot(exponentials.to(v.dtype), v, out)


@triton.jit(do_not_specialize=["q_length", "length", "rounds", "rest"])
def attend_in_shares(
    q_rows, k_rows, v_rows, out_rows, parts_ptr, sums_ptr, q_length, length, rounds, rest, factor, HEADS: tl.constexpr,
    CHANNELS: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr, BOUNDED: tl.constexpr,
):  # fmt: skip
    """Compute `reference.attend` with the bulk copies of sm_90: whole tiles, then an equal share of what is left.

    A tile is QUERIES queries of one head and one element of the batch. A GPU runs all programs of this kernel at once.
    In each round, each program computes one tile. The `rest` tiles that are left are fewer than the programs, so their
    blocks of KEYS keys are shared out equally (Osama et al. 2023, Stream-K). A share has parts of at most two tiles,
    which `join_shares` puts together.

    q, k, v, out: descriptors of (n, L, H·D). parts (2 · programs, QUERIES, CHANNELS) float32: sums of values, weighted
    by exponentials. sums (2 · programs, 2, QUERIES) float32: their totals, and the maxima that were subtracted.
    Scores that are not BOUNDED have the maximum so far subtracted.
    """
    here = tl.program_id(0)
    programs = tl.num_programs(0)
    tiles = tl.cdiv(q_length, QUERIES)
    blocks = tl.cdiv(length, KEYS)
    first = here * (rest * blocks) // programs
    last = (here + 1) * (rest * blocks) // programs
    for turn in range(0, rounds + 2):
        tile = turn * programs + here
        begin = 0
        end = blocks
        if turn >= rounds:
            of_rest = first // blocks + turn - rounds
            begin = tl.maximum(first - of_rest * blocks, 0)
            end = tl.minimum(last - of_rest * blocks, blocks)
            tile = rounds * programs + of_rest
        if begin < end:
            batch = tile // (tiles * HEADS)
            head = tile % (tiles * HEADS) // tiles * CHANNELS
            row = tile % tiles * QUERIES
            q = q_rows.load([batch, row, head]).reshape(QUERIES, CHANNELS)
            most = tl.full([QUERIES], -float("inf"), tl.float32)
            total = tl.zeros([QUERIES], tl.float32)
            out = tl.zeros([QUERIES, CHANNELS], tl.float32)
            whole = tl.minimum(end, length // KEYS)
            for block in range(begin, whole):
                most, total, out = _add_described_block(
                    q, k_rows, v_rows, batch, block * KEYS, head, length, most, total, out, factor, CHANNELS, KEYS,
                    BOUNDED, False,
                )  # fmt: skip
            if whole < end:
                most, total, out = _add_described_block(
                    q, k_rows, v_rows, batch, whole * KEYS, head, length, most, total, out, factor, CHANNELS, KEYS,
                    BOUNDED, True,
                )  # fmt: skip
            if turn < rounds:
                result = (out / total[:, None]).to(out_rows.dtype)
                out_rows.store([batch, row, head], result.reshape(1, QUERIES, CHANNELS))
            else:
                part = (2 * here + turn - rounds).to(tl.int64)
                queries = tl.arange(0, QUERIES)
                columns = tl.arange(0, CHANNELS)
                tl.store(parts_ptr + (part * QUERIES + queries[:, None]) * CHANNELS + columns[None, :], out)
                tl.store(sums_ptr + 2 * part * QUERIES + queries, total)
                if not BOUNDED:
                    tl.store(sums_ptr + (2 * part + 1) * QUERIES + queries, most)


@triton.jit(do_not_specialize=["q_length", "length", "rounds", "programs"])
def join_shares(
    parts_ptr, sums_ptr, out_ptr, q_length, length, rounds, programs, HEADS: tl.constexpr, CHANNELS: tl.constexpr,
    QUERIES: tl.constexpr, KEYS: tl.constexpr, ROWS: tl.constexpr, BOUNDED: tl.constexpr,
):  # fmt: skip
    """Add up the parts that `attend_in_shares` wrote of ROWS queries of one tile. programs: of that kernel."""
    of_rest = tl.program_id(0)
    tiles = tl.cdiv(q_length, QUERIES)
    blocks = tl.cdiv(length, KEYS)
    all_blocks = tl.num_programs(0) * blocks
    first = ((of_rest * blocks + 1) * programs - 1) // all_blocks  # the program whose share has the tile's first block
    last = ((of_rest + 1) * blocks * programs - 1) // all_blocks
    queries = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, CHANNELS)
    most = tl.full([ROWS], -float("inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    out = tl.zeros([ROWS, CHANNELS], tl.float32)
    for program in range(first, last + 1):
        begin = program * all_blocks // programs
        if begin < (program + 1) * all_blocks // programs:  # where there are fewer blocks than programs, some have none
            part = (2 * program + of_rest - begin // blocks).to(tl.int64)
            added = tl.load(parts_ptr + (part * QUERIES + queries[:, None]) * CHANNELS + columns[None, :])
            added_total = tl.load(sums_ptr + 2 * part * QUERIES + queries)
            if not BOUNDED:
                added_most = tl.load(sums_ptr + (2 * part + 1) * QUERIES + queries)
                higher = tl.maximum(most, added_most)
                shrink = tl.exp2(most - higher)
                added_shrink = tl.exp2(added_most - higher)
                total *= shrink
                out *= shrink[:, None]
                added_total *= added_shrink
                added *= added_shrink[:, None]
                most = higher
            total += added_total
            out += added
    tile = rounds * programs + of_rest
    batch = (tile // (tiles * HEADS)).to(tl.int64)
    head = tile % (tiles * HEADS) // tiles * CHANNELS
    rows = tile % tiles * QUERIES + queries
    places = out_ptr + (batch * q_length + rows[:, None]) * HEADS * CHANNELS + head + columns[None, :]
    tl.store(places, (out / total[:, None]).to(out_ptr.dtype.element_ty), mask=(rows < q_length)[:, None])
