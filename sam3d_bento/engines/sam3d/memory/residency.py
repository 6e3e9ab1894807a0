"""Which weights are on the GPU, stage by stage.

A `Residency` owns
  * the master copy of every weight and buffer of every part, in main memory (page-locked beside a GPU, so that a copy
    to it runs at the bus's full speed and none is ever made back);
  * the copies on the GPU, of which there are exactly those of the current stage's residents.
It promises that a part which is not resident cannot be run by mistake: its parameters are placeholders without data.

A module that several parts share (the DINOv2 backbone) is held once and stays as long as one of them is resident.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from sam3d_bento.engines.sam3d.memory.profiles import Part, Profile, Stage


class Slot(NamedTuple):
    """One parameter or buffer: the dictionary of its module that holds it, and its name there."""

    holder: Any
    name: str


class Residency:
    """See the module's docstring. parts: a module per part, all of its tensors in main memory."""

    def __init__(self, parts: Mapping[Part, Any], device: Any, profile: Profile) -> None:
        self.device = device
        self.profile = profile
        self._slots: dict[Part, list[Slot]] = {part: list(_slots(module)) for part, module in parts.items()}
        self._masters: dict[tuple[int, str], Any] = {}
        self._resident: frozenset[Part] = frozenset()
        for slots in self._slots.values():
            for slot in slots:
                tensor = slot.holder[slot.name]
                if _key(slot) not in self._masters:
                    self._masters[_key(slot)] = self._master(tensor)
                    slot.holder[slot.name] = _placeholder(tensor)  # now, so that main memory never holds both

    @property
    def resident(self) -> frozenset[Part]:
        """The parts that can be run now."""
        return self._resident

    def enter(self, stage: Stage) -> None:
        """Have in place what the profile wants for this stage, and nothing else."""
        self._place(self.profile.residents(stage) & self._slots.keys())

    def release(self) -> None:
        """Nothing is resident."""
        self._place(frozenset())

    def refresh(self, part: Part) -> None:
        """Take the part's weights from the masters again, after something changed them in place."""
        if part in self._resident:
            for slot in self._slots[part]:
                self._fill(slot)

    def _place(self, wanted: frozenset[Part]) -> None:
        keep = {_key(slot) for part in wanted for slot in self._slots[part]}
        for part in self._resident - wanted:
            for slot in self._slots[part]:
                if _key(slot) not in keep:
                    slot.holder[slot.name] = _placeholder(slot.holder[slot.name])
        if self._resident - wanted and self.device.type == "cuda":
            # Returned to the driver: the next stage wants blocks of other sizes, and fragments are how 24 GB run out.
            torch.cuda.empty_cache()
        for part in wanted - self._resident:
            for slot in self._slots[part]:
                if slot.holder[slot.name].is_meta:
                    self._fill(slot)
        self._resident = wanted

    def _fill(self, slot: Slot) -> None:
        copy = self._masters[_key(slot)].to(self.device, non_blocking=True)
        slot.holder[slot.name] = _like(slot.holder[slot.name], copy)

    def _master(self, tensor: Any) -> Any:
        data = tensor.detach()
        return data.pin_memory() if self.device.type == "cuda" else data


def _slots(module: Any) -> Iterator[Slot]:
    for child in module.modules():
        for holder in (child._parameters, child._buffers):
            yield from (Slot(holder, name) for name, tensor in holder.items() if tensor is not None)


def _key(slot: Slot) -> tuple[int, str]:
    return id(slot.holder), slot.name


def _like(before: Any, data: Any) -> Any:
    """`data` as what stood there before: a parameter, frozen, or a buffer."""
    return torch.nn.Parameter(data, requires_grad=False) if isinstance(before, torch.nn.Parameter) else data


def _placeholder(tensor: Any) -> Any:
    return _like(tensor, torch.empty_like(tensor, device="meta"))
