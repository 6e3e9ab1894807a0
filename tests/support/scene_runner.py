"""The real pipeline in an engine process, with an engine that knows a scene and fails at objects by their seeds."""

import json
import os
import time

import numpy as np

from sam3d_bento.camera import Camera
from sam3d_bento.errors import BadResult, EngineLost, NoObject
from sam3d_bento.pipeline import Pipeline
from tests.support import scene_truth
from tests.support.scene_files import masks_of, png

CAMERA = Camera.assumed(200, 150)
NAMES = ("cup", "jug", "plate")
NO_OBJECT, BAD_RESULT, OUT_OF_MEMORY, CRASH, HANG, POISON, NAP = range(1001, 1008)


class FailingEngine:
    name, version, device, facts, gpu_peak_bytes, retries = "knowing", "knowing/1", "cpu", {}, None, 0
    shares_scale = True
    hands_over = False

    def __init__(self):
        self.truth = scene_truth.build(CAMERA)

    def look(self, photo, view):
        return view

    def reconstruct(self, photo, mask, options, seed, on_progress, *, splats=False, view=None):
        on_progress(0.1)
        if seed == NO_OBJECT:
            raise NoObject("There is nothing here.")
        if seed == BAD_RESULT:
            raise BadResult("The surface is empty.")
        if seed == OUT_OF_MEMORY:
            raise MemoryError
        if seed == POISON:
            raise EngineLost("The GPU failed in this run and the engine was restarted. Try again.")
        if seed == CRASH:
            os.kill(os.getpid(), 9)
        while seed in (HANG, NAP):  # a nap can be cancelled
            time.sleep(0.02)
            if seed == NAP:
                on_progress(0.2)
        shares = {name: scene_truth.iou(mask.pixels, seen) for name, seen in self.truth.masks.items()}
        return self.truth.objects[max(shares, key=shares.get)]


def load(settings):
    return Pipeline(FailingEngine(), None, settings)


def request(*seeds):
    """The files of a request whose objects have these seeds; their names are NAMES."""
    truth = scene_truth.build(CAMERA)
    objects = [{"name": name, "mask": index, "seed": seeds[index]} for index, name in enumerate(NAMES[: len(seeds)])]
    files = [("image", ("table.png", png(truth.photo)))]
    files += [("masks", ("mask.png", mask)) for mask in masks_of(truth)[: len(seeds)]]
    return [*files, ("objects", ("objects.json", json.dumps(objects).encode()))]


def silhouette(name):
    return np.asarray(scene_truth.build(CAMERA).masks[name])


class SplitEngine(FailingEngine):
    """The same, whose single results another process exports."""

    hands_over = True


def load_split(settings):
    return Pipeline(SplitEngine(), None, settings)
