"""Stand-in for utils3d (EasternJournalist). Upstream and MoGe execute `intrinsics_from_focal_center`.

PyPI has another package of that name. MoGe calls the submodule `pt`, and upstream uses the older name `torch`.
"""

from __future__ import annotations

from typing import Any

import torch

from sam3d_bento.engines.sam3d import standins


def intrinsics_from_focal_center(fx: Any, fy: Any, cx: Any, cy: Any) -> Any:
    """Return the OpenCV camera matrix (..., 3, 3) of focal lengths (...) and a principal point, all in one unit."""
    matrix = torch.zeros(*fx.shape, 3, 3, dtype=fx.dtype, device=fx.device)
    matrix[..., 0, 0], matrix[..., 1, 1], matrix[..., 2, 2] = fx, fy, 1.0
    matrix[..., 0, 2], matrix[..., 1, 2] = cx, cy
    return matrix


def install() -> None:
    """Install this stand-in in `sys.modules`."""
    for name in ("torch", "pt"):
        standins.module(f"utils3d.{name}", intrinsics_from_focal_center=intrinsics_from_focal_center)
    standins.module("utils3d.numpy")
