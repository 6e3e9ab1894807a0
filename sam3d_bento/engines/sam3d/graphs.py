"""Record a function of tensors as a CUDA graph at one call, and replay the graph at later calls.

A step of a generator runs about a thousand short kernels. Launched one by one from Python, they leave a fast GPU idle
for more than half of the time. A replay launches them all at once.

A recording contains addresses: those of the weights, of all intermediate values, of the arguments and of the results.
It must therefore not be used after the weights have moved. `Replayed` copies the arguments in and the results out, and
keeps its recordings only until `drop`. `sampling` drops them at the end of each solve.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

log = logging.getLogger("sam3d_bento.sam3d")


# Calls a function and records what it does. Returns the result of the function, and a function that computes this
# result again, at the same addresses.
Recorder = Callable[[Callable[[], Any]], tuple[Any, Callable[[], None]]]


class CudaRecorder:
    """Recorder that makes CUDA graphs. The current stream must not be CUDA's default one, which cannot be recorded.

    The recordings share the memory of their intermediate values, so a result is valid until the next replay of any of
    them.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        """Record a call of `function`, see `Recorder`. The result is valid after the first replay.

        Raises RuntimeError for a function that waits for the GPU, and when memory does not suffice.
        """
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Not `torch.cuda.graph`, which first waits for the GPU and returns all cached memory to the driver.
            # thread_local: it is no error when another thread of this process uses the GPU.
            graph.capture_begin(self._pool, capture_error_mode="thread_local")
            try:
                result = function()
            finally:
                graph.capture_end()
        except RuntimeError:
            self._end(stream.device)
            raise
        return result, graph.replay

    def _end(self, device: torch.device) -> None:
        # torch 2.11: where CUDA does not accept the end of a broken capture, the allocator and the random generator
        # still count it as running. Then no cached memory is freed, and no random number can be generated. Where CUDA
        # does accept the end, there is nothing to do here.
        before_2_8 = "_cuda_endAllocateCurrentStreamToPool"
        end = getattr(torch._C, before_2_8 if hasattr(torch._C, before_2_8) else "_cuda_endAllocateToPool")
        with suppress(RuntimeError):
            end(device.index, self._pool)
            torch._C._cuda_releasePool(device.index, self._pool)
            generator = torch.cuda.default_generators[device.index]
            generator.graphsafe_set_state(generator.clone_state())


class Replayed:
    """Wrapper of `function` that replays calls with tensors of the same shapes, from the second such call on.

    The arguments and the result are trees of tensors and of constants that can be compared. The first call with any
    shapes runs without a recording, because it loads the kernels and fills caches, which a recording cannot do. Data
    that the function reads besides its arguments must stay at its address until `drop`. The results equal those of the
    function bit for bit, if it is deterministic. A function that cannot be recorded runs normally at every call.
    """

    def __init__(self, function: Callable[..., Any], recorder: Recorder) -> None:
        self._function = function
        self._recorder = recorder
        self._known: set[Hashable] = set()
        self._calls: dict[Hashable, _Call] = {}
        self._recordable = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        kind = repr(structure), tuple(_kind(leaf) for leaf in leaves)  # repr: torch 2.5.1's structure is not hashable
        if kind not in self._calls and kind in self._known and self._recordable:
            self._try_to_record(kind, leaves, structure)
        self._known.add(kind)
        if kind in self._calls:
            return self._calls[kind].again(leaves)
        return self._function(*args, **kwargs)

    def drop(self) -> None:
        """Delete all recordings, which frees their memory."""
        self._calls.clear()
        self._known.clear()

    def _try_to_record(self, kind: Hashable, leaves: Sequence[Any], structure: Any) -> None:
        try:
            self._calls[kind] = self._recorded(leaves, structure)
        except RuntimeError as exc:
            # After any such error, the function runs without a recording. That needs less memory, and if the GPU is
            # lost, the function raises its own error.
            log.warning("sampling steps cannot be recorded and take longer: %s", str(exc).splitlines()[0])
            self._recordable = False
            self._calls.clear()

    def _recorded(self, leaves: Sequence[Any], structure: Any) -> _Call:
        given = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(given, structure)
        return _Call(given, *self._recorder(lambda: self._function(*args, **kwargs)))


class _Call(NamedTuple):
    """Recorded call. given: the leaves of its arguments. result: its result, which each replay overwrites."""

    given: list[Any]
    result: Any
    replay: Callable[[], None]

    def again(self, leaves: Sequence[Any]) -> Any:
        for kept, leaf in zip(self.given, leaves, strict=True):
            if isinstance(kept, torch.Tensor):
                kept.copy_(leaf)
        self.replay()
        return pytree.tree_map_only(torch.Tensor, torch.clone, self.result)


def _kind(leaf: Any) -> Hashable:
    return (leaf.shape, leaf.dtype, leaf.device) if isinstance(leaf, torch.Tensor) else leaf
