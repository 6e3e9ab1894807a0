"""The single way from an upload to a GLB: decode, mask, reconstruct, export.

`Pipeline.run` walks the four steps, `MaskPreview.run` the first two. Both time each stage, report progress and stop
when the report says so; neither keeps anything of a run, whether it succeeds or fails.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sam3d_bento import engines, export
from sam3d_bento.options import SEED_MAX
from sam3d_bento.photo import images, masks
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.progress import Tick
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction
from sam3d_bento.settings import Settings
from sam3d_bento.submission import Asset, MaskImage, Report, RunnerInfo, Stage, Submission


class StageClock:
    """Seconds spent in each stage of one run."""

    def __init__(self, report: Report) -> None:
        self.seconds: dict[str, float] = {}
        self._report = report

    @contextmanager
    def stage(self, name: Stage) -> Iterator[Tick]:
        """Time the block; the value is the block's `Tick`. Entering and leaving are cancellation points."""
        started = time.perf_counter()
        self._report(name, 0.0)
        yield lambda fraction: self._report(name, fraction)
        self.seconds[name] = round(time.perf_counter() - started, 4)
        self._report(name, 1.0)


class Pipeline:
    """An engine and a mask model, loaded; runs one submission at a time."""

    def __init__(self, engine: engines.Engine, mask_model: MaskModel, settings: Settings) -> None:
        self._engine = engine
        self._mask_model = mask_model
        self._max_pixels = settings.max_pixels
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
        report: Report,
        keep: Callable[[Reconstruction], None] | None = None,
    ) -> Asset:
        """Photo in, GLB out. `keep` is handed the reconstruction, splats included, before it is exported.

        Raises what the steps raise (all from the tree in `errors`), and Cancelled from `report`.
        """
        options = submission.options
        seed = secrets.randbelow(SEED_MAX + 1) if options.seed is None else options.seed
        clock = StageClock(report)
        photo, mask = _isolate(submission, self._mask_model, self._max_pixels, clock)
        with clock.stage("reconstruct") as tick:
            # `auto` may paint with them, and cannot tell before it has seen them: a tenth of a second of a GPU.
            splats = keep is not None or options.colour_source != "mesh"
            reconstruction = self._engine.reconstruct(photo, mask, options, seed, tick, splats=splats)
        if keep is not None:
            keep(reconstruction)
        extras = {
            "engine": self.info.name,
            "engine_version": self.info.version,
            "seed": seed,
            "options": options.model_dump(exclude={"seed"}),
            **_mask_facts(mask),
            "warnings": [str(notice) for notice in (*photo.notices, *mask.notices, *reconstruction.notices)],
            "details": reconstruction.details,
        }
        with clock.stage("export") as tick:
            exported = export.to_glb(reconstruction, options, extras, tick)
        figures = {
            "engine_facts": self.info.facts,
            "seconds": clock.seconds,
            "gpu_peak_bytes": self._engine.gpu_peak_bytes,
            "retries": self._engine.retries,
            "bytes": len(exported.glb),
        }
        return Asset(glb=exported.glb, report={**exported.extras, **figures})


class MaskPreview:
    """The first two steps alone: which mask would be used. Needs no engine and no GPU."""

    def __init__(self, mask_model: MaskModel, settings: Settings) -> None:
        self._mask_model = mask_model
        self._max_pixels = settings.max_pixels
        self.info = RunnerInfo("mask", settings.mask_model, "cpu", images.FORMATS)

    @classmethod
    def load(cls, settings: Settings) -> MaskPreview:
        """Load the mask model. Raises NotReady when its file is missing."""
        return cls(MaskModel(settings.mask_model, settings.mask_dir), settings)

    def run(self, submission: Submission, report: Report) -> MaskImage:
        """Photo in, mask out. Raises what `Pipeline.run` would raise for the same photo in these steps."""
        clock = StageClock(report)
        photo, mask = _isolate(submission, self._mask_model, self._max_pixels, clock)
        warnings = [str(notice) for notice in (*photo.notices, *mask.notices)]
        png = masks.to_png(mask, photo.original_size)
        return MaskImage(png, {**_mask_facts(mask), "warnings": warnings, "seconds": clock.seconds})


def _isolate(submission: Submission, mask_model: MaskModel, max_pixels: int, clock: StageClock) -> tuple[Photo, Mask]:
    """The steps that the preview of a mask and the whole run share."""
    with clock.stage("decode"):
        photo = images.decode(submission.photo, max_pixels=max_pixels)
        uploaded = None if submission.mask is None else images.decode(submission.mask, max_pixels=max_pixels)
    with clock.stage("mask"):
        mask = masks.isolate(photo, uploaded, mask_model)
    return photo, mask


def _mask_facts(mask: Mask) -> dict[str, Any]:
    return {"mask": {"source": mask.source, "coverage": round(mask.coverage, 4)}}
