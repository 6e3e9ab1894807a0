"""Solver of a generator's equation with a fused network: one recorded step, replayed until the sample is done.

A step evaluates the network, with guidance where upstream applies it, and moves the sample along the velocity (Euler's
method). All that changes from step to step is in tensors that the step itself changes: the sample, and the number of
the step. A replay therefore copies nothing to the GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from sam3d_objects.model.backbone.generator.classifier_free_guidance import (
    ClassifierFreeGuidance,
    ClassifierFreeGuidanceWithExternalUnconditionalProbability,
    get_strength,
)
from sam3d_objects.model.backbone.generator.flow_matching.solver import Euler
from torch.utils import _pytree as pytree

from sam3d_bento.engines.sam3d.fused.dense import DenseNetwork
from sam3d_bento.engines.sam3d.fused.sparse import SparseNetwork
from sam3d_bento.engines.sam3d.fused.transformer import require
from sam3d_bento.engines.sam3d.graphs import Recorder

# Steps for which buffers are made at once. The largest quality takes 50. With 24 blocks of 6 x 1024 float16, 64 steps
# are 19 MB.
CAPACITY_STEPS = 64

# What guides in the released generators. Without training, the two do the same.
GUIDANCE = (ClassifierFreeGuidance, ClassifierFreeGuidanceWithExternalUnconditionalProbability)

log = logging.getLogger("sam3d_bento.sam3d")


class Network(Protocol):
    """A fused network, as `Solver` uses it."""

    def begin(self, sample: Any, times: Any, capacity: int, *given: Any) -> None:
        """Compute what stays the same during a solve. given: what upstream passes to its solver after the times."""

    def drop(self) -> None:
        """Delete what `begin` made."""

    def __call__(self, sample: Any, step: Any, guided: bool) -> list[Any]:
        """Return the velocities of one step."""


class DenseSolve:
    """The first generator's network, with the arguments that ShortCut.generate_iter passes to its solver."""

    def __init__(self, network: DenseNetwork, time_scale: float) -> None:
        self._network, self._time_scale = network, time_scale
        self.drop = network.drop

    def begin(self, sample: Any, times: Any, capacity: int, interval: float, tokens: Any) -> None:
        """See `Network`. interval: the part of the time that a distilled step spans, else 0."""
        spanned = torch.full((1,), interval * self._time_scale, dtype=torch.float32, device=times.device)
        self._network.build(tokens, times, capacity, spanned)

    def __call__(self, sample: Any, step: Any, guided: bool) -> list[Any]:
        """See `Network`."""
        return self._network(sample, step, guided)


class SparseSolve:
    """The second generator's network, with the arguments that FlowMatching.generate_iter passes to its solver."""

    def __init__(self, network: SparseNetwork) -> None:
        self._network = network
        self.drop = network.drop

    def begin(self, sample: Any, times: Any, capacity: int, tokens: Any, coords: Any) -> None:
        """See `Network`. coords (N, 4): of the voxels, as sample_slat passes them."""
        from sam3d_objects.model.backbone.tdfy_dit.modules.sparse import SparseTensor

        places = SparseTensor(feats=sample[0], coords=torch.as_tensor(coords, device=sample.device))
        self._network.build(places, tokens, times, capacity)

    def __call__(self, sample: Any, step: Any, guided: bool) -> list[Any]:
        """See `Network`."""
        return self._network(sample, step, guided)


