"""Stand-in for MoGe where the caller gives the point map. Upstream then computes the focal length that fits it.

MoGe's network has no stand-in. Without the package, only runs with a given point map are possible.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from sam3d_bento.engines.sam3d import standins


def recover_focal_shift(points: Any, mask: Any = None, focal: Any = None) -> tuple[Any, Any]:
    """Fit the focal length of a point map (B, H, W, 3) by least squares, relative to half of the image's diagonal.

    The original also fits a depth shift. A given point map is metric, so the shift is zero here. Returns (B,) tensors
    in the order (shift, focal) in which pipeline/utils/pointmap.py unpacks them (MoGe issue #110). They become the
    intrinsics, which only upstream's layout optimisation reads.
    """
    batch, height, width, _ = points.shape
    zero = points.new_zeros(batch)
    if focal is not None:
        return focal, zero
    diagonal = math.hypot(height, width)
    u = (torch.arange(width, device=points.device) + 0.5 - width / 2) * 2 / diagonal
    v = (torch.arange(height, device=points.device) + 0.5 - height / 2) * 2 / diagonal
    pixels = torch.stack(torch.meshgrid(u, v, indexing="xy"), -1)
    slopes = points[..., :2] / points[..., 2:]
    usable = torch.isfinite(slopes).all(-1)
    if mask is not None:
        usable &= mask
    fits = []
    for slope, use in zip(slopes, usable, strict=True):
        fits.append((pixels[use] * slope[use]).sum() / slope[use].square().sum())
    return zero, torch.stack(fits)


def install() -> None:
    """Install this stand-in in `sys.modules`."""
    standins.module("moge.utils.geometry_torch", recover_focal_shift=recover_focal_shift)
    standins.module("moge.utils.geometry_numpy")
