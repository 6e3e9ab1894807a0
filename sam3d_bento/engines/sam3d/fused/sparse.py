"""Network of the second generator (SLatFlowModelTdfyWrapper), which computes the latents of the voxels."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from sam3d_bento.engines.sam3d import sampling
from sam3d_bento.engines.sam3d.fused.convolutions import SparseConvolution
from sam3d_bento.engines.sam3d.fused.transformer import (
    BlockStream,
    Modulations,
    Operations,
    finish_block,
    first_norm,
    linear,
    require,
    require_common_form,
)


class SparseNetwork:
    """The network in few kernels. Its weights stay upstream's.

    network: upstream's. operations: the kernels. It raises Unsupported for a network of another form.

    With and without the photo's tokens, the network computes the same up to the first cross-attention. Up to there it
    runs once.
    """

    def __init__(self, network: Any, operations: Operations) -> None:
        require_common_form(network)
        require(network.use_skip_connection, "there are no skip connections")
        require(len(network.input_blocks) == len(network.out_blocks) == 2, "there are other levels than two")
        require(not network.is_shortcut_model, "the network is distilled")
        self._network, self._operations = network, operations
        self._heads = network.num_heads
        self._streams = [_stream(block) for block in network.blocks]
        self._modulations = Modulations(network.blocks)
        self._inward = [_ResidualBlock(block, operations) for block in network.input_blocks]
        self._outward = [_ResidualBlock(block, operations) for block in network.out_blocks]
        # Of the voxels: a SparseTensor of them, their downsampling, the block of each, tables of neighbours among the
        # voxels, among the blocks, and of the voxels among the blocks, and the positions of the blocks.
        self._places: Any = None
        self._down: Any = None
        self._blocks: Any = None
        self._fine: Any = None
        self._coarse: Any = None
        self._up: Any = None
        self._positions: Any = None

    @property
    def dtype(self) -> Any:
        """Dtype of the products."""
        return self._streams[0].to_qkv.weight.dtype

    def build(self, places: Any, tokens: Any, times: Any, capacity: int) -> None:
        """Compute what stays the same during a solve.

        places: a SparseTensor of the voxels. tokens (1, T, C): of the photo. times (S,) float32: the time of each step.
        capacity: the most steps of any solve.
        """
        network = self._network
        flat = tokens[0].to(self.dtype)
        for stream in self._streams:
            stream.build(flat)
        embedded = network.t_embedder(times)
        self._modulations.build(embedded, self.dtype, capacity)
        for block in (*self._inward, *self._outward):
            block.build(embedded.to(self.dtype), capacity)
        self._places = places
        self._down = sampling.Downsample(network.input_blocks[1].updown)
        fine = places.replace(torch.zeros((len(places.feats), 1), dtype=self.dtype, device=places.device))
        coarse = self._down(fine)
        self._blocks = self._down.blocks
        self._fine = self._inward[0].first.neighbours(fine.data)
        self._coarse = self._inward[1].first.neighbours(coarse.data)
        none = self._blocks.new_full((1,), len(coarse.feats))
        self._up = torch.cat((self._blocks, none)).int()[self._fine.long()]
        self._positions = network.pos_embedder(coarse.coords[:, 1:]).to(self.dtype)

    def drop(self) -> None:
        """Delete what `build` made."""
        self._modulations.drop()
        for stream in self._streams:
            stream.drop()
        for block in (*self._inward, *self._outward):
            block.drop()
        self._places = self._down = self._blocks = self._fine = self._coarse = self._up = self._positions = None

    def __call__(self, sample: Any, step: Any, guided: bool) -> list[Any]:
        """Evaluate the network; return the velocities (1, N, C) with the photo, and without it if `guided`.

        sample (1, N, C): the latents of the voxels. step (1,) int64: the number of the step, on the device.
        """
        network, passes = self._network, 1 + guided
        given = self._places.replace(sample[0])
        x = network.input_layer(given).feats.to(self.dtype)
        fine_skip = x = self._inward[0](x, step, self._fine)
        x = self._down(self._places.replace(x)).feats
        coarse_skip = self._inward[1](x, step, self._coarse)
        x = self._transform(coarse_skip + self._positions, step, passes)
        velocities = []
        for part in x.chunk(passes):
            y = self._outward[0](torch.cat((part, coarse_skip), 1), step, self._fine, self._up, self._blocks)
            y = self._outward[1](torch.cat((y, fine_skip), 1), step, self._fine)
            y = functional.layer_norm(y.float(), y.shape[1:])
            velocities.append(network.out_layer(self._places.replace(y.to(sample.dtype))).feats[None])
        return velocities

    def _transform(self, x: Any, step: Any, passes: int) -> Any:
        operations, rows = self._operations, len(x)
        modulations = self._modulations.at(step)
        y = first_norm(operations, x, self.dtype, modulations[0])
        for place, (stream, modulation) in enumerate(zip(self._streams, modulations, strict=True)):
            following = modulations[place + 1] if place + 1 < len(modulations) else None
            qkv = linear(y, stream.to_qkv)
            operations.normalise_heads(qkv, stream.gammas)
            queries, keys, values = qkv.unflatten(0, (-1, rows)).chunk(3, -1)
            attended = operations.attend(queries, keys, values, self._heads, stream.bounded).flatten(0, 1)
            attended = linear(attended, stream.to_out)
            if len(x) < passes * rows:  # up to here, both passes are equal
                x, attended = x.repeat(passes, 1), attended.repeat(passes, 1)
            y = finish_block(operations, x, attended, stream, modulation, following, rows, self._heads)
        return x


class _ResidualBlock:
    """SparseResBlock3d (structured_latent_flow.py), without its downsampling."""

    def __init__(self, block: Any, operations: Operations) -> None:
        self._block, self._operations = block, operations
        self.first = SparseConvolution(block.conv1, operations, upsampled=block.upsample)
        self.second = SparseConvolution(block.conv2, operations)
        self._steps: Any = None

    def build(self, embedded: Any, capacity: int) -> None:
        """Compute scale and shift of all steps. embedded (S, C): the embedded times. capacity: as in `Modulations`."""
        found = self._block.emb_layers(embedded).to(embedded.dtype)
        if self._steps is None or len(self._steps) != capacity:
            self._steps = found.new_zeros((capacity, found.shape[1]))
        self._steps[: len(found)] = found

    def drop(self) -> None:
        """Delete what `build` made."""
        self._steps = None
        self.first.drop()
        self.second.drop()

    def __call__(self, x: Any, step: Any, table: Any, up: Any = None, blocks: Any = None) -> Any:
        """Compute the block; return (N, out).

        x (M, in). step: as in `SparseNetwork`. table (27, N): neighbours among the rows of the result.
        up (27, N): neighbours among the rows of x, and blocks (N,): the row of x of each row, for an upsampling block.
        """
        block, operations, dtype = self._block, self._operations, x.dtype
        scale, shift = self._steps.index_select(0, step)[0].chunk(2)
        y = operations.residual_norm(x, dtype, affine=(block.norm1.weight, block.norm1.bias), silu=True)
        y = self.first(y, table if up is None else up)
        y = operations.residual_norm(y, dtype, modulation=(shift, scale), silu=True)
        y = self.second(y, table)
        skip = x if isinstance(block.skip_connection, torch.nn.Identity) else linear(x, block.skip_connection)
        return y.add_(skip if blocks is None else skip[blocks])


def _stream(block: Any) -> BlockStream:
    attention = block.self_attn
    return BlockStream(
        attention.to_qkv,
        attention.q_rms_norm,
        attention.k_rms_norm,
        attention.to_out,
        block.norm2,
        block.cross_attn,
        block.mlp,
    )
