"""SAM 3D engine: `Inference` behind the interface of all engines, with warm-up, retries and errors for a service."""

from __future__ import annotations

import gc
import importlib.util
import logging
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sam3d_bento.engines.sam3d import faults, upstream
from sam3d_bento.engines.sam3d.inference import NO_GPU, STANDARD, Inference, Steps
from sam3d_bento.engines.sam3d.loading import checkpoints
from sam3d_bento.engines.sam3d.memory.profiles import PROFILES
from sam3d_bento.errors import EngineLost, GpuOutOfMemory, NotReady, Sam3DError
from sam3d_bento.options import Options
from sam3d_bento.progress import OnProgress, silent
from sam3d_bento.reconstruction import (
    UNKNOWN_VIEW,
    Mask,
    MeasuredScale,
    Photo,
    Pose,
    Reconstruction,
    ScaleSource,
    View,
)
from sam3d_bento.warning_codes import WarningCode

# Sampling steps of each quality. In a draft, four shortcut steps are 4 evaluations of the first network, where 25 steps
# with guidance are 44.
STEPS = {"draft": Steps(4, 12, shortcut=True), "standard": STANDARD, "high": Steps(50, 50)}

MIN_ESTIMATED_PIXELS = 30  # of the photo, with an estimated size; a median of fewer tells nothing about its scale

T = TypeVar("T")

# With 1, to prepare a photo took 0.13 s alone and 0.2 s beside an export; with 4 it took 0.10 and 0.11 s (16 cores).
CPU_THREADS = 4

log = logging.getLogger("sam3d_bento.sam3d")


def available(checkpoint_dir: Path) -> str | None:
    """Return why this engine cannot be used here, as a sentence, or None if it can.

    Imports torch only if everything else is there.
    """
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed; the engine 'sam3d' cannot be used."
    if upstream.locate() is None:
        return upstream.NOT_INSTALLED
    try:
        checkpoints.check(checkpoint_dir)
        checkpoints.check_configurations(checkpoint_dir)
    except NotReady as exc:
        return exc.detail
    torch = upstream.import_torch()
    return None if torch.cuda.is_available() else NO_GPU


def leave_processors_free() -> None:
    """Let torch compute on few processors, beside the GPU, from now on.

    By default it uses all, and each of its steps waits for the slowest one. While an export used some, to prepare a
    photo took 0.4 s instead of 0.1 (benchmarks/results/gpu-kernels.json, call 7).
    """
    torch = upstream.import_torch()
    torch.set_num_threads(min(torch.get_num_threads(), CPU_THREADS))