class Solver:
    """Solver in the place of upstream's, for one generator.

    generator: upstream's. network: its fused network. on_progress: called with the finished share, 0..1, after each
    step. recorder: makes a `graphs.Recorder` that does not call what it records, or is None where nothing is recorded.
    keep: whether a recording may stay after the solve, because the weights stay where they are and the next sample has
    the same shape.

    It raises Unsupported for a generator that solves or guides in another way than the released ones.
    """

    def __init__(
        self,
        generator: Any,
        network: Network,
        on_progress: Callable[[float], None],
        recorder: Callable[[], Recorder] | None,
        keep: Callable[[], bool],
    ) -> None:
        guidance = generator.reverse_fn
        require(type(generator._solver) is Euler, "the solver is not Euler's")
        require(guidance.unconditional_handling == "add_flag", "guidance has another evaluation without the photo")
        require(type(guidance) in GUIDANCE, "guidance is of another kind")
        require(isinstance(guidance.strength, int | float), "guidance has several strengths")
        self._generator, self._network = generator, network
        self._on_progress, self._recorder, self._keep = on_progress, recorder, keep
        self._sample: Any = None
        self._shapes: tuple[Any, int] | None = None  # of what the kept tensors were made for, and their steps
        self._recording: _Recording | None = None
        self._ran: set[float] = set()  # strengths of steps that have run in this process

    def drop(self) -> None:
        """Delete the recording and everything else that is kept for the next solve."""
        self._recording = self._sample = None
        self._network.drop()

    def solve_iter(self, dynamics: Any, start: Any, times: Any, *given: Any) -> Iterator[tuple[Any, Any]]:
        """Yield the sample after each step with the step's time, as upstream's solver does. The sample is changed.

        Progress is told when a step has ended on the GPU. The next step is in its queue by then, so the wait for the
        end of a step leaves no gap. A run that is cancelled ends with the step that has begun.
        """
        strengths = self._strengths(times)
        steps = len(strengths)
        try:
            self._begin(start, times, given)
            ended = None
            for index, strength in enumerate(strengths):
                if index or self._recording is not None:
                    self._record(strength)
                self._step(strength)
                ended = self._after(ended)
                if index:
                    self._on_progress(index / steps)
                if index < steps - 1:
                    yield self._sample, times[index]
            self._on_progress(1.0)
            # A copy, because the next solve may write to the kept sample.
            yield pytree.tree_map(torch.clone, self._sample), times[steps - 1]
        finally:
            if not self._keep():
                self.drop()
                if self._recorder is not None and torch.cuda.is_available():
                    # The memory of deleted recordings serves nothing else until it is returned to the driver.
                    torch.cuda.empty_cache()

    def _strengths(self, times: Any) -> list[float]:
        """Return the guidance of each step, 0 for none: as upstream, but compared in main memory, without a wait."""
        guidance, scale = self._generator.reverse_fn, self._generator.time_scale
        scaled = torch.as_tensor(times, dtype=torch.float64, device="cpu")[:-1].mul(scale).float()
        return [float(get_strength(guidance.strength, guidance.interval, time)) for time in scaled]

    def _begin(self, start: Any, times: Any, given: Sequence[Any]) -> None:
        device = pytree.tree_leaves(start)[0].device
        exact = torch.as_tensor(times, dtype=torch.float64, device=device)
        steps = len(exact) - 1
        capacity = max(CAPACITY_STEPS, steps)
        shapes = _shapes((start, *given)), capacity
        if self._sample is None or shapes != self._shapes:
            self.drop()
            self._shapes = shapes
            self._sample = pytree.tree_map(torch.empty_like, start)
            self._index = torch.zeros(1, dtype=torch.int64, device=device)
            self._lengths = torch.zeros(capacity, dtype=torch.float32, device=device)
        for kept, leaf in zip(pytree.tree_leaves(self._sample), pytree.tree_leaves(start), strict=True):
            kept.copy_(leaf)
        self._index.zero_()
        self._lengths[:steps] = exact.diff()
        scaled = exact[:-1].mul(self._generator.time_scale).float()
        self._network.begin(self._sample, scaled, capacity, *given)

    def _step(self, strength: float) -> None:
        """Make one step: by its recording, or without one."""
        replay = None if self._recording is None else self._recording.replays.get(strength)
        if replay is None:
            self._move(strength)
            self._ran.add(strength)
        else:
            replay()

    def _record(self, strength: float) -> None:
        """Record the next step, unless it is recorded, while the GPU computes the one before.

        A kind of step is recorded only after it has run in this process, because its first run loads its kernels.
        """
        if self._recorder is None or strength not in self._ran:
            return
        if self._recording is None:
            self._recording = _Recording(self._recorder())
        self._recording.add(strength, partial(self._move, strength))

    def _move(self, strength: float) -> None:
        velocities = self._network(self._sample, self._index, strength > 0)
        velocity = velocities[0]
        if strength > 0:
            velocity = pytree.tree_map(lambda c, u: (1 + strength) * c - strength * u, *velocities)
        length = self._lengths.index_select(0, self._index).reshape(())
        for key, kept in _named(self._sample):
            kept.add_((velocity if key is None else velocity[key]) * length)
        self._index.add_(1)

    def _after(self, before: Any) -> Any:
        """Wait for the end of the step before the last one that was launched; return a mark of the last one."""
        if not self._index.is_cuda:
            return None
        mark = torch.cuda.Event(blocking=True)
        mark.record()
        if before is not None:
            before.synchronize()
        return mark


class _Recording:
    """Recordings of steps by the strength of their guidance. A step that cannot be recorded is made without."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._recordable = True
        self.replays: dict[float, Callable[[], None]] = {}

    def add(self, strength: float, move: Callable[[], None]) -> None:
        """Record a step, unless it is recorded already. move: makes it."""
        if strength in self.replays or not self._recordable:
            return
        try:
            _, self.replays[strength] = self._recorder(move)
        except RuntimeError as exc:
            # As in `graphs.Replayed`: without a recording, a step needs less memory and raises its own error.
            log.warning("sampling steps cannot be recorded and take longer: %s", str(exc).splitlines()[0])
            self._recordable = False
            self.replays.clear()


def _shapes(tree: Any) -> list[Any]:
    return [leaf.shape for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _named(sample: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the tensors of a sample with their names; None for the name of one that is no dictionary."""
    if isinstance(sample, dict):
        yield from sample.items()
    else:
        yield None, sample
