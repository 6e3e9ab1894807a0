"""Weights in the precision that they are used in, and each only once.

Upstream keeps the generators' and embedders' weights in float32 and runs them under float16 autocast, which casts every
frozen weight anew at each call; and it holds four copies of one DINOv2. Cast beforehand and shared, the same sums come
out of 5 GB instead of 12.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# The layers whose inputs and weights autocast casts (torch.amp: linear, conv). Norms and bare parameters stay as they
# are: autocast leaves them in float32, and MoGe reads its working precision from its first bare parameter.
CAST = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def cast_beforehand(part: Any, dtype: Any) -> None:
    """Cast the weights that autocast to `dtype` would cast at every call. The results stay the same, bit for bit.

    Only for a part whose forward always runs under that autocast: upstream's decoders, which do not, and the second
    generator choose their own precision (`use_fp16`).
    """
    for module in part.modules():
        if isinstance(module, CAST):
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.to(dtype)


def share_backbones(embedders: list[Any]) -> None:
    """Let the DINOv2 wrappers inside `embedders` that hold equal backbones hold one."""
    from sam3d_objects.model.backbone.dit.embedder.dino import Dino

    kept: list[Any] = []
    for dino in (module for embedder in embedders for module in embedder.modules() if isinstance(module, Dino)):
        twin = next((backbone for backbone in kept if _equal(backbone, dino.backbone)), None)
        if twin is None:
            kept.append(dino.backbone)
        else:
            dino.backbone = twin


def _equal(one: Any, other: Any) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return (
        # By name: torch.hub runs a local hubconf.py anew at each load, and a class defined there is another each time.
        type(one).__qualname__ == type(other).__qualname__
        and ours.keys() == theirs.keys()
        and all(ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]) for name in ours)
    )
