"""SAM 3D Objects as a Python object: made from `pipeline.yaml`, called with a photo and a mask.

It takes the place of `Inference` in upstream's notebook/inference.py, which needs conda, gradio and kaolin's renderer.
Importing this module does not import torch; making an `Inference` does, once the checkpoints were found complete.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam3d_bento.arrays import Bool, Float32, UInt8
from sam3d_bento.engines.sam3d import upstream
from sam3d_bento.engines.sam3d.loading import checkpoints
from sam3d_bento.engines.sam3d.memory.profiles import PROFILES, STAGES, Profile, Stage, fitting
from sam3d_bento.errors import NoObject, NotReady
from sam3d_bento.progress import OnProgress, silent
from sam3d_bento.reconstruction import Reconstruction


@dataclass(frozen=True)
class Steps:
    """How long the two generators sample. shortcut: stage 1 by the steps it was distilled for, without guidance."""

    stage1: int
    stage2: int
    shortcut: bool = False


NO_GPU = "There is no CUDA GPU; the engine 'sam3d' cannot be used."

STANDARD = Steps(25, 25)  # upstream's defaults

# Where each stage ends on the way from 0 to 1: its share of the run time that others report for an A800 at 25 + 25
# steps (stage 1 4 s, stage 2 10 s, mesh 14 s of 31 s), with the extraction counted to the mesh.
_END: dict[Stage, float] = {
    "depth": 0.03,
    "ss_condition": 0.05,
    "ss_sample": 0.20,
    "slat_condition": 0.22,
    "slat_sample": 0.55,
    "mesh": 0.96,
    "gaussians": 1.0,
}


class Inference:
    """Loaded once, called for one photo after the other, never for two at a time.

    config_file: `pipeline.yaml` in the folder of the checkpoints. compile: only False; upstream's compilation warms up
    through a method that is not public. device: `cuda` (the first visible GPU) or `cpu`, which is for tests.
    profile: what stays on the GPU; None: by the size of its memory. cast: weights in float16 beforehand (`precision`);
    None: on a GPU, where upstream runs under autocast.

    Raises NotReady when a file, upstream itself or the GPU is missing, and ValueError for compile=True.
    """

    def __init__(
        self,
        config_file: str,
        compile: bool = False,
        *,
        device: str = "cuda",
        profile: Profile | None = None,
        cast: bool | None = None,
    ) -> None:
        if compile:
            raise ValueError("compile=True cannot be had: upstream's warm-up calls a method that is not public.")
        file = Path(config_file)
        checkpoints.check(file.parent)
        checkpoints.check_configurations(file.parent)
        self.upstream = upstream.prepare(device)
        # Only now: these need torch, and upstream already imported.
        import torch
        from hydra.errors import InstantiationException
        from hydra.utils import instantiate

        from sam3d_bento.engines.sam3d.loading import modules

        if device != "cpu" and not torch.cuda.is_available():
            raise NotReady(NO_GPU)
        self._torch = torch
        self.device = torch.device(device if device == "cpu" else "cuda:0")
        self._stream = torch.cuda.Stream(self.device) if self.device.type == "cuda" else None
        if profile is None:
            profile = fitting(torch.cuda.mem_get_info()[1]) if self.device.type == "cuda" else PROFILES["24gb"]
        if cast is None:
            cast = self.device.type == "cuda"
        config = modules.pipeline_config(file)
        config._target_ = "sam3d_bento.engines.sam3d.staged.StagedPipeline"
        with upstream.computing_on(self.device), torch.no_grad():
            try:
                with modules.without_initialisation(), checkpoints.verified_code(file.parent) as code:
                    options = {"compute_device": str(self.device), "cast": cast, "code_dir": str(code)}
                    self.pipeline = instantiate(config, **options)
            except InstantiationException as exc:  # hydra wraps whatever a constructor raises
                raise next((cause for cause in _causes(exc) if isinstance(cause, NotReady)), exc) from exc
            self.pipeline.settle(profile)
        self.stage: Stage = "depth"  # the latest that a run entered
        self.seconds: dict[Stage, float] = {}  # of each stage of the last run that succeeded
        self._forget()

    @property
    def profile(self) -> Profile:
        """What is on the GPU when."""
        found: Profile = self.pipeline.residency.profile
        return found

    @contextmanager
    def in_profile(self, profile: Profile) -> Iterator[None]:
        """Run leaner for the time."""
        residency, before = self.pipeline.residency, self.profile
        residency.profile = profile
        try:
            yield
        finally:
            residency.profile = before

    def __call__(
        self,
        image: UInt8,
        mask: Bool,
        seed: int | None = None,
        pointmap: Float32 | None = None,
        *,
        steps: Steps = STANDARD,
        splats: bool = False,
        on_progress: OnProgress = silent,
    ) -> dict[str, Any]:
        """Upstream's `run`: its dictionary of tensors, without a GLB. Arguments as in `generate_single_object`."""
        started: dict[Stage, float] = {}

        def on_stage_progress(stage: Stage, fraction: float) -> None:
            if stage not in started:
                started[stage] = time.perf_counter()
                self.stage = stage
            begin = _END[STAGES[STAGES.index(stage) - 1]] if stage != "depth" else 0.0
            on_progress(begin + (_END[stage] - begin) * fraction)

        self.pipeline.on_progress = on_stage_progress
        torch = self._torch
        try:
            with upstream.computing_on(self.device), self._in_its_stream():
                output: dict[str, Any] = self.pipeline.run(
                    merge_mask_to_rgba(image, mask),
                    None,
                    seed,
                    with_mesh_postprocess=False,
                    with_texture_baking=False,
                    with_layout_postprocess=False,
                    stage1_inference_steps=steps.stage1,
                    stage2_inference_steps=steps.stage2,
                    use_stage1_distillation=steps.shortcut,
                    pointmap=None if pointmap is None else torch.from_numpy(pointmap),
                    decode_formats=["mesh", "gaussian"] if splats else ["mesh"],
                )
        finally:
            self._forget()
        ends = [*started.values(), time.perf_counter()][1:]
        self.seconds = {stage: end - began for (stage, began), end in zip(started.items(), ends, strict=True)}
        return output

    def generate_single_object(
        self,
        image: UInt8,
        mask: Bool,
        seed: int | None = None,
        pointmap: Float32 | None = None,
        *,
        steps: Steps = STANDARD,
        splats: bool = False,
        on_progress: OnProgress = silent,
    ) -> Reconstruction:
        """The masked object as a coloured mesh, with its pose, and with gaussians if `splats`.

        image: (H, W, 3) uint8 sRGB, upright, its background untouched. mask: (H, W) bool. seed: None for a random one.
        pointmap: (H, W, 3) float32, a point per pixel in PyTorch3D's camera frame (x left, y up, z forward), instead
        of the depth model's. Equal arguments give equal results: bit for bit on a CPU; on a GPU up to rounding, because
        upstream's mesh extraction adds there in no fixed order.

        Raises NoObject, BadResult, whatever `on_progress` raises, and the GPU's own errors.
        """
        # Only now: it would import torch before the checkpoints were looked at.
        from sam3d_bento.engines.sam3d.result import to_reconstruction

        output = self(image, mask, seed, pointmap, steps=steps, splats=splats, on_progress=on_progress)
        details = {
            "voxels": len(output["coords"]),
            "voxels_before_pruning": len(output["coords_original"]),
            "downsample_factor": output["downsample_factor"],
            "steps": [steps.stage1, steps.stage2],
            "shortcut": steps.shortcut,
        }
        return to_reconstruction(output, details)

    def rest(self) -> None:
        """Have in place what the next run begins with. The copies run while the caller does something else."""
        with self._in_its_stream():
            self.pipeline.residency.enter("depth")

    def release(self) -> None:
        """Give back everything that is on the GPU."""
        self.pipeline.residency.release()
        if self.device.type == "cuda":
            self._torch.cuda.empty_cache()

    @contextmanager
    def _in_its_stream(self) -> Iterator[None]:
        """On a GPU: one CUDA stream for all work, after and before that of the caller's. CUDA's default stream, which
        is the caller's, cannot be recorded (`graphs`)."""
        if self._stream is None:
            yield
            return
        cuda = self._torch.cuda
        callers = cuda.current_stream(self.device)
        self._stream.wait_stream(callers)
        try:
            with cuda.stream(self._stream):
                yield
        finally:
            callers.wait_stream(self._stream)

    def _forget(self) -> None:
        self.pipeline.on_progress = lambda stage, fraction: None


def _causes(error: BaseException) -> Iterator[BaseException]:
    while error.__cause__ is not None:
        error = error.__cause__
        yield error


def merge_mask_to_rgba(image: UInt8, mask: Bool) -> UInt8:
    """The photo with the mask as alpha, 0 or 255: what upstream's `run` takes. Raises NoObject below 2 x 2 pixels.

    Upstream crops to the mask's box and refuses a smaller one.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0 or rows[-1] == rows[0] or columns[-1] == columns[0]:
        raise NoObject("The object in the mask is smaller than two by two pixels.")
    alpha = np.where(mask, np.uint8(255), np.uint8(0))
    return np.concatenate((image, alpha[:, :, None]), axis=2)
