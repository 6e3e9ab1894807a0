"""The operations in plain torch. They define what the Triton kernels in `kernels.triton_operations` compute.

All tensors of one call are on one device. `dtype` is the dtype of the products, float16 on a GPU. The residual stream
`x` may be float32 (first generator, under autocast) or float16 (second generator). Intermediate values are rounded
where upstream's modules round them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

# What upstream's layer norms add to the variance (LayerNorm32 in modules/transformer and structured_latent_flow.py).
LAYER_NORM_EPSILON = 1e-6

NAME = "torch"


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
    """Add a layer's output to the residual stream in place, and return its layer norm (N, C) in `dtype`.

    x (N, C). added (n, C): added to the first n rows, times `gate` (C,). constant (C,): added to the other rows.
    affine: weight and bias (C,) float32. modulation: shift and scale (C,), applied as `norm * (1 + scale) + shift`.
    silu: whether the result goes through SiLU. norm: False to return None.
    """
    if added is not None:
        x[: len(added)] += added if gate is None else added * gate
        if len(added) < len(x):
            x[len(added) :] += constant
    if not norm:
        return None
    weight, bias = (None, None) if affine is None else affine
    y = functional.layer_norm(x.float(), x.shape[1:], weight, bias, LAYER_NORM_EPSILON).to(x.dtype)
    if modulation is not None:
        shift, scale = modulation
        y = y * (1 + scale) + shift
    y = y.to(dtype)
    return functional.silu(y) if silu else y


def normalise_heads(qkv: Any, gammas: Any) -> None:
    """Normalise the queries and keys of each head in place, as upstream's MultiHeadRMSNorm does.

    qkv (N, 3·H·D) with rows at any stride. gammas (2·H, D) float32: those of the queries, then those of the keys.
    """
    heads, channels = gammas.shape
    both = qkv[:, : heads * channels].unflatten(1, (heads, channels))
    both.copy_(functional.normalize(both.float(), dim=-1) * gammas * channels**0.5)


def attend(q: Any, k: Any, v: Any, heads: int, bounded: bool = False) -> Any:
    """Compute attention of q (n, Lq, H·D) to k and v (n, Lk, H·D), rows at any stride; return (n, Lq, H·D).

    bounded: whether no score exceeds `fused.transformer.MOST_SCORE`, so that no maximum needs to be subtracted.
    """
    q, k, v = (tensor.unflatten(2, (heads, -1)).transpose(1, 2) for tensor in (q, k, v))
    return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def convolve(x: Any, table: Any, weight: Any, bias: Any) -> Any:
    """Compute a submanifold sparse convolution; return (N, out).

    x (M, in). table (K, N) int32: the row of x at each kernel offset, M for none. weight (K, in, out). bias (out,).
    """
    padded = torch.cat((x, x.new_zeros(1, x.shape[1])))
    total = bias.float().expand(table.shape[1], -1).clone()
    for rows, matrix in zip(table, weight, strict=True):
        total += (padded[rows] @ matrix).float()
    return total.to(x.dtype)


def convolve_upsampled(x: Any, table: Any, weight: Any, bias: Any) -> Any:
    """Compute what `convolve` does, with fewer products where many rows of the table are equal.

    After an upsampling, each row of x has several copies. Each row is multiplied by the weights of all offsets first,
    and the products are added up afterwards. Arguments and result are those of `convolve`.
    """
    offsets, rows = table.shape
    products = torch.cat([x @ weight.transpose(0, 1).flatten(1), x.new_zeros(1, offsets * weight.shape[2])])
    products = products.unflatten(1, (offsets, -1))
    total = bias.float().expand(rows, -1).clone()
    for offset, places in enumerate(table):
        total += products[places, offset].float()
    return total.to(x.dtype)


def group_norm_silu(x: Any, norm: Any) -> Any:
    """Compute the group norm of x (N, C) over all rows, then SiLU; return (N, C).

    norm: its number of groups, weight, bias and epsilon, as in torch.nn.GroupNorm.
    """
    y = functional.group_norm(x.float().t()[None], norm.num_groups, norm.weight.float(), norm.bias.float(), norm.eps)
    return functional.silu(y[0].t().to(x.dtype))