class Sam3dEngine:
    """See `engines.Engine`.

    memory_profile: a name in PROFILES, or `auto`. kernels: `auto` or `off`. device: `cuda`; `cpu` is for tests.
    """

    name = "sam3d"
    hands_over = True

    def __init__(
        self, checkpoint_dir: Path, memory_profile: str = "auto", kernels: str = "auto", *, device: str = "cuda"
    ) -> None:
        self._checkpoint_dir = checkpoint_dir
        self._profile = PROFILES.get(memory_profile)  # type: ignore[call-overload]  # a name from the settings
        self._kernels = kernels
        self._device = device
        self._inference: Inference | None = None
        self.retries = 0
        self.shares_scale = True  # that of the depth model's points

    @property
    def version(self) -> str:
        """Upstream's source. The version of the weights is fixed by the manifest."""
        return f"sam3d-objects/{self._loaded.upstream.source}"

    @property
    def device(self) -> str:
        """`cuda:0`, or `cpu` in tests."""
        return str(self._loaded.device)

    @property
    def facts(self) -> dict[str, Any]:
        """See `engines.Engine`."""
        loaded = self._loaded
        return {
            "summary": "SAM 3D engine.",
            "guesses": False,
            "seeded": True,
            "splats": True,
            "ignores": ["shape"],
            "memory_profile": loaded.profile.name,
            "attention": loaded.upstream.attention,
            "kernels": loaded.pipeline.kernels,
            "standins": list(loaded.upstream.standins),
        }

    @property
    def gpu_peak_bytes(self) -> int | None:
        """See `engines.Engine`."""
        if self._loaded.device.type != "cuda":
            return None
        import torch

        return int(torch.cuda.max_memory_allocated())

    def load(self) -> None:
        """Load the checkpoints and run once. Raises NotReady with the reason when that is impossible."""
        if self._device == "cuda" and (reason := available(self._checkpoint_dir)) is not None:
            raise NotReady(reason)
        try:
            self._inference = Inference(
                str(self._checkpoint_dir / "pipeline.yaml"),
                device=self._device,
                profile=self._profile,
                kernels=self._kernels,
            )
            if self._device == "cuda":
                leave_processors_free()
            self._warm_up()
        except RuntimeError as exc:
            if not faults.is_out_of_memory(exc):
                raise
            log.exception("out of memory while loading")
            raise NotReady("The GPU's memory does not suffice to load the network.") from exc

    def look(self, photo: Photo, view: View) -> View:
        """Return the view with the depth model's points and camera, unless it has points; see `Engine.look`.

        Raises GpuOutOfMemory and EngineLost as `reconstruct` does.
        """
        if view.points is not None:
            return view
        self.retries = 0
        points, camera = self._watched(lambda inference: inference.look(photo.rgb))
        return replace(view, camera=camera, points=points, in_metres=False)

    def reconstruct(
        self,
        photo: Photo,
        mask: Mask,
        options: Options,
        seed: int,
        on_progress: OnProgress,
        *,
        splats: bool = False,
        view: View = UNKNOWN_VIEW,
    ) -> Reconstruction:
        """Reconstruct the masked object, see `engines.Engine`. Points in `view` replace the depth model's.

        When the GPU's memory does not suffice, it tries once more in a profile that needs less. Raises NoObject,
        BadResult, GpuOutOfMemory after that second attempt, and EngineLost when this process can no longer use its GPU.
        """
        self._reset_peak()
        if view.pixel_metres is not None:
            view = self.look(photo, view)
        self.retries = 0
        steps = STEPS[options.quality]
        result = self._watched(
            lambda inference: inference.generate_single_object(
                photo.rgb,
                mask.pixels,
                seed,
                view.points,
                camera=view.camera,
                steps=steps,
                splats=splats,
                on_progress=on_progress,
            )
        )
        if view.points is not None and view.in_metres:
            result = replace(result, measured=_measured(result.pose, "depth"))
        elif view.pixel_metres is not None:
            result = _in_metres(result, view)
        if options.shape != "auto":
            result = replace(result, warnings=(*result.warnings, WarningCode.SHAPE_IGNORED))
        spent = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in self._loaded.seconds.items())
        log.info("seconds of each stage: %s", spent)
        return result

    def _watched(self, run: Callable[[Inference], T]) -> T:
        """Call `run` in at most two attempts, and leave the engine ready for the next run, whatever happens."""
        try:
            result = self._in_two_attempts(run)
        except EngineLost:  # every further call to the GPU would fail
            raise
        except BaseException as exc:
            traceback.clear_frames(exc.__traceback__)  # they hold tensors
            self._free()
            self._rest()
            raise
        self._rest()
        return result

    def _in_two_attempts(self, run: Callable[[Inference], T]) -> T:
        inference = self._loaded
        result = self._attempt(run)
        cheaper = inference.profile.cheaper(inference.stage)
        if result is None and cheaper is not None:
            self._free()
            self.retries += 1
            log.warning("out of GPU memory in the profile %s; tried again in %s", inference.profile.name, cheaper.name)
            with inference.in_profile(cheaper):
                result = self._attempt(run)
        if result is None:
            raise GpuOutOfMemory("The GPU's memory did not suffice for this object. Try again later.")
        return result

    def _attempt(self, run: Callable[[Inference], T]) -> T | None:
        """Run once, and return None when the GPU's memory did not suffice.

        The exception is then gone, and with it the tensors that its frames held.
        """
        try:
            return run(self._loaded)
        except RuntimeError as exc:
            if faults.is_sticky(exc):
                log.error("the GPU failed: %s", exc)
                raise EngineLost("The GPU failed during the run; the engine is restarted. Try again.") from exc
            if not faults.is_out_of_memory(exc):
                raise
            log.warning("%s", str(exc).splitlines()[0])
            return None

    def _rest(self) -> None:
        try:
            self._loaded.rest()
        except RuntimeError as exc:
            if not faults.is_out_of_memory(exc):
                raise
            self._loaded.release()  # another process took the memory; the next run reports it if that is still so

    def _free(self) -> None:
        gc.collect()
        self._loaded.release()

    def _reset_peak(self) -> None:
        if self._loaded.device.type == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()

    def _warm_up(self) -> None:
        """Run everything once on a small photo, because kernels are compiled and chosen at their first use.

        A broken installation also shows here. Raises NotReady when the run fails.
        """
        row, column = np.ogrid[-32:32, -32:32]
        ball = np.sqrt(np.clip(1 - (row**2 + column**2) / 24**2, 0, None))
        rgb = np.repeat((40 + 200 * ball).astype(np.uint8)[:, :, None], 3, axis=2)
        photo = Photo(rgb=rgb, alpha=None, original_size=(64, 64))
        mask = Mask(pixels=ball > 0, source="upload", coverage=float((ball > 0).mean()))
        try:
            self.reconstruct(photo, mask, Options(quality="draft"), 0, silent, splats=True)
        except Sam3DError as exc:
            raise NotReady(f"The trial run after loading failed: {exc.detail}") from exc

    @property
    def _loaded(self) -> Inference:
        if self._inference is None:
            raise NotReady("The SAM 3D engine is not loaded yet.")
        return self._inference


def _measured(pose: Pose | None, source: ScaleSource) -> MeasuredScale | None:
    """Return how large a unit of the vertices is, by a pose in metres; None without one.

    The error is not known: the network predicts the size, and does not say how surely.
    """
    return None if pose is None else MeasuredScale(float(pose.scale.mean()), source)


def _in_metres(result: Reconstruction, view: View) -> Reconstruction:
    """Return the result with a pose in estimated metres; the same result where the estimate tells too little.

    view: with `pixel_metres`, and the points of the depth model. The factor is that of the whole photo, so that all
    objects of a scene get the same one: at a distance z, a pixel spans z / focal length units of the points.
    """
    if view.pixel_metres is None or view.points is None or view.camera is None:
        return result
    with np.errstate(invalid="ignore", divide="ignore"):
        factors = view.pixel_metres * view.camera.fx / view.points[..., 2]
        factors = factors[np.isfinite(factors) & (factors > 0)]
    if result.pose is None or len(factors) < MIN_ESTIMATED_PIXELS:
        return result
    factor = np.float32(np.median(factors))
    pose = replace(result.pose, translation=result.pose.translation * factor, scale=result.pose.scale * factor)
    return replace(result, pose=pose, measured=_measured(pose, "estimated"))
