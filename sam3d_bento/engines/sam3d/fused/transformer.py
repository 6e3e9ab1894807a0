"""Transformer blocks of both generators, with a condition and without one side by side.

The rows of the residual stream are those of the evaluation with the photo's tokens, followed, where guidance needs it,
by those of the evaluation without. Compared with upstream's blocks (modules/transformer/modulated.py and its sparse
form), computed once instead of at every step are
  * the keys and values of the photo's tokens;
  * the modulations, which depend on the time alone;
  * cross-attention without a condition. Upstream sets the photo's tokens to zero there. All keys are then equal, so
    the attention is the mean of equal values: one constant row per block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch.nn import functional

# Highest score that float16 exponentials bear without subtracting the maximum: exp(11) = 59,874 < 65,504.
MOST_SCORE = 11.0

# The private function of torch that applies GELU within the product (torch/aten/src/ATen/native/cuda/Blas.cpp), where
# this torch has it. Without it, GELU is one more pass.
_addmm_activation = getattr(torch, "_addmm_activation", None)


class Unsupported(Exception):
    """A network differs from the released ones in a way that the fused form does not know. Its message says how."""


class Operations(Protocol):
    """The functions of `kernels.reference`."""

    NAME: str
    residual_norm: Any
    normalise_heads: Any
    attend: Any
    convolve: Any
    convolve_upsampled: Any
    group_norm_silu: Any


def require(fact: bool, message: str) -> None:
    """Raise Unsupported with `message` unless `fact` holds."""
    if not fact:
        raise Unsupported(message)


def require_common_form(network: Any) -> None:
    """Raise Unsupported unless a generator's network is of the form that both of them have in the released weights."""
    require(network.force_zeros_cond, "guidance does not set the photo's tokens to zero")
    require(not network.share_mod, "all blocks share one modulation")
    require(network.qk_rms_norm, "self-attention does not normalise its queries")
    require(network.pe_mode == "ape", "positions are rotary")


def linear(x: Any, layer: Any, out: Any = None) -> Any:
    """Apply a linear layer to x (N, C) of the layer's dtype. out: where the result goes, None for a new tensor."""
    if out is None:
        return torch.addmm(layer.bias, x, layer.weight.t())
    return torch.addmm(layer.bias, x, layer.weight.t(), out=out)


def linear_gelu(x: Any, layer: Any) -> Any:
    """Apply a linear layer and the tanh form of GELU to x (N, C)."""
    if x.is_cuda and _addmm_activation is not None:
        return _addmm_activation(layer.bias, x, layer.weight.t(), use_gelu=True)
    return functional.gelu(linear(x, layer), approximate="tanh")


class BlockStream:
    """One stream of tokens through one block. The modules are upstream's; tensors that follow from them are built once.

    bounded: whether no score of the self-attention exceeds MOST_SCORE.
    """

    def __init__(self, to_qkv: Any, q_norm: Any, k_norm: Any, to_out: Any, norm2: Any, cross: Any, mlp: Any) -> None:
        require(not cross.qk_rms_norm, "cross-attention normalises its queries")
        self.to_qkv, self.to_out, self.norm2, self.cross = to_qkv, to_out, norm2, cross
        self.widen, self.narrow = mlp.mlp[0], mlp.mlp[2]
        self._norms = q_norm, k_norm
        # |q · k| / sqrt(D) with |q| = |k| = 1 before the gammas, which are applied with sqrt(D) each.
        largest = (q_norm.gamma * k_norm.gamma).abs().max()
        self.bounded = bool(largest * q_norm.gamma.shape[1] ** 0.5 <= MOST_SCORE)
        self.gammas: Any = None
        self.constant: Any = None
        self.keys_values: Any = None

    def build(self, tokens: Any) -> None:
        """Compute what stays the same during a solve. tokens (T, C): of the photo, in the dtype of the products.

        Keys and values of as many tokens as before are written to the same place.
        """
        to_kv = self.cross.to_kv
        if self.gammas is None:
            self.gammas = torch.cat([norm.gamma for norm in self._norms]).float()
            value = to_kv.bias[None, to_kv.bias.shape[0] // 2 :]
            self.constant = linear(value, self.cross.to_out)[0]
        if self.keys_values is not None and len(self.keys_values) != len(tokens):
            self.keys_values = None
        self.keys_values = linear(tokens, to_kv, out=self.keys_values)

    def drop(self) -> None:
        """Delete what `build` made."""
        self.gammas = self.constant = self.keys_values = None


class Modulations:
    """Shift, scale and gate of every block, computed for all steps of a solve at once."""

    def __init__(self, blocks: Sequence[Any]) -> None:
        self._layers = [block.adaLN_modulation[1] for block in blocks]
        self._steps: Any = None

    def build(self, embedded: Any, dtype: Any, capacity: int) -> None:
        """Compute them. embedded (S, C): the embedded time of each step. capacity: the most steps of any solve."""
        width = self._layers[0].out_features
        if self._steps is None or len(self._steps) != capacity:
            self._steps = torch.zeros((capacity, len(self._layers), width), dtype=dtype, device=embedded.device)
        activated = functional.silu(embedded.float()).to(dtype)
        for place, layer in enumerate(self._layers):
            self._steps[: len(embedded), place] = linear(activated, layer)

    def at(self, step: Any) -> list[Sequence[Any]]:
        """Return those of one step: for each block shift, scale and gate of the attention, then of the MLP, (C,) each.

        step (1,) int64, on the device.
        """
        chosen = self._steps.index_select(0, step)[0]
        return [block.chunk(6) for block in chosen.unbind(0)]

    def drop(self) -> None:
        """Delete what `build` made."""
        self._steps = None


def first_norm(operations: Operations, x: Any, dtype: Any, modulation: Sequence[Any]) -> Any:
    """Return the input of the first block's self-attention, (N, C) in `dtype`."""
    return operations.residual_norm(x, dtype, modulation=modulation[:2])


def finish_block(
    operations: Operations,
    x: Any,
    attended: Any,
    stream: BlockStream,
    modulation: Sequence[Any],
    following: Sequence[Any] | None,
    conditional: int,
    heads: int,
) -> Any:
    """Compute a block from the output of its self-attention on; return the next block's input, None after the last.

    x (N, C): the residual stream, changed in place. attended (N, C): the output of the self-attention.
    following: the modulation of the next block.
    conditional: the number of rows that see the photo's tokens. They come first.
    """
    _, _, gate, mlp_shift, mlp_scale, mlp_gate = modulation
    dtype = attended.dtype
    affine = stream.norm2.weight, stream.norm2.bias
    y = operations.residual_norm(x, dtype, added=attended, gate=gate, affine=affine)
    keys, values = stream.keys_values[None].chunk(2, -1)
    seen = operations.attend(linear(y[:conditional], stream.cross.to_q)[None], keys, values, heads)
    crossed = linear(seen[0], stream.cross.to_out)
    y = operations.residual_norm(
        x,
        dtype,
        added=crossed,
        constant=stream.constant if conditional < len(x) else None,
        modulation=(mlp_shift, mlp_scale),
    )
    changed = linear(linear_gelu(y, stream.widen), stream.narrow)
    return operations.residual_norm(
        x,
        dtype,
        added=changed,
        gate=mlp_gate,
        modulation=None if following is None else following[:2],
        norm=following is not None,
    )
