"""Compute attention over many short sequences at once, without upstream's dense mask.

Upstream's `sdpa` backend (modules/sparse/attention/masked_sdpa.py) puts all windows of the decoders into one sequence
and masks everything outside the diagonal blocks. The mask has N x N values for N voxels, 3.15 GiB of float16 for
41,000, which is the known out-of-memory error on 24 GB cards (upstream issue 68). A window holds about a hundred
voxels, so here the windows are computed one after the other by a kernel that takes their ends, where torch has one, and
else padded to a few lengths and computed as batches. This gives the same numbers for a hundredth of the work.
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

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # before torch 2.10
    varlen_attn = None

# Windows are grouped by the next of these lengths, in voxels, and padded to the longest window of their group. The
# lengths double, so that at most half of the work is padding.
LENGTHS = (32, 64, 128, 256, 512)

# Compute capability from which torch's FlashAttention runs.
LEAST_FLASH_CAPABILITY = (8, 0)

# Kernels for padded windows. cuDNN's kernel, which torch 2.11 prefers on an H100, is not among them: it builds a plan
# for each new shape, and every object has as many new shapes as there are lengths.
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def packed_attention(q: Any, k: Any, v: Any, q_seqlen: Sequence[int], kv_seqlen: Sequence[int]) -> Any:
    """Compute attention within each sequence; return (Tq, H, Co). It has the signature of upstream's `masked_sdpa`.

    q (1, Tq, H, C), k (1, Tk, H, C), v (1, Tk, H, Co): the sequences one after the other, of the lengths `q_seqlen`
    and `kv_seqlen`. The result equals upstream's up to 1e-5 in float32, because the order of the sums differs.
    """
    if len(q_seqlen) == 1:  # nothing to mask; torch picks its fastest kernel
        return _attend(q, k, v, None)[0]
    if _takes_ends(q, v):
        ends = (_ends(tuple(lengths), q.device) for lengths in (q_seqlen, kv_seqlen))
        return varlen_attn(q[0], k[0], v[0], *ends, max(q_seqlen), max(kv_seqlen))
    out = q.new_empty((q.shape[1], q.shape[2], v.shape[3]))
    with sdpa_kernel(KERNELS):
        for group in _groups(tuple(q_seqlen), tuple(kv_seqlen), q.device):
            keys, values = k[0, group.kv_rows], v[0, group.kv_rows]
            out[group.q_rows[group.q_real]] = _attend(q[0, group.q_rows], keys, values, group.mask)[group.q_real]
    return out


def _takes_ends(q: Any, v: Any) -> bool:
    """Return whether torch has a kernel for these sequences one after the other: FlashAttention on a GPU."""
    if varlen_attn is None or q.dtype not in (torch.float16, torch.bfloat16) or q.shape[3] != v.shape[3]:
        return False
    return bool(q.is_cuda and torch.cuda.get_device_capability(q.device) >= LEAST_FLASH_CAPABILITY)


# As `_groups`, for queries and keys.
@lru_cache(maxsize=8)
def _ends(lengths: tuple[int, ...], device: Any) -> Any:
    """Return 0 and the end of each sequence, (B + 1,) int32."""
    return torch.tensor((0, *lengths), device="cpu").cumsum(0).int().to(device)


def _attend(q: Any, k: Any, v: Any, mask: Any) -> Any:
    """Compute attention of q (B, Lq, H, C) to k (B, Lk, H, C) and v (B, Lk, H, Co); return (B, Lq, H, Co)."""
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
    """Return the rows (B, L) of sequences, padded with the first row of each, and which of them are real, bool.

    starts, lengths (B,): the first row and the length of each sequence. L is the largest length.
    """
    step = torch.arange(int(lengths.max()), device="cpu")
    real = step < lengths[:, None]
    return torch.where(real, starts[:, None] + step, starts[:, None]), real


# Four entries: the twelve blocks of a decoder alternate between two partitions, and two decoders run one after the
# other.
@lru_cache(maxsize=4)
def _groups(q_seqlen: tuple[int, ...], kv_seqlen: tuple[int, ...], device: Any) -> list[_Group]:
    with torch.device("cpu"):  # upstream calls this under its own default device
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
    """Replace `masked_sdpa` in the upstream modules that imported it by name. Upstream must be imported already."""
    for module in _modules():
        module.masked_sdpa = packed_attention


@contextmanager
def packed() -> Iterator[None]:
    """Use `packed_attention` within the block, whichever backend upstream was imported with.

    This is for float32, which flash_attn does not accept.
    """
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
