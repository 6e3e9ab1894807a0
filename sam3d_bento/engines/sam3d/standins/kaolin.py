"""Stand-in for kaolin 0.17. Upstream executes `utils.testing.check_tensor`, at the beginning of FlexiCubes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sam3d_bento.engines.sam3d import standins


def check_tensor(
    tensor: Any, shape: Sequence[int | None] | None = None, dtype: Any = None, device: Any = None, throw: bool = True
) -> bool:
    """Return whether the tensor has this shape (None: any length), dtype and device type.

    throw: raise ValueError if it has not.
    """
    right = (
        (
            shape is None
            or (
                tensor.dim() == len(shape)
                and all(want in (None, got) for want, got in zip(shape, tensor.shape, strict=True))
            )
        )
        and (dtype is None or tensor.dtype == dtype)
        and (device is None or tensor.device.type == str(device).partition(":")[0])
    )
    if throw and not right:
        raise ValueError(f"tensor of {tuple(tensor.shape)} {tensor.dtype} on {tensor.device} is not as expected")
    return right


def install() -> None:
    """Install this stand-in in `sys.modules`."""
    standins.module("kaolin.utils.testing", check_tensor=check_tensor)
