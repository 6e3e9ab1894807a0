"""Fit a photo into the fixed picture that an encoder takes, and take places and answers to and fro."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sam3d_bento.arrays import Float32, UInt8


@dataclass(frozen=True)
class Frame:
    """Place of a photo in an encoder's picture: reduced or enlarged by `scale`, at the top left.

    width, height: of the photo in pixels. turned: whether it lies on its left side, so that its top is at the left.
    """

    width: int
    height: int
    scale: float
    turned: bool

    @classmethod
    def fit(cls, width: int, height: int, frame_width: int, frame_height: int) -> Frame:
        """Return the place of a photo of this size in an encoder's picture of that size, as large as it can be.

        A photo is turned if it would be smaller otherwise: a tall one in a wide picture.
        """
        upright = min(frame_width / width, frame_height / height)
        lying = min(frame_width / height, frame_height / width)
        return cls(width, height, max(upright, lying), turned=lying > upright)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photo in the encoder's picture, in whole pixels."""
        width, height = (self.height, self.width) if self.turned else (self.width, self.height)
        return max(1, round(width * self.scale)), max(1, round(height * self.scale))

    def picture(self, rgb: UInt8) -> UInt8:
        """Return the photo (H, W, 3) as it lies in the encoder's picture, without what surrounds it there."""
        lying = np.rot90(rgb) if self.turned else rgb
        resized = Image.fromarray(np.ascontiguousarray(lying)).resize(self.size, Image.Resampling.BILINEAR)
        return np.asarray(resized)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a place of the photo is in the encoder's picture; both in pixels."""
        if self.turned:
            x, y = y, self.width - x
        across, down = self.size
        width, height = (self.height, self.width) if self.turned else (self.width, self.height)
        return x * across / width, y * down / height

    def back(self, answer: Float32, side: int) -> Float32:
        """Return an answer (h, h) about the square picture with this side, interpolated to the photo's pixels (H, W).

        The answer's pixels are larger than the encoder's, and what surrounds the photo is left out.
        """
        across, down = (length * answer.shape[0] / side for length in self.size)
        width, height = (self.height, self.width) if self.turned else (self.width, self.height)
        enlarged = Image.fromarray(answer.astype(np.float32)).resize(
            (width, height), Image.Resampling.BILINEAR, box=(0, 0, across, down)
        )
        upright = np.asarray(enlarged)
        return np.ascontiguousarray(np.rot90(upright, -1) if self.turned else upright)
