"""Runners that take any bytes for a photo, and no time: the real pipeline has run once, when they were loaded."""

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from sam3d_bento.errors import NoObject
from sam3d_bento.options import Options
from sam3d_bento.pipeline import Pipeline
from sam3d_bento.postprocess import Postprocessor
from sam3d_bento.submission import Asset, ExportSubmission, MaskImage, RunnerInfo, Submission

# A photo that is these bytes has no object.
NOTHING = b"nothing"


def disc(size=64):
    """A photo of a disc whose alpha channel is its mask, so that no mask model is asked."""
    y, x = np.mgrid[:size, :size]
    inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 3) ** 2
    pixels = np.full((size, size, 4), (200, 90, 40, 0), np.uint8)
    pixels[inside, 3] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


class InstantRunner:
    """Answers each photo with the one model that it has made of a disc."""

    def __init__(self, settings):
        pipeline = Pipeline.load(settings)
        self.info = pipeline.info
        options = Options(seed=7, texture_size=512, target_faces=1000)
        self._asset = pipeline.run(Submission(disc(), None, options), lambda *_: None, self._keep)

    def _keep(self, reconstruction):
        self._reconstruction = reconstruction

    def run(self, submission, on_progress, on_reconstruction=None):
        if submission.photo == NOTHING:
            raise NoObject("There is nothing here.")
        on_progress("decode", 0.0)
        if on_reconstruction:
            on_reconstruction(self._reconstruction)
        on_progress("export", 1.0)
        seed = 7 if submission.options.seed is None else submission.options.seed
        return Asset(self._asset.glb, self._asset.report | {"seed": seed})


class InstantMask:
    info = RunnerInfo("mask", "instant/1", "cpu", ("PNG",))

    def __init__(self, settings):
        file = io.BytesIO()
        Image.new("L", (8, 8), 255).save(file, "PNG")
        self._png = file.getvalue()

    def run(self, submission, on_progress):
        if submission.photo == NOTHING:
            raise NoObject("There is nothing here.")
        on_progress("mask", 1.0)
        report = {"mask": {"source": "rembg", "coverage": 1.0}, "warnings": [], "seconds": {"decode": 0.0, "mask": 0.0}}
        return MaskImage(self._png, report)


class InstantFiles(Postprocessor):
    """Makes a file of each format once, whatever options are asked for."""

    def __init__(self):
        self._made = {}

    def run(self, order, on_progress):
        kind = getattr(order, "format", "webp")
        if kind not in self._made:
            plain = replace(order, changes={}) if isinstance(order, ExportSubmission) else order
            self._made[kind] = super().run(plain, on_progress)
        return self._made[kind]
