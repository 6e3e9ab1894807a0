"""Keep the weights on the GPU that the current stage needs.

A `Residency` owns
  * the master copy of every weight and buffer of every part, in main memory. With a GPU, it is page-locked, so that a
    copy to the GPU runs at the full speed of the bus. Nothing is ever copied back.
  * the copies on the GPU, which are exactly those of the parts that are resident in the current stage.
A part that is not resident cannot run by mistake, because its parameters are placeholders without data.

A module that several parts share (the DINOv2 backbone) is held once, and stays while one of these parts is resident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch

from sam3d_bento.engines.sam3d.memory.profiles import Part, Profile, Stage


class Slot(NamedTuple):
    """Location of a parameter or buffer: the dictionary of the module that holds it, and its name there."""

    holder: Any
    name: str


class Residency:
    """Owner of the weights in main memory and on the GPU. parts: a module per part, with all tensors in main memory."""

    def __init__(self, parts: Mapping[Part, Any], device: Any, profile: Profile) -> None:
        self.device = device
        self.profile = profile
        self._slots: dict[Part, list[Slot]] = {part: list(_slots(module)) for part, module in parts.items()}
        self._masters: dict[tuple[int, str], Any] = {}
        self._resident: frozenset[Part] = frozenset()
        self._before_moves: dict[Part, list[Callable[[], None]]] = {part: [] for part in parts}
        for slots in self._slots.values():
            for slot in slots:
                tensor = slot.holder[slot.name]
                if _key(slot) not in self._masters:
                    self._masters[_key(slot)] = self._master(tensor)
                    slot.holder[slot.name] = _placeholder(tensor)  # now, so that main memory never holds both

    @property
    def resident(self) -> frozenset[Part]:
        """Parts that can run now."""
        return self._resident

    def before_moves(self, part: Part, call: Callable[[], None]) -> None:
        """Call `call` whenever the weights of a part are about to leave their addresses on the GPU."""
        self._before_moves[part].append(call)

    def enter(self, stage: Stage) -> None:
        """Copy the parts to the GPU that the profile has there in this stage, and remove all others."""
        self._place(self.profile.residents(stage) & self._slots.keys())

    def release(self) -> None:
        """Remove all parts from the GPU."""
        self._place(frozenset())

    def refresh(self, part: Part) -> None:
        """Copy the weights of a part from the masters again, after they were changed in place."""
        if part in self._resident:
            self._tell_of_move(part)
            for slot in self._slots[part]:
                self._fill(slot)

    def _place(self, wanted: frozenset[Part]) -> None:
        keep = {_key(slot) for part in wanted for slot in self._slots[part]}
        for part in self._resident - wanted:
            self._tell_of_move(part)
            for slot in self._slots[part]:
                if _key(slot) not in keep:
                    slot.holder[slot.name] = _placeholder(slot.holder[slot.name])
        if self._resident - wanted and self.device.type == "cuda":
            # Return the memory to the driver, because the next stage needs blocks of other sizes. Fragmentation is how
            # 24 GB run out.
            torch.cuda.empty_cache()
        for part in wanted - self._resident:
            for slot in self._slots[part]:
                if slot.holder[slot.name].is_meta:
                    self._fill(slot)
        self._resident = wanted

    def _tell_of_move(self, part: Part) -> None:
        for call in self._before_moves[part]:
            call()

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
    """Return `data` as the kind of tensor that `before` is: a frozen parameter, or a buffer."""
    return torch.nn.Parameter(data, requires_grad=False) if isinstance(before, torch.nn.Parameter) else data


def _placeholder(tensor: Any) -> Any:
    return _like(tensor, torch.empty_like(tensor, device="meta"))
