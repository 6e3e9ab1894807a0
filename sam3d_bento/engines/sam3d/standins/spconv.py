"""Stand-in for spconv 2.3 in plain torch. Upstream executes `SparseConvTensor` and the submanifold `SubMConv3d`.

Parameters have spconv's layout (weight (out, k, k, k, in)), so its checkpoints load. It works on any device and with
any dtype, and is deterministic on a CPU. Rows are gathered by neighbour, a block of rows at a time, and multiplied as
one matrix.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from sam3d_bento.engines.sam3d import standins

# Values in one gathered block. 64 Mi of float16 are 128 MiB, large enough to keep a GPU busy in the matrix product.
BLOCK_VALUES = 1 << 26
# Rows whose neighbours are looked up at once. With 27 numbers of 8 bytes each, a temporary has 57 MB.
ROWS_SEARCHED = 1 << 18


class SparseConvTensor:
    """Features (N, C) at integer coordinates `indices` (N, 4), with the batch index first.

    The attributes and the constructor are spconv's, because upstream reads and copies them one by one
    (SparseTensor.replace).
    """

    def __init__(
        self,
        features: Any,
        indices: Any,
        spatial_shape: Any,
        batch_size: int,
        grid: Any = None,
        voxel_num: Any = None,
        indice_dict: dict[Any, Any] | None = None,
        benchmark: bool = False,
    ) -> None:
        self._features = features
        self.indices = indices
        self.spatial_shape = spatial_shape
        self.batch_size = batch_size
        self.grid = grid
        self.voxel_num = voxel_num
        self.indice_dict = {} if indice_dict is None else indice_dict
        self.benchmark = benchmark
        self.benchmark_record: dict[Any, Any] = {}
        self.thrust_allocator = self._timer = self.force_algo = self.int8_scale = None

    @property
    def features(self) -> Any:
        return self._features

    def replace_feature(self, features: Any) -> SparseConvTensor:
        """Return a tensor with other features at the same coordinates, which shares the neighbour tables."""
        return SparseConvTensor(
            features,
            self.indices,
            self.spatial_shape,
            self.batch_size,
            self.grid,
            self.voxel_num,
            self.indice_dict,
            self.benchmark,
        )


class SubMConv3d(nn.Module):
    """Convolution whose output exists exactly where its input does (Graham & van der Maaten 2017). Stride 1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int = 1,
        bias: bool = True,
        indice_key: str | None = None,
        algo: Any = None,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.indice_key = indice_key
        self.weight = nn.Parameter(torch.empty(out_channels, kernel_size, kernel_size, kernel_size, in_channels))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        bound = 1 / math.sqrt(in_channels * kernel_size**3)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: SparseConvTensor) -> SparseConvTensor:
        features = x.features
        weight = self.weight.to(features.dtype)
        if self.kernel_size == 1:
            # spconv 2.3 multiplies a 1x1x1 kernel as weight.view(in, out), although it is stored (out, 1, 1, 1, in);
            # the trained skip connections of upstream's mesh decoder rely on that.
            result = features @ weight.reshape(self.in_channels, self.out_channels)
        else:
            result = self._convolve(features, self._neighbours(x), weight.reshape(self.out_channels, -1).T)
        if self.bias is not None:
            result += self.bias.to(features.dtype)
        return x.replace_feature(result)

    def _convolve(self, features: Any, neighbours: Any, matrix: Any) -> Any:
        """Gather the features of the neighbours and multiply them by a matrix; return (N, out).

        features (N, in). neighbours (N, k³): rows, or N for none. matrix (k³·in, out).
        """
        padded = torch.cat((features, features.new_zeros(1, self.in_channels)))
        result = features.new_empty(len(features), self.out_channels)
        rows = max(1, BLOCK_VALUES // matrix.shape[0])
        for start in range(0, len(features), rows):
            block = neighbours[start : start + rows]
            torch.mm(padded[block].flatten(1), matrix, out=result[start : start + rows])
        return result

    def _neighbours(self, x: SparseConvTensor) -> Any:
        """Return the row at each kernel offset (N, k³) int32, in the order of the kernel's axes; N where there is none.

        The table is cached with the coordinates, so that layers at one resolution share it, with or without the
        `indice_key` that spconv needs.
        """
        key = (self.kernel_size, self.dilation)
        if key in x.indice_dict and x.indice_dict[key][0] is x.indices:
            return x.indice_dict[key][1]
        reach = self.dilation * (self.kernel_size // 2)
        places = x.indices.long()
        count = len(places)
        if count == 0:
            return places.new_zeros((0, self.kernel_size**3), dtype=torch.int32)
        lowest = places[:, 1:].amin(0)
        extent = places[:, 1:].amax(0) - lowest + 1 + 2 * reach  # 2 * reach: a neighbour never wraps around
        stride = torch.stack((extent[1] * extent[2], extent[2], torch.ones_like(extent[2])))
        code = ((places[:, 1:] - lowest + reach) * stride).sum(1) + places[:, 0] * extent.prod()
        in_order, row = code.sort()
        steps = torch.arange(-reach, reach + 1, self.dilation, device=places.device)
        offsets = (torch.cartesian_prod(steps, steps, steps) * stride).sum(1)
        table = torch.empty((count, len(offsets)), dtype=torch.int32, device=places.device)
        for start in range(0, count, ROWS_SEARCHED):
            block = slice(start, start + ROWS_SEARCHED)
            wanted = code[block, None] + offsets
            place = torch.searchsorted(in_order, wanted).clamp_(max=count - 1)
            table[block] = torch.where(in_order[place] == wanted, row[place], count)
        x.indice_dict[key] = x.indices, table
        return table


def install() -> None:
    """Install this stand-in in `sys.modules`."""
    standins.module(
        "spconv.pytorch",
        SparseConvTensor=SparseConvTensor,
        SubMConv3d=SubMConv3d,
        ConvAlgo=SimpleNamespace(Native=None, MaskImplicitGemm=None),
    )
