"""Group norms of the depth model by the moments of each channel.

torch computes the moments of a group with one block of threads. The depth model has one group of up to 256 channels at
the resolution of the photo, so most of the GPU waits for a few blocks.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch


def use_channel_moments(model: Any) -> None:
    """Compute every GroupNorm of `model` with `group_norm`."""
    for module in model.modules():
        if type(module) is torch.nn.GroupNorm:
            module.forward = partial(group_norm, module)


def group_norm(norm: torch.nn.GroupNorm, x: Any) -> Any:
    """Compute the group norm of x (N, C, H, W) in float32, as under autocast; return float32."""
    x = x.float()
    variance, mean = torch.var_mean(x, dim=(2, 3), correction=0)
    scale, shift = scale_and_shift(norm, mean, variance)
    return torch.addcmul(shift.view(len(x), -1, 1, 1), x, scale.view(len(x), -1, 1, 1))


def scale_and_shift(norm: torch.nn.GroupNorm, mean: Any, variance: Any) -> tuple[Any, Any]:
    """Return the scale and shift (..., G, C/G) that a group norm applies, from its channels' moments (..., C)."""
    mean, variance = (moment.unflatten(-1, (norm.num_groups, -1)) for moment in (mean, variance))
    centre = mean.mean(-1, keepdim=True)
    spread = (variance + (mean - centre) ** 2).mean(-1, keepdim=True)
    scale = norm.weight.float().view(norm.num_groups, -1) * (spread + norm.eps).rsqrt()
    return scale, norm.bias.float().view(norm.num_groups, -1) - centre * scale
