"""Upsampling blocks of the mesh decoder (SparseSubdivideBlock3d), in which each voxel becomes eight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from sam3d_bento.engines.sam3d.fused.convolutions import SparseConvolution
from sam3d_bento.engines.sam3d.fused.transformer import Operations, require
from sam3d_bento.engines.sam3d.standins.spconv import SubMConv3d
from sam3d_bento.engines.sam3d.upstream import overridden

# Children of a voxel. They lie one after the other (SparseSubdivide).
CHILDREN = 8


class Upsampling:
    """The two upsampling blocks of a mesh decoder in few kernels. Their weights stay upstream's.

    It raises Unsupported for blocks of another form.
    """

    def __init__(self, decoder: Any, operations: Operations) -> None:
        self._blocks = [_Block(block, operations) for block in decoder.upsample]
        self.dtype = decoder.dtype

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Compute the blocks this way within the block."""
        with ExitStack() as stack:
            for block in self._blocks:
                stack.enter_context(overridden(block.module, "forward", partial(_Block.__call__, block)))
            yield

    def drop(self) -> None:
        """Delete the weights in their other order."""
        for block in self._blocks:
            block.first.drop()
            block.second.drop()


class _Block:
    def __init__(self, module: Any, operations: Operations) -> None:
        self.module, self._operations = module, operations
        first, self._second_norm, _, second = module.out_layers
        self.first = SparseConvolution(first, operations, upsampled=True)
        self.second = SparseConvolution(second, operations)
        self._first_norm = module.act_layers[0]
        skip: Any = getattr(module.skip_connection, "conv", None)
        require(isinstance(skip, SubMConv3d) and skip.kernel_size == 1, "the skip connection is no linear layer")
        self._skip = skip

    def __call__(self, x: Any) -> Any:
        """Compute SparseSubdivideBlock3d.forward. x: a SparseTensor of one object."""
        rows, operations = len(x.feats), self._operations
        fine = self.module.sub(x.replace(x.feats[:, :1]))
        table = self.first.neighbours(fine.data)
        # The parent of each neighbour. None, which is 8 · rows in the table, becomes `rows`: none again.
        y = self.first(operations.group_norm_silu(x.feats, self._first_norm), table // CHILDREN)
        y = self.second(operations.group_norm_silu(y, self._second_norm), table)
        weight = self._skip.weight.reshape(self._skip.in_channels, self._skip.out_channels)  # as in standins.spconv
        skip = x.feats @ weight + self._skip.bias
        y.view(rows, CHILDREN, -1).add_(skip[:, None])
        return fine.replace(y)
