"""Answer prompts with a Segment Anything model: an encoder that sees the photo once, a decoder for each prompt.

A. Kirillov et al., Segment Anything, 2023; the decoder as its authors export it to ONNX, which other encoders such as
MobileSAM (C. Zhang et al., Faster Segment Anything, 2023) go with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sam3d_bento.arrays import Float32, UInt8
from sam3d_bento.photo import onnx
from sam3d_bento.photo.prompts.answers import THRESHOLD, Answer, inside_box
from sam3d_bento.photo.prompts.frames import Frame
from sam3d_bento.prompt import Prompt

SIDE = 1024  # pixels of the square picture that the decoder's coordinates and masks are of
MASK_SIDE = 256  # pixels of a mask of the decoder
# Labels of the decoder's points. PADDING is a point that stands for the box where there is none.
INSIDE, OUTSIDE, TOP_LEFT, BOTTOM_RIGHT, PADDING = 1, 0, 2, 3, -1
# With more points than this, the prompt is clear, and the first of the masks is meant for it; with fewer, the others
# are. From the authors' export (`select_masks`), where the padding point counts.
MANY_POINTS = 2.5


@dataclass(frozen=True)
class Encoder:
    """How an encoder takes a picture.

    name: of the model. files: of encoder and decoder. width, height: of the picture in pixels.
    layout: `hwc`, values 0..255, or `chw` with a batch axis, normalised by `mean` and `std`.
    """

    name: str
    files: tuple[str, str]
    width: int
    height: int
    layout: Literal["hwc", "chw"]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


# The export of vietanhdev/samexporter: a wide picture, normalised inside. What surrounds the photo in it is black.
MOBILE_SAM = Encoder("mobile_sam", ("mobile_sam.encoder.onnx", "sam_vit_h_4b8939.decoder.onnx"), 1024, 684, "hwc")


class Sam:
    """Prompt model of an encoder and a decoder in `directory`. An encoding is the embedding, (1, 256, 64, 64) float32.

    Raises NotReady if one of the files cannot be loaded.
    """

    def __init__(self, kind: Encoder, directory: Path) -> None:
        self.name = kind.name
        self._kind = kind
        encoder, decoder = kind.files
        self._encoder = onnx.load(directory / encoder, f"prompt model '{kind.name}'")
        self._decoder = onnx.load(directory / decoder, f"prompt model '{kind.name}'")
        self._input = self._encoder.get_inputs()[0].name

    def encode(self, rgb: UInt8) -> Float32:
        """See `PromptModel`."""
        kind = self._kind
        seen = self._frame(rgb).picture(rgb).astype(np.float32)
        seen = ((seen - kind.mean) / kind.std).astype(np.float32)
        picture = np.zeros((kind.height, kind.width, 3), np.float32)
        picture[: seen.shape[0], : seen.shape[1]] = seen
        given = picture if kind.layout == "hwc" else np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
        embedding: Float32 = self._encoder.run(None, {self._input: given})[0]
        return embedding

    def answers(self, rgb: UInt8, encoding: Any, prompt: Prompt) -> list[Answer]:
        """See `PromptModel`. A score is the IoU with the object that the decoder predicts for its mask."""
        frame = self._frame(rgb)
        places, labels = _prompt_of(prompt, frame)
        scores, masks = self._decoder.run(
            ["iou_predictions", "low_res_masks"],
            {
                "image_embeddings": encoding,
                "point_coords": places,
                "point_labels": labels,
                "mask_input": np.zeros((1, 1, MASK_SIDE, MASK_SIDE), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
                # Of `masks`, which is not asked for: the small masks are enlarged here, once, to the photo's pixels.
                "orig_im_size": np.array([MASK_SIDE, MASK_SIDE], np.float32),
            },
        )
        order = _meant(scores.shape[1], labels.shape[1])
        found = [_answer(frame.back(masks[0, index], SIDE), float(scores[0, index])) for index in order]
        if prompt.box is None:
            return found
        inside = inside_box(prompt.box, rgb.shape[:2])  # what the decoder finds beyond it is not meant
        return [Answer(answer.soft * inside, answer.score) for answer in found]

    def _frame(self, rgb: UInt8) -> Frame:
        height, width = rgb.shape[:2]
        return Frame.fit(width, height, self._kind.width, self._kind.height)


def _prompt_of(prompt: Prompt, frame: Frame) -> tuple[Float32, Float32]:
    """Return the decoder's point_coords (1, N, 2) and point_labels (1, N) of a prompt in pixels of the photo."""
    places = [frame.place(point.x, point.y) for point in prompt.points]
    labels = [INSIDE if point.inside else OUTSIDE for point in prompt.points]
    if prompt.box is None:
        places.append((0.0, 0.0))
        labels.append(PADDING)
    else:
        left, top, right, bottom = prompt.box
        corners = np.array([frame.place(left, top), frame.place(right, bottom)])
        places += [tuple(corners.min(0)), tuple(corners.max(0))]  # another corner is the first where it is turned
        labels += [TOP_LEFT, BOTTOM_RIGHT]
    return np.array([places], np.float32), np.array([labels], np.float32)


def _meant(count: int, points: int) -> list[int]:
    """Return which of the decoder's masks are answers to a prompt of so many points.

    An export returns one mask, which it has chosen, or all: the first for clear prompts, the others for ambiguous ones.
    """
    if count == 1:
        return [0]
    return [0] if points > MANY_POINTS else list(range(1, count))


def _answer(logits: Float32, score: float) -> Answer:
    """Return the answer of logits (H, W), which are above 0 on the object."""
    soft = 127.5 + 127.5 * np.tanh(logits / 2)  # 255 times the logistic function
    soft = np.where(logits > 0, np.maximum(soft, THRESHOLD), np.minimum(soft, THRESHOLD - 1))
    return Answer(soft.astype(np.uint8), min(max(score, 0.0), 1.0))
