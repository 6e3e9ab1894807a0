"""Use SAM 3D Objects as a Python object: made from `pipeline.yaml`, called with a photo and a mask.

It replaces `Inference` in upstream's notebook/inference.py, which needs conda, gradio and kaolin's renderer. Importing
this module does not import torch. Making an `Inference` does, after the checkpoints were found complete.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sam3d_bento.arrays import Bool, Float32, UInt8
from sam3d_bento.camera import Camera, fit_camera
from sam3d_bento.engines.sam3d import upstream
from sam3d_bento.engines.sam3d.loading import checkpoints
from sam3d_bento.engines.sam3d.memory.profiles import PROFILES, STAGES, Profile, Stage, fitting
from sam3d_bento.errors import NoObject, NotReady
from sam3d_bento.progress import OnProgress, silent
from sam3d_bento.reconstruction import Reconstruction


@dataclass(frozen=True)
class Steps:
    """Sampling steps of the two generators. shortcut: stage 1 takes the few steps that it was distilled for.

    These need no guidance.
    """

    stage1: int
    stage2: int
    shortcut: bool = False


# Error message, also of `engine.available`.
NO_GPU = "There is no CUDA GPU; the engine 'sam3d' cannot be used."

# Upstream's default numbers of steps.
STANDARD = Steps(25, 25)

# Progress, 0..1, at which each stage ends. It follows the run times that others report for an A800 at 25 + 25 steps
# (stage 1 4 s, stage 2 10 s, mesh 14 s of 31 s). The extraction counts as part of the mesh.
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
    """Loaded network, which is called for one photo after the other, never for two at once.

    config_file: `pipeline.yaml` in the folder of the checkpoints.
    compile: must be False, because the warm-up of upstream's compilation calls a method that is not public.
    device: `cuda` (the first visible GPU), or `cpu`, which is for tests.
    profile: what stays on the GPU; None for a choice by the size of its memory.
    cast: whether weights are cast to float16 once after loading (`precision`); None for True on a GPU, where upstream
    runs under autocast, and False on a CPU.
    kernels: `auto` to compute with Triton kernels where they work, `off` to compute as upstream.

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
        kernels: str = "auto",
    ) -> None:
        if compile:
            raise ValueError("compile=True cannot be had: upstream's warm-up calls a method that is not public.")
        file = Path(config_file)
        checkpoints.check(file.parent)
        checkpoints.check_configurations(file.parent)
        self.upstream = upstream.prepare(device)
        # Imported only now, because these need torch, and upstream imported before them.
        import torch
        from hydra.errors import InstantiationException
        from hydra.utils import instantiate

        from sam3d_bento.engines.sam3d.kernels import choice
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
            except InstantiationException as exc:  # hydra wraps any error of a constructor
                raise next((cause for cause in _causes(exc) if isinstance(cause, NotReady)), exc) from exc
            self.pipeline.settle(profile, choice.choose(kernels, self.device))
        self.stage: Stage = "depth"  # the last that a run entered
        self.seconds: dict[Stage, float] = {}  # of each stage of the last run that succeeded
        self._forget()

    @property
    def profile(self) -> Profile:
        """Memory profile, which says what is on the GPU in which stage."""
        found: Profile = self.pipeline.residency.profile
        return found

    @contextmanager
    def in_profile(self, profile: Profile) -> Iterator[None]:
        """Use another memory profile within the block."""
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
        """Call upstream's `run`, and return its dictionary of tensors, without a GLB.

        The arguments and errors are those of `generate_single_object`.
        """
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
        camera: Camera | None = None,
        steps: Steps = STANDARD,
        splats: bool = False,
        on_progress: OnProgress = silent,
    ) -> Reconstruction:
        """Reconstruct the masked object as a coloured mesh, with its pose, and with gaussians if `splats`.

        image: (H, W, 3) uint8 sRGB, upright, with its background unchanged. mask: (H, W) bool.
        seed: None for a random one.
        pointmap: (H, W, 3) float32, a point per pixel in PyTorch3D's camera frame (x left, y up, z forward), used
        instead of the depth model's; None for the depth model's. Points that are not finite count as missing.
        camera: through which `pointmap` is seen; None for one that is fitted to it. Ignored without `pointmap`.

        Without a point inside the mask, the result has no pose.

        Equal arguments give equal results: bit for bit on a CPU, and up to rounding on a GPU, where upstream's mesh
        extraction adds in no fixed order.

        Raises NoObject, BadResult, whatever `on_progress` raises, and the GPU's own errors.
        """
        # Imported only here, because it would import torch before the checkpoints were checked.
        from sam3d_bento.engines.sam3d.result import to_reconstruction

        output = self(image, mask, seed, pointmap, steps=steps, splats=splats, on_progress=on_progress)
        details = {
            "voxels": len(output["coords"]),
            "voxels_before_pruning": len(output["coords_original"]),
            "downsample_factor": output["downsample_factor"],
            "steps": [steps.stage1, steps.stage2],
            "shortcut": steps.shortcut,
        }
        seen_through = self.pipeline.camera if pointmap is None else camera or fit_camera(pointmap)
        result = replace(to_reconstruction(output, details), camera=seen_through)
        return result if self.pipeline.sees_object_depth else replace(result, pose=None)

    def look(self, image: UInt8) -> tuple[Float32, Camera | None]:
        """Return the depth model's point map of a photo (H, W, 3) uint8, and its camera.

        The points (H, W, 3) float32 are in PyTorch3D's camera frame, and NaN where there is none. Given to
        `generate_single_object` as `pointmap`, with the camera, they change no bit of its result on a CPU.
        """
        self.stage = "depth"
        opaque = merge_mask_to_rgba(image, np.ones(image.shape[:2], bool))
        with upstream.computing_on(self.device), self._in_its_stream():
            points: Float32 = self.pipeline.look(opaque).float().cpu().numpy()
        return np.ascontiguousarray(points), self.pipeline.camera

    def rest(self) -> None:
        """Copy the weights of the first stage to the GPU, for the next run. The copies run in the background."""
        with self._in_its_stream():
            self.pipeline.residency.enter("depth")

    def release(self) -> None:
        """Free everything that is on the GPU."""
        self.pipeline.residency.release()
        if self.device.type == "cuda":
            self._torch.cuda.empty_cache()

    @contextmanager
    def _in_its_stream(self) -> Iterator[None]:
        """Run all GPU work of the block in one CUDA stream, after earlier and before later work of the caller's stream.

        The caller's stream is CUDA's default one, which cannot be recorded (`graphs`). On a CPU this does nothing.
        """
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
    """Return the photo with the mask as alpha, 0 or 255, (H, W, 4) uint8, as upstream's `run` takes it.

    Raises NoObject when the mask's box is smaller than 2 x 2 pixels. Upstream crops to this box and fails on a smaller
    one.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0 or rows[-1] == rows[0] or columns[-1] == columns[0]:
        raise NoObject("The object in the mask is smaller than two by two pixels.")
    rgba = np.empty((*mask.shape, 4), np.uint8)
    for channel in range(3):  # three times as fast as all at once
        rgba[..., channel] = image[..., channel]
    np.multiply(mask, np.uint8(255), out=rgba[..., 3], casting="unsafe")
    return rgba
