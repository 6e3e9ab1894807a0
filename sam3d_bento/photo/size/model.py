"""Run the network that estimates how large the things in a photo are: MoGe-2, on the CPU.

MoGe-2 (Wang et al. 2025, https://arxiv.org/abs/2507.02546) gives a point for each pixel, whose depth lacks a shift, and
a factor that makes metres of its unit.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
from PIL import Image

from sam3d_bento import weights
from sam3d_bento.arrays import Float32, UInt8
from sam3d_bento.errors import NotReady
from sam3d_bento.photo import onnx
from sam3d_bento.photo.size.shift import solve
from sam3d_bento.weights.sets import SETS

# Patches in which the network sees the photo, of the 1,200 to 2,500 for which it was trained; more take longer.
TOKENS = 1800
# Side of a patch. The photo is reduced to as many pixels as the patches have, because the network itself would reduce
# it without smoothing.
PATCH_PIXELS = 14
MIN_CERTAINTY = 0.5  # that a pixel has a depth, from 0 to 1; sky has none

INPUTS = {"image", "num_tokens"}
# The last one's name is that of the published file, or else that which MoGe's documentation gives to an export.
OUTPUTS = (("points", "mask", "scale"), ("points", "mask", "metric_scale"))


class SizeModel:
    """MoGe-2, loaded at its first use. Its file in `directory` may be absent, because no run needs it.

    is_available: whether the file is there. Raises NotReady when the file is there but is not the expected one.
    """

    def __init__(self, directory: Path) -> None:
        (file,) = SETS["size"].files
        self._path = directory / file.name
        self._network: _Network | None = None
        fault = weights.check(file, self._path)
        self.is_available = fault is None
        if fault is not None and fault.kind != "missing":
            raise NotReady(f"{fault.sentence} Run `sam3d-bento weights fetch --set size`, or remove it.")

    def measure_pixels(self, rgb: UInt8, focal_length: float | None = None) -> Float32 | None:
        """Return the metres that each pixel of a photo spans where it meets a surface: depth / focal length.

        rgb: (H, W, 3) uint8 sRGB. focal_length: in pixels, if it is known. The result is (H, W) float32, NaN where the
        photo shows no surface; None if the network's points fit to no camera. Raises NotReady.
        """
        if self._network is None:
            self._network = _Network(self._path)
        height, width = rgb.shape[:2]
        reduction = min(1.0, sqrt(TOKENS * PATCH_PIXELS**2 / (height * width)))
        size = (max(1, round(width * reduction)), max(1, round(height * reduction)))
        reduced = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR), np.float32) / np.float32(255)
        points, scale = self._network(reduced)
        solved = solve(points, None if focal_length is None else focal_length * size[0] / width)
        if solved is None:
            return None
        focal, shift = solved
        depth = (points[..., 2] + shift) * scale
        with np.errstate(invalid="ignore"):
            spans = np.where(depth > 0, depth / focal, np.nan) * (size[0] / width)  # of a pixel of the whole photo
        rows, columns = ((np.arange(n) + 0.5) * m / n for n, m in ((height, size[1]), (width, size[0])))
        whole: Float32 = spans.astype(np.float32)[rows.astype(int)][:, columns.astype(int)]
        return whole


class _Network:
    """Session of the network. Raises NotReady for a file that holds another one."""

    def __init__(self, path: Path) -> None:
        self._session = onnx.load(path, "size model")
        inputs, outputs = (
            {one.name for one in some} for some in (self._session.get_inputs(), self._session.get_outputs())
        )
        names = [wanted for wanted in OUTPUTS if outputs.issuperset(wanted)]
        if not names or not inputs.issuperset(INPUTS):
            raise NotReady("The size model cannot be used; its file holds another network.")
        self._outputs = names[0]

    def __call__(self, picture: Float32) -> tuple[Float32, float]:
        """Return the points (H, W, 3) of a picture, NaN where there are none, and the metres of their unit.

        picture: (H, W, 3) float32 sRGB, 0..1. The points are in OpenCV's frame, and their z lacks a shift.
        """
        image = np.ascontiguousarray(picture.transpose(2, 0, 1)[None])
        given = {"image": image, "num_tokens": np.array(TOKENS, np.int64)}
        points, certainty, scale = self._session.run(self._outputs, given)
        certain = certainty.reshape(picture.shape[:2])[..., None] > MIN_CERTAINTY
        return np.where(certain, points[0], np.float32(np.nan)), float(scale.reshape(-1)[0])
