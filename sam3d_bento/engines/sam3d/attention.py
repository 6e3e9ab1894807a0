"""Attention over many short sequences at once, without upstream's dense mask.

Upstream's `sdpa` backend (modules/sparse/attention/masked_sdpa.py) puts all windows of the decoders into one sequence
and masks everything outside the diagonal blocks: N x N values for N voxels, 3.15 GiB of float16 for 41,000, which is
the known out-of-memory on 24 GB cards (upstream issue 68). A window holds some hundred voxels, so the windows are
padded to a few lengths and attended side by side instead: same numbers, a hundredth of the work.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

# Windows are padded to the next of these lengths, or to the longest one's: at most half of the work is padding.
LENGTHS = (32, 64, 128, 256, 512)

# For windows, not cuDNN's, which torch 2.11 takes on an H100: it builds a plan for each new shape, and every object has
# as many new shapes as there are lengths.
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def packed_attention(q: Any, k: Any, v: Any, q_seqlen: Sequence[int], kv_seqlen: Sequence[int]) -> Any:
    """Attention within each sequence: what upstream's `masked_sdpa` computes, with its signature.

    q (1, Tq, H, C), k (1, Tk, H, C), v (1, Tk, H, Co): the sequences one after the other, of the lengths `q_seqlen`
    and `kv_seqlen`. Returns (Tq, H, Co). Equal to the original to 1e-5 in float32: sums run in another order.
    """
    if len(q_seqlen) == 1:  # nothing to mask; torch picks its fastest kernel
        return _attend(q, k, v, None)[0]
    out = q.new_empty((q.shape[1], q.shape[2], v.shape[3]))
    with sdpa_kernel(KERNELS):
        for group in _groups(tuple(q_seqlen), tuple(kv_seqlen), q.device):
            keys, values = k[0, group.kv_rows], v[0, group.kv_rows]
            out[group.q_rows[group.q_real]] = _attend(q[0, group.q_rows], keys, values, group.mask)[group.q_real]
    return out


def _attend(q: Any, k: Any, v: Any, mask: Any) -> Any:
    """(B, Lq, H, C), (B, Lk, H, C), (B, Lk, H, Co) ► (B, Lq, H, Co)."""
    heads_first = (tensor.transpose(1, 2) for tensor in (q, k, v))
    return scaled_dot_product_attention(*heads_first, attn_mask=mask).transpose(1, 2)


class _Group:
    """Sequences of similar length, as padded tables of rows.

    q_rows (B, Lq), kv_rows (B, Lk) int64; q_real (B, Lq) bool; mask (B, 1, 1, Lk) bool, None without padding.
    """

    def __init__(self, q_starts: Any, q_lengths: Any, kv_starts: Any, kv_lengths: Any, device: Any) -> None:
        self.q_rows, self.q_real = (table.to(device) for table in _padded(q_starts, q_lengths))
        kv_rows, kv_real = _padded(kv_starts, kv_lengths)
        self.kv_rows = kv_rows.to(device)
        self.mask = None if bool(kv_real.all()) else kv_real[:, None, None, :].to(device)


def _padded(starts: Any, lengths: Any) -> tuple[Any, Any]:
    """Rows of sequences (B,) that start at `starts`, padded with their own first row, and which of them are real."""
    step = torch.arange(int(lengths.max()), device="cpu")
    real = step < lengths[:, None]
    return torch.where(real, starts[:, None] + step, starts[:, None]), real


# Twelve blocks of a decoder alternate between two partitions, and decoders run one after the other.
@lru_cache(maxsize=4)
def _groups(q_seqlen: tuple[int, ...], kv_seqlen: tuple[int, ...], device: Any) -> list[_Group]:
    with torch.device("cpu"):  # upstream runs all of this under its own default device
        q_lengths, kv_lengths = torch.tensor(q_seqlen), torch.tensor(kv_seqlen)
        q_starts, kv_starts = q_lengths.cumsum(0) - q_lengths, kv_lengths.cumsum(0) - kv_lengths
        longer = torch.maximum(q_lengths, kv_lengths)
        which = torch.bucketize(longer, torch.tensor(LENGTHS))
        groups = []
        for one in which.unique():
            rows = (which == one).nonzero()[:, 0]
            groups.append(_Group(q_starts[rows], q_lengths[rows], kv_starts[rows], kv_lengths[rows], device))
        return groups


def use_packed() -> None:
    """Rebind `masked_sdpa` in the upstream modules that imported it by name. Upstream must be imported already."""
    for module in _modules():
        module.masked_sdpa = packed_attention


@contextmanager
def packed() -> Iterator[None]:
    """Use `packed_attention` for the time, whatever backend upstream was imported with: flash_attn takes no float32."""
    before = [(module, module.ATTN, getattr(module, "masked_sdpa", None)) for module in _modules()]
    use_packed()
    for module in _modules():
        module.ATTN = "sdpa"
    try:
        yield
    finally:
        for module, backend, function in before:
            module.ATTN, module.masked_sdpa = backend, function


def _modules() -> list[Any]:
    package = "sam3d_objects.model.backbone.tdfy_dit.modules.sparse.attention"
    return [sys.modules[f"{package}.{name}"] for name in ("full_attn", "windowed_attn")]
