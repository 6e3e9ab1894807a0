"""Find the mask that a prompt means: encode the photo once, ask the model, choose among its answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sam3d_bento.arrays import Bool
from sam3d_bento.errors import BadRequest, NoObject
from sam3d_bento.photo import masks
from sam3d_bento.photo.cutout import cut_out
from sam3d_bento.photo.hidden_colours import visible_pixels
from sam3d_bento.photo.prompts.answers import THRESHOLD, Answer, PromptModel, cleaned, distinct, select
from sam3d_bento.photo.prompts.memory import Memory
from sam3d_bento.prompt import Prompt
from sam3d_bento.reconstruction import Candidate, Mask, Photo, PromptedChoice

MAX_COVERAGE = 0.995  # of the photo; as for an uploaded mask, nothing is left that is not the object


@dataclass(frozen=True)
class EncodedPhoto:
    """Photo, and what the model made of it. fresh: whether the model has just run, or the encoding was remembered."""

    photo: Photo
    encoding: Any
    fresh: bool


class Prompter:
    """Model that finds what a prompt means, and its memory of photos.

    load: returns the model, and raises NotReady; called for the first prompt, so that a process without prompts does
    not hold it.
    """

    def __init__(self, load: Callable[[], PromptModel], memory: Memory) -> None:
        self._load = load
        self._memory = memory
        self._encodes = 0

    @cached_property
    def model(self) -> PromptModel:
        """Load the model at its first use, and return it."""
        return self._load()

    def encode(self, photo: Photo, content: bytes) -> EncodedPhoto:
        """Return the photo with its encoding: remembered, or made now.

        photo: with hidden colours removed (`hidden_colours`). content: the bytes of its file, which are the key: equal
        bytes are the same photo, whoever sends them, and other bytes never are.
        """
        key = hashlib.sha256(content).digest()
        encoding = self._memory.find(key)
        fresh = encoding is None
        if fresh:
            encoding = self.model.encode(photo.rgb)
            self._encodes += 1
        self._memory.keep(key, encoding)
        return EncodedPhoto(photo, encoding, fresh)

    def take_encodes(self) -> int:
        """Return how many photos were encoded since the last call."""
        taken, self._encodes = self._encodes, 0
        return taken

    def mask(self, encoded: EncodedPhoto, prompt: Prompt) -> Mask:
        """Return the mask that the prompt means, in pixels of the photo's `rgb`. A pixel of alpha 0 is never in it.

        prompt: in pixels of the upright photo as it was sent.
        Raises BadRequest for a prompt beyond the photo or a candidate that there is not, NoObject if nothing is found.
        """
        photo = encoded.photo
        prompt.require_within(*photo.original_size)
        height, width = photo.rgb.shape[:2]
        original_width, original_height = photo.original_size
        placed = prompt.resized(width / original_width, height / original_height)
        visible = visible_pixels(photo)
        answers = self.model.answers(photo.rgb, encoded.encoding, placed)
        found = _usable(answers, placed, visible) or _usable(_of_alpha(photo, placed), placed, visible)
        if not found:
            raise NoObject("No object was found where the prompt points. Point at its middle, or draw a box around it.")
        return _chosen(photo, found, prompt, self.model.name)


def _usable(answers: list[Answer], prompt: Prompt, visible: Bool | None) -> list[Answer]:
    """Return the candidates among the answers, cleaned, the smallest first."""
    clean = [cleaned(answer, prompt, visible) for answer in answers]
    return distinct([answer for answer in clean if answer is not None and _leaves_something(answer)])


def _of_alpha(photo: Photo, prompt: Prompt) -> list[Answer]:
    """Return what the photo's alpha cuts out and the prompt points at; nothing where it cuts out nothing.

    A model sees no outline in a cut-out, for what lay around the object is gone.
    """
    cut = cut_out(photo.alpha)
    if cut is None:
        return []
    soft = np.where(cut.pixels, 255, 0).astype(np.uint8)
    answer = select(soft, prompt)
    return [] if answer is None else [Answer(answer, 1.0)]


def _chosen(photo: Photo, found: list[Answer], prompt: Prompt, model: str) -> Mask:
    """Return the mask of the best answer, or of the one that the prompt asks for. Raises BadRequest without it."""
    if prompt.candidate is not None and prompt.candidate >= len(found):
        count = "only one candidate" if len(found) == 1 else f"{len(found)} candidates"
        raise BadRequest(f"There is no candidate {prompt.candidate}: this prompt has {count}, counted from 0 by size.")
    candidates = tuple(_candidate(answer) for answer in found)
    best = max(range(len(found)), key=lambda index: found[index].score)
    chosen = best if prompt.candidate is None else prompt.candidate
    soft = found[chosen].soft
    mask = masks.as_mask(photo, soft >= THRESHOLD, "prompt")
    return replace(mask, soft=soft, choice=PromptedChoice(model, candidates, chosen))


def _candidate(answer: Answer) -> Candidate:
    pixels = answer.soft >= THRESHOLD
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Candidate(box, float(pixels.mean()), answer.score)


def _leaves_something(answer: Answer) -> bool:
    return float((answer.soft >= THRESHOLD).mean()) <= MAX_COVERAGE
