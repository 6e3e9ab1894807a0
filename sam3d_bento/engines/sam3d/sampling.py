"""Sample with the two generators: report each step, and on a GPU record a step once and replay it.

From step to step, only the sample and the time change. The photo's tokens, the coordinates of the voxels and the
weights stay the same. During one solve on a GPU, `dense` and `sparse` therefore make the networks of the generators
functions of few tensors that never wait for the GPU, as `graphs` requires.

The networks compute what upstream's do, with one shortcut. For the unconditional evaluation of guidance, upstream sets
the photo's tokens to zero. All tokens are then equal, and attention to many equal tokens is attention to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from sam3d_objects.model.backbone.tdfy_dit.models.structured_latent_flow import SLatFlowModel
from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseDownsample, SparseTensor, SparseUpsample

from sam3d_bento.engines.sam3d import attention
from sam3d_bento.engines.sam3d.graphs import Recorder, Replayed
from sam3d_bento.engines.sam3d.upstream import overridden


class WatchedSolver:
    """Wrapper of an upstream ODE solver that reports each step.

    on_progress: called with the finished share, 0..1. solving: makes a context manager that is entered for each solve,
    and left even if the solve is interrupted.
    """

    def __init__(
        self,
        solver: Any,
        on_progress: Callable[[float], None],
        solving: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._solver = solver
        self._on_progress = on_progress
        self._solving = solving

    def solve_iter(self, dynamics: Any, start: Any, times: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Yield each state with its time, as upstream's solver does."""
        steps = len(times) - 1
        with self._solving():
            for index, state in enumerate(self._solver.solve_iter(dynamics, start, times, *args, **kwargs)):
                self._on_progress((index + 1) / steps)
                yield state


@contextmanager
def dense(network: Any, recorder: Callable[[], Recorder]) -> Iterator[None]:
    """Replay the calls of the first generator's network (SparseStructureFlowTdfyWrapper) within the block.

    recorder: makes a recorder for these calls alone.
    """
    replayed = Replayed(network.forward, recorder())

    def forward(sample: Any, time: Any, condition: Any, *, d: Any, cfg: bool = False) -> Any:
        return replayed(sample, time, _condition(network, condition, cfg), d=d)

    with overridden(network, "forward", forward):
        try:
            yield
        finally:
            replayed.drop()


@contextmanager
def sparse(network: Any, recorder: Callable[[], Recorder]) -> Iterator[None]:
    """Replay the calls of the second generator's network (SLatFlowModelTdfyWrapper) within the block.

    All calls must be for the same voxels, as those of one solve are.
    recorder: makes a recorder for these calls alone.
    """
    # One tensor, once the voxels are known. It carries the neighbour tables and the caches of these voxels.
    places: list[SparseTensor] = []

    def on_places(sample: Any, time: Any, condition: Any) -> Any:
        return SLatFlowModel.forward(network, places[0].replace(sample[0]), time, condition).feats[None]

    replayed = Replayed(on_places, recorder())

    def forward(sample: Any, time: Any, condition: Any, coords: Any, *, cfg: bool = False) -> Any:
        if not places:
            places.append(SparseTensor(feats=sample[0], coords=torch.as_tensor(coords, device=sample.device)))
        return replayed(sample, time, _condition(network, condition, cfg))

    with ExitStack() as stack:
        for module in network.modules():
            if type(module) in _RESAMPLING:
                stack.enter_context(overridden(module, "forward", _RESAMPLING[type(module)](module)))
        # There is one sequence, so flash_attn is not needed. It copies a table of lengths to the GPU at every call.
        stack.enter_context(attention.packed())
        stack.enter_context(overridden(network, "forward", forward))
        stack.callback(replayed.drop)
        yield


class Downsample:
    """Forward of a SparseDownsample whose inputs all have the same coordinates.

    Upstream computes the coordinates of its output at every call, and waits for the GPU four times. It also adds in the
    order in which the GPU's threads happen to run. Here the order is that of the rows, as on a CPU.
    """

    def __init__(self, module: SparseDownsample) -> None:
        self._module = module
        self._forward = module.forward
        self._output: SparseTensor | None = None

    def __call__(self, x: SparseTensor) -> SparseTensor:
        if self._output is None:
            self._output, block = _places(self._forward(x), self._module)
            self.blocks = block  # of each row of the input
            self._members = _members(block, len(self._output.feats))
            self._counts = (self._members < len(block)).sum(1)[:, None] + 1  # + 1: upstream counts its initial zeros
        padded = torch.cat((x.feats, x.feats.new_zeros(1, x.feats.shape[1])))
        total = x.feats.new_zeros(len(self._members), x.feats.shape[1])
        for member in self._members.unbind(1):
            total += padded[member]
        return self._output.replace(total / self._counts.to(total.dtype))


class _Upsample:
    """Forward of the SparseUpsample that undoes a `Downsample`."""

    def __init__(self, module: SparseUpsample) -> None:
        self._module = module
        self._forward = module.forward
        self._output: SparseTensor | None = None

    def __call__(self, x: SparseTensor) -> SparseTensor:
        if self._output is None:
            self._output, self._block = _places(self._forward(x), self._module)
        return self._output.replace(x.feats[self._block])


_RESAMPLING: dict[type, Callable[..., Any]] = {SparseDownsample: Downsample, SparseUpsample: _Upsample}


def _places(output: SparseTensor, module: SparseDownsample | SparseUpsample) -> tuple[SparseTensor, torch.Tensor]:
    """Return the coordinates of `output`, with one feature channel only, and the block of each voxel (N,).

    The blocks come from upstream's cache.
    """
    return output.replace(output.feats[:, :1].clone()), output.get_spatial_cache(f"upsample_{3 * (module.factor,)}_idx")


def _members(block: torch.Tensor, blocks: int) -> torch.Tensor:
    """Return the rows in each block (blocks, M) in ascending order, padded with N. The fullest block has M rows.

    block (N,): the block of each row.
    """
    rows = block.argsort(stable=True)
    fullest = int(torch.bincount(block).max())
    block = block[rows]
    first = torch.searchsorted(block, torch.arange(blocks, device=block.device))
    members = block.new_full((blocks, fullest), len(block))
    members[block, torch.arange(len(block), device=block.device) - first[block]] = rows
    return members


def _condition(network: Any, tokens: Any, without: bool) -> Any:
    """Return the condition of one evaluation: the tokens of the photo, or one token of zeros.

    tokens (1, T, C): of the photo. without: whether this is the unconditional evaluation of guidance.
    """
    return tokens[:, :1] * 0 if without and network.force_zeros_cond else tokens
