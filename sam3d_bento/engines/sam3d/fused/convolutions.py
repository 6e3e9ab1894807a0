"""Sparse convolutions of upstream's modules through `Operations`: tables of neighbours, and weights in their order."""

from __future__ import annotations

from typing import Any

from sam3d_bento.engines.sam3d.fused.transformer import Operations, require
from sam3d_bento.engines.sam3d.standins.spconv import SubMConv3d


class SparseConvolution:
    """A SparseConv3d of upstream with 3 x 3 x 3 offsets. upsampled: whether its input is an upsampled one."""

    def __init__(self, module: Any, operations: Operations, upsampled: bool = False) -> None:
        self.layer = module.conv
        require(isinstance(self.layer, SubMConv3d), "spconv itself is installed")
        require(self.layer.kernel_size == 3 and self.layer.dilation == 1, "a convolution has another size than 3")
        self._operations, self._upsampled = operations, upsampled
        self._weight: Any = None

    def neighbours(self, data: Any) -> Any:
        """Return the row of each neighbour (27, N) int32, N for none. data: coordinates as spconv holds them."""
        return self.layer._neighbours(data).t().contiguous()

    def __call__(self, x: Any, table: Any) -> Any:
        """Convolve x (M, in); return (N, out). table (27, N) int32: rows of x, M for none."""
        if self._weight is None:
            channels, out = self.layer.in_channels, self.layer.out_channels
            stored = self.layer.weight.reshape(out, 27, channels)
            # (27, in, out); where each row is multiplied first, in memory (in, 27, out)
            if self._upsampled:
                self._weight = stored.permute(2, 1, 0).contiguous().transpose(0, 1)
            else:
                self._weight = stored.permute(1, 2, 0).contiguous()
        convolve = self._operations.convolve_upsampled if self._upsampled else self._operations.convolve
        return convolve(x, table, self._weight, self.layer.bias)

    def drop(self) -> None:
        """Delete the weights in their other order."""
        self._weight = None
