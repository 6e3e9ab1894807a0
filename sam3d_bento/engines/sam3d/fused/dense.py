"""Network of the first generator (SparseStructureFlowTdfyWrapper), which finds the voxels and the pose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

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

# The stream that attends to itself alone (MOTMultiHeadSelfAttention.protect_modality_list).
SHAPE = "shape"


class DenseNetwork:
    """The network in few kernels. Its weights stay upstream's.

    network: upstream's. operations: the kernels. It raises Unsupported for a network of another form.

    The tokens of the pose attend to those of the shape, but not the other way round. On a GPU, they therefore run in a
    stream of their own beside the shape's.
    """

    def __init__(self, network: Any, operations: Operations) -> None:
        require_common_form(network)
        require(network.is_shortcut_model, "the network is not distilled")
        names = list(network.latent_names)
        require(len(names) == 2 and SHAPE in names, "the streams are others than shape and pose")
        self._network, self._operations = network, operations
        self._pose = next(name for name in names if name != SHAPE)
        self._heads = network.num_heads
        self._streams = {name: [_stream(block, name) for block in network.blocks] for name in (SHAPE, self._pose)}
        self._modulations = Modulations(network.blocks)
        self._side: Any = None

    @property
    def dtype(self) -> Any:
        """Dtype of the products."""
        return self._streams[SHAPE][0].to_qkv.weight.dtype

    def build(self, tokens: Any, times: Any, capacity: int, interval: Any) -> None:
        """Compute what stays the same during a solve.

        tokens (1, T, C): of the photo. times (S,) float32: the time of each step. capacity: the most steps of any
        solve. interval (1,) float32: the length that a step of a distilled network spans, else 0.
        """
        network = self._network
        flat = tokens[0].to(self.dtype)
        for streams in self._streams.values():
            for stream in streams:
                stream.build(flat)
        embedded = network.t_embedder(times) + network.d_embedder(interval)
        self._modulations.build(embedded, self.dtype, capacity)
        if tokens.is_cuda and self._side is None:
            self._side = torch.cuda.Stream(tokens.device)

    def drop(self) -> None:
        """Delete what `build` made."""
        self._modulations.drop()
        for streams in self._streams.values():
            for stream in streams:
                stream.drop()

    def __call__(self, sample: Mapping[str, Any], step: Any, guided: bool) -> list[Any]:
        """Evaluate the network; return the velocities with the photo, and without it if `guided`.

        sample: the latents, (1, L, C) each. step (1,) int64: the number of the step, on the device.
        """
        operations, passes = self._operations, 1 + guided
        modulations = self._modulations.at(step)
        latents = self._network.project_input(dict(sample))
        shape, pose = (_repeated(latents[name][0], passes) for name in (SHAPE, self._pose))
        rows, few, width = len(shape) // passes, len(pose) // passes, shape.shape[1]
        y = first_norm(operations, shape, self.dtype, modulations[0])
        main = torch.cuda.current_stream() if shape.is_cuda else None
        self._follow(main)
        with self._beside():
            pose_y = first_norm(operations, pose, self.dtype, modulations[0])
        # Queries, keys and values of a block, which both streams read. Two blocks take turns with two of them.
        buffers = [
            torch.empty((passes * (rows + few), 3 * width), dtype=self.dtype, device=shape.device) for _ in range(2)
        ]
        read: list[Any] = [None, None]  # when the side stream has read each
        for place, modulation in enumerate(modulations):
            following = modulations[place + 1] if place + 1 < len(modulations) else None
            stream, pose_stream = self._streams[SHAPE][place], self._streams[self._pose][place]
            # The pose's keys and values before those of the first pass, and after those of the second one: so the keys
            # that the pose sees in each pass lie together, in an order that does not matter.
            both = buffers[place % 2]
            if main is not None and read[place % 2] is not None:
                main.wait_event(read[place % 2])
            own = both[few : few + passes * rows]
            linear(y, stream.to_qkv, out=own)
            operations.normalise_heads(own, stream.gammas)
            self._follow(main)
            with self._beside():
                qkv = linear(pose_y, pose_stream.to_qkv)
                operations.normalise_heads(qkv, pose_stream.gammas)
                both[:few] = qkv[:few]
                if guided:
                    both[-few:] = qkv[few:]
                queries = qkv[:, :width].unflatten(0, (passes, few))
                _, keys, values = both.unflatten(0, (passes, rows + few)).chunk(3, -1)
                attended = operations.attend(queries, keys, values, self._heads).flatten(0, 1)
                if self._side is not None:
                    read[place % 2] = self._side.record_event()
                attended = linear(attended, pose_stream.to_out)
                pose_y = finish_block(operations, pose, attended, pose_stream, modulation, following, few, self._heads)
            queries, keys, values = own.unflatten(0, (passes, rows)).chunk(3, -1)
            attended = operations.attend(queries, keys, values, self._heads, stream.bounded).flatten(0, 1)
            attended = linear(attended, stream.to_out)
            y = finish_block(operations, shape, attended, stream, modulation, following, rows, self._heads)
        if main is not None:
            main.wait_stream(self._side)
        return [
            self._network.project_output({SHAPE: one[None], self._pose: other[None]})
            for one, other in zip(shape.split(rows), pose.split(few), strict=True)
        ]

    def _follow(self, main: Any) -> None:
        """Let the side stream wait for what the main one has been given so far."""
        if main is not None:
            self._side.wait_stream(main)

    @contextmanager
    def _beside(self) -> Iterator[None]:
        if self._side is None:
            yield
            return
        with torch.cuda.stream(self._side):
            yield


def _stream(block: Any, name: str) -> BlockStream:
    attention = block.self_attn
    return BlockStream(
        attention.to_qkv[name],
        attention.q_rms_norm[name],
        attention.k_rms_norm[name],
        attention.to_out[name],
        block.norm2[name],
        block.cross_attn[name],
        block.mlp[name],
    )


def _repeated(x: Any, times: int) -> Any:
    """Return the rows of x in float32, `times` times, in a new tensor, which may be changed."""
    return x.float().repeat(times, 1)
