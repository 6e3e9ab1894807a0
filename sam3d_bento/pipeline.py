"""Turn an upload into a GLB in four steps: decode, mask, reconstruct, export.

`Pipeline.run` executes the four steps, `MaskPreview.run` the first two. `Pipeline.reconstruct` executes the first three
and `export_asset` the last one. `Pipeline.hand_over` and `Exporter.run` do the same in two processes. All of them time
each stage, report progress, and stop when `on_progress` raises. None keeps any data of a run, whether it succeeds or
fails.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import BinaryIO

from sam3d_bento import __version__, engines, export, scene_report
from sam3d_bento.arrays import Float32
from sam3d_bento.camera import Camera
from sam3d_bento.errors import BadRequest
from sam3d_bento.export.glb.read import read_extras
from sam3d_bento.export.parallel import both
from sam3d_bento.export.scene import ScenePart, assemble
from sam3d_bento.export.size import require_scale
from sam3d_bento.export_input import ExportInput
from sam3d_bento.finished_objects import FinishedObjects
from sam3d_bento.object_runs import ObjectRun, run_objects
from sam3d_bento.options import SEED_MAX, USED_VALUES, Options
from sam3d_bento.photo import depth, images, mask_report, masks
from sam3d_bento.photo.decode_lock import DecodeLock
from sam3d_bento.photo.hidden_colours import without_hidden_colours
from sam3d_bento.photo.mask_model import MaskModel
from sam3d_bento.photo.mask_values import read_mask
from sam3d_bento.photo.objects.find import Finder, FoundObject
from sam3d_bento.photo.prompts import models as prompt_models
from sam3d_bento.photo.prompts.memory import Memory
from sam3d_bento.photo.prompts.prompter import Prompter
from sam3d_bento.photo.size.model import SizeModel
from sam3d_bento.progress import OnProgress
from sam3d_bento.prompt import Prompt
from sam3d_bento.reconstruction import Mask, NamedReconstruction, Photo, Reconstruction, View
from sam3d_bento.settings import Settings
from sam3d_bento.submission import (
    Asset,
    MaskImage,
    OnStageProgress,
    RunnerInfo,
    SceneInput,
    Stage,
    Submission,
    check_scene,
)

# Options of a scene, with the values that a single run has.
SINGLE = {"frame": "camera", "pose": "network"}

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
        self._settings = settings
        self._masks = _MaskFinder(mask_model, settings, remember=False)
        self._size_model = SizeModel(settings.size_dir)
        facts = {**engine.facts, "estimates_size": self._size_model.is_available}
        self.info = RunnerInfo(
            engine.name,
            engine.version,
            engine.device,
            images.FORMATS,
            facts,
            hands_over=engine.hands_over,
            prompt_model=self._masks.prompt_model,
        )

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
        on_reconstruction: Callable[[Reconstruction | NamedReconstruction], None] | None = None,
    ) -> Asset:
        """Turn a photo into a GLB.

        on_reconstruction: called with the reconstruction, including its splats, in a thread beside the export; in a
        scene with a `NamedReconstruction` of each object, before its export. Raises the errors of the steps, all from
        the tree in `errors`, and Cancelled from `on_progress`. In a scene, an object's own error is in the report, and
        is raised only if no object is left.
        """
        check_scene(submission.options, submission.scene, has_mask=submission.mask is not None)
        if submission.scene is not None:
            return self._run_scene(submission, submission.scene, on_progress, on_reconstruction)
        made = self.reconstruct(submission, on_progress, with_splats=on_reconstruction is not None)
        return export_asset(made, on_progress, on_reconstruction)

    def hand_over(
        self,
        submission: Submission,
        on_progress: OnStageProgress,
        memory: BinaryIO,
        on_reconstruction: Callable[[Reconstruction | NamedReconstruction], None] | None = None,
    ) -> Asset | None:
        """Call `reconstruct`, write its result into `memory` for `Exporter.run` in another process, and return None.

        A scene is run here, and returned: its objects are exported beside its own networks. Arguments, errors: as of
        `run`. on_reconstruction: called for a scene alone; otherwise `Exporter.run` calls its own.
        """
        check_scene(submission.options, submission.scene, has_mask=submission.mask is not None)
        if submission.scene is not None:
            return self.run(submission, on_progress, on_reconstruction)
        self.reconstruct(submission, on_progress, with_splats=on_reconstruction is not None).write(memory)
        return None

    def reconstruct(
        self, submission: Submission, on_progress: OnStageProgress, *, with_splats: bool = False
    ) -> ExportInput:
        """Turn a photo into what `export_asset` needs.

        with_splats: whether the gaussians are wanted even if the options do not paint with them. Raises like `run`.
        """
        options = submission.options
        require_scale(options, is_measured=_has_depth(submission) or self._size_model.is_available)
        seed = secrets.randbelow(SEED_MAX + 1) if options.seed is None else options.seed
        clock = StageClock(on_progress)
        photo, view, mask = self._masks.isolate(submission, clock)
        with clock.stage("reconstruct") as on_step:
            view = self._with_size(photo, view, submission)
            made = self._reconstruct(photo, view, mask, options, seed, on_step, with_splats=with_splats)
        return replace(made, seconds=clock.seconds)

    def _reconstruct(
        self,
        photo: Photo,
        view: View,
        mask: Mask,
        options: Options,
        seed: int,
        on_step: OnProgress,
        *,
        with_splats: bool,
    ) -> ExportInput:
        """Reconstruct one object of a photo."""
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
            "mask": mask_report.describe(mask, photo),
            "warnings": [str(code) for code in (*photo.warnings, *mask.warnings, *reconstruction.warnings)],
            "details": reconstruction.details,
        }
        figures = {
            "engine_facts": self.info.facts,
            "gpu_peak_bytes": self._engine.gpu_peak_bytes,
            "retries": self._engine.retries,
            "prompt_encodes": self._masks.prompter.take_encodes(),
        }
        return ExportInput(reconstruction, options, extras, figures, {})

    def _run_scene(
        self,
        submission: Submission,
        scene: SceneInput,
        on_progress: OnStageProgress,
        on_reconstruction: Callable[[Reconstruction | NamedReconstruction], None] | None,
    ) -> Asset:
        """Turn a photo into the GLB of a scene. Arguments and errors: as of `run`."""
        options = submission.options
        clock = StageClock(on_progress)
        photo, view, found = self._find_objects(submission, scene, clock)
        seed = secrets.randbelow(SEED_MAX + 1) if options.seed is None else options.seed
        seeds = [seed if each.seed is None else each.seed for each in found]
        kept = FinishedObjects(scene.finished)
        runs = [
            ObjectRun(each.name, kept.load(index), each.error or scene.lost.get(each.name))
            for index, each in enumerate(found)
        ]

        def reconstruct(index: int, on_step: OnProgress) -> ExportInput:
            mask = found[index].mask
            assert mask is not None
            depth.require_depth(view, mask.pixels)
            own = options.model_copy(update={"name": found[index].name, **SINGLE})
            with_splats = on_reconstruction is not None
            return self._reconstruct(photo, view, mask, own, seeds[index], on_step, with_splats=with_splats)

        def export_one(index: int, made: ExportInput, on_step: OnProgress) -> Asset:
            if on_reconstruction is not None:
                on_reconstruction(NamedReconstruction(found[index].name, made.reconstruction))
            asset = export_asset(made, lambda stage, fraction: on_step(fraction))
            kept.save(index, asset)
            return asset

        on_progress("reconstruct", 0.0)
        view = self._engine.look(photo, self._with_size(photo, view, submission))
        run_objects(runs, reconstruct, export_one, on_progress)
        parts = [
            ScenePart(run.name, export.Export(run.result.glb, read_extras(run.result.glb)), each.mask.pixels)
            for run, each in zip(runs, found, strict=True)
            if run.result is not None and each.mask is not None
        ]
        if not parts:
            raise next(run.error for run in runs if run.error is not None)
        extras = {
            "engine": self.info.name,
            "engine_version": self.info.version,
            "seed": seed,
            "options": options.model_dump(exclude=set(USED_VALUES)),
            "details": {},
            **scene_report.describe(photo, found, seeds, runs),
        }
        # All objects have been seen through the same camera.
        seen_through = [part.export.extras["camera"] for part in parts if part.export.extras["camera"] is not None]
        camera = Camera(**seen_through[0]) if seen_through else Camera.assumed(*photo.original_size)
        scene_export = assemble(
            parts,
            camera,
            options,
            extras,
            share_a_scale=self._engine.shares_scale,
            points=view.points,
            on_step=lambda: on_progress("export", 0.99),
        )
        on_progress("export", 1.0)
        figures = {
            "engine_facts": self.info.facts,
            "bytes": len(scene_export.glb),
            **scene_report.measure(runs, scene_export.extras["objects"], clock.seconds),
        }
        return Asset(scene_export.glb, {**scene_export.extras, **figures})

    def _find_objects(
        self, submission: Submission, scene: SceneInput, clock: StageClock
    ) -> tuple[Photo, View, list[FoundObject]]:
        """Decode the photo and its depth, and find the masks of its objects."""
        require_scale(submission.options, is_measured=_has_depth(submission) or self._size_model.is_available)
        with clock.stage("decode") as on_step:
            photo = self._masks.decode.photo(submission.photo, on_step)
            view = depth.look(photo, submission.depth, submission.pointmap, submission.options)
        with clock.stage("mask") as on_step:
            photo = without_hidden_colours(photo)
            finder = Finder(
                self._masks.model,
                partial(self._masks.decode.mask, on_step=on_step),
                self._masks.prompted(photo, submission.photo),
                self._settings.max_objects,
                self._settings.max_pixels,
            )
            return photo, view, finder.find(photo, scene)

    def _with_size(self, photo: Photo, view: View, submission: Submission) -> View:
        """Return the view with `View.pixel_metres` if the options ask for metres that nothing else tells."""
        options = submission.options
        if options.scale != "metric" or options.has_size or _has_depth(submission):
            return view
        return replace(view, pixel_metres=self._estimate_size(photo, view))

    def _estimate_size(self, photo: Photo, view: View) -> Float32 | None:
        """Return `View.pixel_metres` of a photo."""
        focal_length = None if view.camera is None else (view.camera.fx + view.camera.fy) / 2
        return self._size_model.measure_pixels(photo.rgb, focal_length)


def export_asset(
    made: ExportInput,
    on_progress: OnStageProgress,
    on_reconstruction: Callable[[Reconstruction | NamedReconstruction], None] | None = None,
) -> Asset:
    """Export one object, the last step of a run. on_reconstruction, errors: as of `Pipeline.run`."""
    clock = StageClock(on_progress, made.seconds)
    with clock.stage("export") as on_step:
        exported = _export_and_keep(made, on_step, on_reconstruction)
    figures = {**made.figures, "seconds": clock.seconds, "bytes": len(exported.glb)}
    return Asset(glb=exported.glb, report={**exported.extras, **figures})


def _export_and_keep(
    made: ExportInput,
    on_step: OnProgress,
    on_reconstruction: Callable[[Reconstruction | NamedReconstruction], None] | None,
) -> export.Export:
    """Export; call `on_reconstruction` at the same time, because to write the file takes up to a second."""
    if on_reconstruction is None:
        return export.to_glb(made.reconstruction, made.options, made.extras, on_step)
    _, exported = both(
        lambda: on_reconstruction(made.reconstruction),
        lambda: export.to_glb(made.reconstruction, made.options, made.extras, on_step),
    )
    return exported


class Exporter:
    """Exports what `Pipeline.hand_over` has written, in a process of its own. Needs neither weights nor a GPU."""

    info = RunnerInfo("export", __version__, "cpu", ())

    @classmethod
    def load(cls, settings: Settings) -> Exporter:
        """Return an exporter. There is nothing to load beyond the import of this module."""
        return cls()

    def run(
        self,
        memory: BinaryIO,
        on_progress: OnStageProgress,
        on_reconstruction: Callable[[Reconstruction | NamedReconstruction], None] | None = None,
    ) -> Asset:
        """Call `export_asset` with what `memory` contains."""
        on_progress("export", 0.0)
        return export_asset(ExportInput.read(memory), on_progress, on_reconstruction)


class MaskPreview:
    """Finds the mask that a run would use, by the first two steps alone. Needs no engine and no GPU."""

    def __init__(self, mask_model: MaskModel, settings: Settings) -> None:
        self._masks = _MaskFinder(mask_model, settings, remember=True)
        self.info = RunnerInfo("mask", settings.mask_model, "cpu", images.FORMATS)

    @classmethod
    def load(cls, settings: Settings) -> MaskPreview:
        """Load the mask model. Raises NotReady when its file is missing."""
        return cls(MaskModel(settings.mask_model, settings.mask_dir), settings)

    def run(self, submission: Submission, on_progress: OnStageProgress) -> MaskImage:
        """Return the mask of a photo. Raises what `Pipeline.run` would raise for the same photo in these steps."""
        clock = StageClock(on_progress)
        photo, _, mask = self._masks.isolate(submission, clock)
        warnings = [str(code) for code in (*photo.warnings, *mask.warnings)]
        png = masks.to_png(mask, photo.original_size)
        facts = {"mask": mask_report.describe(mask, photo), "warnings": warnings, "seconds": clock.seconds}
        return MaskImage(png, facts | {"prompt_encodes": self._masks.prompter.take_encodes()})


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


class _MaskFinder:
    """Reader of a photo and finder of its mask: the steps that `MaskPreview.run` and `Pipeline.run` share.

    remember: whether encodings of photos are kept for the next prompt.
    """

    def __init__(self, mask_model: MaskModel, settings: Settings, *, remember: bool) -> None:
        self.model = mask_model
        self.decode = _Decoder(settings)
        memory = Memory(settings.prompt_memory_seconds if remember else 0)
        self.prompt_model = prompt_models.choose(settings)
        load = partial(prompt_models.load, self.prompt_model, mask_model, settings)
        self.prompter = Prompter(load, memory)

    def prompted(self, photo: Photo, content: bytes) -> Callable[[Prompt], Mask]:
        """Return a function from prompts to masks of one photo. Arguments: as of `Prompter.encode`, called once."""
        encoded = cache(partial(self.prompter.encode, photo, content))
        return lambda prompt: self.prompter.mask(encoded(), prompt)

    def isolate(self, submission: Submission, clock: StageClock) -> tuple[Photo, View, Mask]:
        """Decode the photo and its depth, and find its mask."""
        prompt = submission.options.prompt
        if prompt is not None and submission.mask is not None:
            raise BadRequest("The field 'mask' says which object is meant. Send it without 'points' and 'box'.")
        with clock.stage("decode") as on_step:
            photo = self.decode.photo(submission.photo, on_step)
            uploaded = None if submission.mask is None else self.decode.mask(submission.mask, on_step)
            view = depth.look(photo, submission.depth, submission.pointmap, submission.options)
        with clock.stage("mask"):
            photo = without_hidden_colours(photo)  # for the engine as well: its network sees the whole photo
            if prompt is not None:
                prompt.require_within(*photo.original_size)  # before the model looks at the photo
                mask = self.prompter.mask(self.prompter.encode(photo, submission.photo), prompt)
            else:
                mask = masks.isolate(photo, uploaded, self.model)
            depth.require_depth(view, mask.pixels)
        return photo, view, mask


def _has_depth(submission: Submission) -> bool:
    return submission.depth is not None or submission.pointmap is not None
