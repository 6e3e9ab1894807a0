"""The steps of the two generators: told one by one, and on a GPU recorded once and replayed.

From step to step the sample changes and the time. The photo's tokens, the places of the voxels and the weights do not;
so on a GPU, for as long as one solve takes, the networks of the generators are functions of few tensors which nothing
makes wait for the GPU (`dense`, `sparse`), as `graphs` needs it. What they compute stays upstream's, but for one thing:
without guidance's condition, which upstream sets to zero, all tokens of the photo are equal, and attention to many
equal tokens is attention to one.
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
    """An ODE solver of upstream's that tells of each step.

    on_progress: called with the finished share. solving: what holds during a solve, also one that is broken off.
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
        """As upstream's: yields each state with its time."""
        steps = len(times) - 1
        with self._solving():
            for index, state in enumerate(self._solver.solve_iter(dynamics, start, times, *args, **kwargs)):
                self._on_progress((index + 1) / steps)
                yield state


@contextmanager
def dense(network: Any, recorder: Callable[[], Recorder]) -> Iterator[None]:
    """Within, calls of the first generator's network (SparseStructureFlowTdfyWrapper) are replayed.

    recorder: makes one for these calls alone.
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
    """Within, calls of the second generator's network (SLatFlowModelTdfyWrapper) are replayed.

    All calls must be for the same voxels, as those of one solve are. recorder: makes one for these calls alone.
    """
    places: list[SparseTensor] = []  # one, once the voxels are known: neighbours and caches hang on it

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
        # One sequence needs no flash_attn, whose table of lengths is copied to the GPU at every call.
        stack.enter_context(attention.packed())
        stack.enter_context(overridden(network, "forward", forward))
        stack.callback(replayed.drop)
        yield


class _Downsample:
    """The forward of a SparseDownsample whose inputs all have the same places.

    Upstream works the places of its output out anew at every call, and waits for the GPU four times. It also adds in
    whatever order the GPU's threads come; here it is the order of the rows, as on a CPU.
    """

    def __init__(self, module: SparseDownsample) -> None:
        self._module = module
        self._forward = module.forward
        self._output: SparseTensor | None = None

    def __call__(self, x: SparseTensor) -> SparseTensor:
        if self._output is None:
            self._output, block = _places(self._forward(x), self._module)
            self._members = _members(block, len(self._output.feats))
            self._counts = (self._members < len(block)).sum(1)[:, None] + 1  # with the zeros that upstream adds to
        padded = torch.cat((x.feats, x.feats.new_zeros(1, x.feats.shape[1])))
        total = x.feats.new_zeros(len(self._members), x.feats.shape[1])
        for member in self._members.unbind(1):
            total += padded[member]
        return self._output.replace(total / self._counts.to(total.dtype))


class _Upsample:
    """The forward of the SparseUpsample that undoes a `_Downsample`."""

    def __init__(self, module: SparseUpsample) -> None:
        self._module = module
        self._forward = module.forward
        self._output: SparseTensor | None = None

    def __call__(self, x: SparseTensor) -> SparseTensor:
        if self._output is None:
            self._output, self._block = _places(self._forward(x), self._module)
        return self._output.replace(x.feats[self._block])


_RESAMPLING: dict[type, Callable[..., Any]] = {SparseDownsample: _Downsample, SparseUpsample: _Upsample}


def _places(output: SparseTensor, module: SparseDownsample | SparseUpsample) -> tuple[SparseTensor, torch.Tensor]:
    """Where the features of `output` are, with one of them only; and from upstream's cache each voxel's block."""
    return output.replace(output.feats[:, :1].clone()), output.get_spatial_cache(f"upsample_{3 * (module.factor,)}_idx")


def _members(block: torch.Tensor, blocks: int) -> torch.Tensor:
    """(blocks, M): the rows in each block, of which the fullest has M, in order, filled up with N. block (N,): of each
    row."""
    rows = block.argsort(stable=True)
    fullest = int(torch.bincount(block).max())
    block = block[rows]
    first = torch.searchsorted(block, torch.arange(blocks, device=block.device))
    members = block.new_full((blocks, fullest), len(block))
    members[block, torch.arange(len(block), device=block.device) - first[block]] = rows
    return members


def _condition(network: Any, tokens: Any, without: bool) -> Any:
    """tokens (1, T, C): of the photo. without: the condition is guidance's empty one, one token of zeros."""
    return tokens[:, :1] * 0 if without and network.force_zeros_cond else tokens
