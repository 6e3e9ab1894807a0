"""Turn an upload into a GLB in four steps: decode, mask, reconstruct, export.

`Pipeline.run` executes the four steps, `MaskPreview.run` the first two. `Pipeline.reconstruct` executes the first three
and `export_asset` the last one, so that another process can export. All of them time each stage, report progress, and
stop when `on_progress` raises. None keeps any data of a run, whether it succeeds or fails.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from sam3d_bento import engines, export
from sam3d_bento.export.size import require_scale
from sam3d_bento.export_input import ExportInput
from sam3d_bento.options import SEED_MAX, USED_VALUES
from sam3d_bento.photo import depth, images, masks
from sam3d_bento.photo.decode_lock import DecodeLock
from sam3d_bento.photo.hidden_colours import without_hidden_colours
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.photo.mask_values import read_mask
from sam3d_bento.progress import OnProgress
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction, View
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Asset, MaskImage, OnStageProgress, RunnerInfo, Stage, Submission

# In the folder for short-lived files, which the processes of a service share.
DECODE_LOCK_NAME = "decode.lock"


class StageClock:
    """Clock that measures the seconds of each stage of one run. seconds: of the stages that ended before."""

    def __init__(self, on_progress: OnStageProgress, seconds: Mapping[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self._on_progress = on_progress

    @contextmanager
    def stage(self, name: Stage) -> Iterator[OnProgress]:
        """Time the block, and yield the `OnProgress` for it. A run can be cancelled where the block begins and ends."""
        started = time.perf_counter()
        self._on_progress(name, 0.0)
        yield lambda fraction: self._on_progress(name, fraction)
        self.seconds[name] = round(time.perf_counter() - started, 4)
        self._on_progress(name, 1.0)


class Pipeline:
    """Loaded engine and mask model, which run one submission at a time."""

    def __init__(self, engine: engines.Engine, mask_model: MaskModel, settings: Settings) -> None:
        self._engine = engine
        self._mask_model = mask_model
        self._decode = _Decoder(settings)
        self.info = RunnerInfo(engine.name, engine.version, engine.device, images.FORMATS, engine.facts)

    @classmethod
    def load(cls, settings: Settings) -> Pipeline:
        """Load everything that a run needs. Raises NotReady with the reason when something is missing."""
        engine = engines.choose(settings)
        mask_model = MaskModel(settings.mask_model, settings.mask_dir)
        engine.load()
        return cls(engine, mask_model, settings)

    def run(
        self,
        submission: Submission,
        on_progress: OnStageProgress,
        on_reconstruction: Callable[[Reconstruction], None] | None = None,
    ) -> Asset:
        """Turn a photo into a GLB.

        on_reconstruction: called with the reconstruction, including its splats, before the export.
        Raises the errors of the steps, all from the tree in `errors`, and Cancelled from `on_progress`.
        """
        made = self.reconstruct(submission, on_progress, with_splats=on_reconstruction is not None)
        return export_asset(made, on_progress, on_reconstruction)

    def reconstruct(
        self, submission: Submission, on_progress: OnStageProgress, *, with_splats: bool = False
    ) -> ExportInput:
        """Turn a photo into what `export_asset` needs.

        with_splats: whether the gaussians are wanted even if the options do not paint with them. Raises like `run`.
        """
        options = submission.options
        require_scale(options, is_measured=submission.depth is not None or submission.pointmap is not None)
        seed = secrets.randbelow(SEED_MAX + 1) if options.seed is None else options.seed
        clock = StageClock(on_progress)
        photo, view, mask = _isolate(submission, self._mask_model, self._decode, clock)
        with clock.stage("reconstruct") as on_step:
            # `auto` may paint with splats, and must see them to decide. They take a tenth of a second on a GPU.
            splats = with_splats or options.colour_source != "mesh"
            reconstruction = self._engine.reconstruct(photo, mask, options, seed, on_step, splats=splats, view=view)
        if reconstruction.camera is not None:
            reconstruction = replace(reconstruction, camera=reconstruction.camera.resized(*photo.original_size))
        extras = {
            "engine": self.info.name,
            "engine_version": self.info.version,
            "seed": seed,
            "options": options.model_dump(exclude=set(USED_VALUES)),
            **_mask_facts(mask),
            "warnings": [str(code) for code in (*photo.warnings, *mask.warnings, *reconstruction.warnings)],
            "details": reconstruction.details,
        }
        figures = {
            "engine_facts": self.info.facts,
            "gpu_peak_bytes": self._engine.gpu_peak_bytes,
            "retries": self._engine.retries,
        }
        return ExportInput(reconstruction, options, extras, figures, clock.seconds)


def export_asset(
    made: ExportInput,
    on_progress: OnStageProgress,
    on_reconstruction: Callable[[Reconstruction], None] | None = None,
) -> Asset:
    """Export one object, the last step of a run. on_reconstruction, errors: as of `Pipeline.run`."""
    if on_reconstruction is not None:
        on_reconstruction(made.reconstruction)
    clock = StageClock(on_progress, made.seconds)
    with clock.stage("export") as on_step:
        exported = export.to_glb(made.reconstruction, made.options, made.extras, on_step)
    figures = {**made.figures, "seconds": clock.seconds, "bytes": len(exported.glb)}
    return Asset(glb=exported.glb, report={**exported.extras, **figures})


class MaskPreview:
    """Finds the mask that a run would use, by the first two steps alone. Needs no engine and no GPU."""

    def __init__(self, mask_model: MaskModel, settings: Settings) -> None:
        self._mask_model = mask_model
        self._decode = _Decoder(settings)
        self.info = RunnerInfo("mask", settings.mask_model, "cpu", images.FORMATS)

    @classmethod
    def load(cls, settings: Settings) -> MaskPreview:
        """Load the mask model. Raises NotReady when its file is missing."""
        return cls(MaskModel(settings.mask_model, settings.mask_dir), settings)

    def run(self, submission: Submission, on_progress: OnStageProgress) -> MaskImage:
        """Return the mask of a photo. Raises what `Pipeline.run` would raise for the same photo in these steps."""
        clock = StageClock(on_progress)
        photo, _, mask = _isolate(submission, self._mask_model, self._decode, clock)
        warnings = [str(code) for code in (*photo.warnings, *mask.warnings)]
        png = masks.to_png(mask, photo.original_size)
        return MaskImage(png, {**_mask_facts(mask), "warnings": warnings, "seconds": clock.seconds})


class _Decoder:
    """Reader of pictures within the settings' limits; large ones wait for their turn among the processes."""

    def __init__(self, settings: Settings) -> None:
        self._max_pixels = settings.max_pixels
        self._lock = DecodeLock(settings.work_dir / DECODE_LOCK_NAME)

    def photo(self, data: bytes, on_step: OnProgress) -> Photo:
        """Return the photo. Raises as `images.decode` does, and what `on_step` raises while it waits."""
        return images.decode(data, max_pixels=self._max_pixels, turn=self._turn(on_step))

    def mask(self, data: bytes, on_step: OnProgress) -> Photo:
        """Return the picture of a mask. Raises as `photo` does."""
        return read_mask(data, max_pixels=self._max_pixels, turn=self._turn(on_step))

    def _turn(self, on_step: OnProgress) -> images.Turn:
        return partial(self._lock.turn, on_wait=partial(on_step, 0.0))


def _isolate(
    submission: Submission, mask_model: MaskModel, decode: _Decoder, clock: StageClock
) -> tuple[Photo, View, Mask]:
    """Decode the photo and its depth, and find its mask: the steps that `MaskPreview.run` and `Pipeline.run` share."""
    with clock.stage("decode") as on_step:
        photo = decode.photo(submission.photo, on_step)
        uploaded = None if submission.mask is None else decode.mask(submission.mask, on_step)
        view = depth.look(photo, submission.depth, submission.pointmap, submission.options)
    with clock.stage("mask"):
        photo = without_hidden_colours(photo)  # for the engine as well: its network sees the whole photo
        mask = masks.isolate(photo, uploaded, mask_model)
        depth.require_depth(view, mask.pixels)
    return photo, view, mask


def _mask_facts(mask: Mask) -> dict[str, Any]:
    return {"mask": {"source": mask.source, "coverage": round(mask.coverage, 4)}}
