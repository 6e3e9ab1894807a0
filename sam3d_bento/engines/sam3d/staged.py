"""Control upstream's pipeline between its stages. Its `run` and its arithmetic stay upstream's.

`StagedPipeline` overrides only methods that `InferencePipelinePointMap.run` calls. With these it loads without waste,
places the weights of each stage, reports every step, and ends before upstream makes a GLB.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from sam3d_objects.model.backbone.dit.embedder.dino import Dino
from sam3d_objects.pipeline.inference_pipeline_pointmap import InferencePipelinePointMap

from sam3d_bento.camera import Camera, fit_camera
from sam3d_bento.engines.sam3d import attention, group_norms, mesh_extraction, sampling
from sam3d_bento.engines.sam3d.fused.dense import DenseNetwork
from sam3d_bento.engines.sam3d.fused.mesh import Upsampling
from sam3d_bento.engines.sam3d.fused.solver import DenseSolve, Network, Solver, SparseSolve
from sam3d_bento.engines.sam3d.fused.sparse import SparseNetwork
from sam3d_bento.engines.sam3d.fused.transformer import Operations, Unsupported
from sam3d_bento.engines.sam3d.graphs import CudaRecorder, Recorder, Replayed
from sam3d_bento.engines.sam3d.kernels.choice import Choice
from sam3d_bento.engines.sam3d.loading import modules, precision
from sam3d_bento.engines.sam3d.memory.profiles import Part, Profile, Stage
from sam3d_bento.engines.sam3d.memory.residency import Residency
from sam3d_bento.engines.sam3d.preparation import OnDevice, as_floats, keep_position_embeddings
from sam3d_bento.errors import BadResult, NoObject

# Called with the stage and its finished share, 0..1. It may raise to end the run.
OnStageProgress = Callable[[Stage, float], None]

# Stages that the generators sample in.
SAMPLED: dict[Part, Stage] = {"ss_generator": "ss_sample", "slat_generator": "slat_sample"}

log = logging.getLogger("sam3d_bento.sam3d")


class StagedPipeline(InferencePipelinePointMap):
    """Upstream's pipeline with control between its stages, made by `hydra.utils.instantiate`.

    Its configuration comes from `loading.pipeline_config`.
    compute_device: where it runs. All modules are built in main memory, and `settle` makes the pipeline ready to run.
    cast: whether weights are cast to half precision after loading, see `precision`.
    code_dir: folder of DINOv2's code during loading.
    """

    # Classes whose forward runs entirely under upstream's autocast, in `sample_sparse_structure` and
    # `get_condition_input`. The decoders of the second stage do not run under it, and the generator of that stage has
    # `use_fp16`.
    UNDER_AUTOCAST = ("ShortCut", "EmbedderFuser", "SparseStructureDecoderTdfyWrapper")

    residency: Residency
    on_progress: OnStageProgress
    kernels: str  # which kernels compute, or why upstream's do
    camera: Camera | None  # by which the depth model saw the last photo; None where its points were given
    sees_object_depth: bool  # in the last run: without it, its pose means nothing

    def __init__(self, *, compute_device: str, cast: bool, code_dir: str, **kwargs: Any) -> None:
        self.compute_device = torch.device(compute_device)
        self._code_dir = Path(code_dir)
        self._cast = cast
        self._float_of: tuple[Any, Any] | None = None
        with modules.without_initialisation():
            super().__init__(**kwargs)

    # -- loading -----------------------------------------------------------------------------------------------------

    def instantiate_and_load_from_pretrained(
        self,
        config: Any,
        ckpt_path: str,
        state_dict_fn: Any = None,
        state_dict_key: str | None = "state_dict",
        device: Any = "cpu",
    ) -> Any:
        """Build a module and load its weights, as upstream does, but strictly: the weights must match the module.

        state_dict_fn: upstream's filter by prefix. device: ignored, because modules are built in main memory.
        """
        modules.local_backbones(config, self._code_dir)
        if "representation_config" in config and str(config.get("_target_", "")).endswith("MeshDecoderTdfyWrapper"):
            config.device = str(self.compute_device)  # `.to` does not move FlexiCubes' tables, which are no buffers
        with mesh_extraction.without_dense_grid():
            module = instantiate(config)
        state = modules.read_state(Path(ckpt_path), state_dict_key, Path(self.workspace_dir))
        if state_dict_fn is not None:
            state = state_dict_fn(state)
        modules.load_strictly(module, state, Path(ckpt_path).name)
        if self._cast and config["_target_"].endswith(self.UNDER_AUTOCAST):
            precision.cast_beforehand(module, self.shape_model_dtype)
        modules.let_go_of_file(module, state)
        return module

    def settle(self, profile: Profile, choice: Choice) -> None:
        """Make the loaded pipeline ready to run: share the backbones, place the weights, and add the progress hooks.

        choice: the kernels of the generators and of the mesh decoder.
        """
        self.device = self.compute_device
        self.depth_model.device = self.compute_device
        decoder = self.models["slat_decoder_mesh"]
        decoder.mesh_extractor = mesh_extraction.SparseMeshExtractor(decoder.mesh_extractor)
        parts: dict[Part, Any] = {
            "depth_model": self.depth_model.model,
            "ss_condition_embedder": self.condition_embedders["ss_condition_embedder"],
            "ss_generator": self.models["ss_generator"],
            "ss_decoder": self.models["ss_decoder"],
            "slat_condition_embedder": self.condition_embedders["slat_condition_embedder"],
            "slat_generator": self.models["slat_generator"],
            "slat_decoder_mesh": decoder,
            "slat_decoder_gs": self.models["slat_decoder_gs"],
        }
        if self._cast:
            # MoGe's `infer` uses its own autocast, which is always float16.
            precision.cast_beforehand(parts["depth_model"], torch.float16)
        precision.share_backbones([parts["ss_condition_embedder"], parts["slat_condition_embedder"]])
        self.kernels = choice.summary
        self._upsampling: Upsampling | None = None
        fused: dict[Part, Callable[[], None]] = {}
        if choice.operations is not None:
            fused = self._fuse(parts, choice.operations)
        self._watch_steps(parts, fused.keys())
        self.residency = Residency(parts, self.compute_device, profile)
        for part, drop in fused.items():
            self.residency.before_moves(part, drop)

    def _fuse(self, parts: Mapping[Part, Any], operations: Operations) -> dict[Part, Callable[[], None]]:
        """Let parts compute with fused kernels; return these parts, each with what deletes what follows from its
        weights.

        They are made here because their tests of the weights need these in main memory.
        """
        cuda = self.compute_device.type == "cuda"
        drops: dict[Part, Callable[[], None]] = {}
        if cuda:
            group_norms.use_channel_moments(parts["depth_model"])
            drops["depth_model"] = keep_position_embeddings(parts["depth_model"].backbone)
            # The whole embedder of the first generator waits for the GPU, to look for points that are not finite.
            backbones = [module for module in parts["ss_condition_embedder"].modules() if isinstance(module, Dino)]
            drops["ss_condition_embedder"] = self._record(backbones)
            drops["slat_condition_embedder"] = self._record([parts["slat_condition_embedder"]])
        dense, sparse = parts["ss_generator"], parts["slat_generator"]
        makers: dict[Part, Callable[[], Network]] = {
            "ss_generator": lambda: DenseSolve(DenseNetwork(dense.reverse_fn.backbone, operations), dense.time_scale),
            "slat_generator": lambda: SparseSolve(SparseNetwork(sparse.reverse_fn.backbone, operations)),
        }
        keeps: dict[Part, Callable[[], bool]] = {
            "ss_generator": lambda: self.residency.profile.keep == "all",
            "slat_generator": lambda: False,  # every object has its own voxels
        }
        try:
            for part, make in makers.items():
                generator, stage = parts[part], SAMPLED[part]
                on_progress, recorder = partial(self._tell, stage), CudaRecorder if cuda else None
                solver = Solver(generator, make(), on_progress, recorder, keeps[part])
                generator._solver, drops[part] = solver, solver.drop
            self._upsampling = Upsampling(parts["slat_decoder_mesh"], operations)
            drops["slat_decoder_mesh"] = self._upsampling.drop
        except Unsupported as exc:
            log.warning("parts of the network compute with upstream's kernels: %s", exc)
            self.kernels = f"{self.kernels} in part: {exc}"
        return drops

    def _record(self, embedders: Sequence[Any]) -> Callable[[], None]:
        """Replay embedders from their second calls on, where nothing is evicted; return what deletes the recordings."""
        recorder = CudaRecorder()
        drops = [self._record_one(embedder, recorder) for embedder in embedders]

        def drop() -> None:
            for one in drops:
                one()

        return drop

    def _record_one(self, embedder: Any, recorder: Recorder) -> Callable[[], None]:
        forward = embedder.forward
        replayed = Replayed(forward, recorder)

        def either(*args: Any, **kwargs: Any) -> Any:
            return (replayed if self.residency.profile.keep == "all" else forward)(*args, **kwargs)

        embedder.forward = either
        return replayed.drop

    def _watch_steps(self, parts: Mapping[Part, Any], fused: Container[Part]) -> None:
        samplers: dict[Part, Callable[..., Any]] = {"ss_generator": sampling.dense, "slat_generator": sampling.sparse}
        for part, replayed in samplers.items():
            if part in fused:
                continue
            generator, on_progress = parts[part], partial(self._tell, SAMPLED[part])
            solving: Callable[[], Any] = nullcontext
            if self.compute_device.type == "cuda":
                solving = partial(replayed, generator.reverse_fn.backbone, CudaRecorder)
            generator._solver = sampling.WatchedSolver(generator._solver, on_progress, solving)
        parts["ss_decoder"].register_forward_hook(_refuse_nothing)
        decoders: dict[Part, Stage] = {"slat_decoder_mesh": "mesh", "slat_decoder_gs": "gaussians"}
        for part, stage in decoders.items():
            layers = [*parts[part].blocks, *getattr(parts[part], "upsample", ())]
            for index, layer in enumerate(layers):
                done = (index + 1) / (len(layers) + 1)  # + 1: the extraction is one more step
                layer.register_forward_hook(partial(self._tell, stage, done))

    # -- the stages, in the order of `run` ---------------------------------------------------------------------------

    def image_to_float(self, image: Any) -> Any:
        """Return the photo / 255 in float32. `run` asks for the same photo three times, and it is computed once."""
        if self._float_of is None or self._float_of[0] is not image:
            cuda = self.compute_device.type == "cuda"
            as_bytes = image.dtype == np.uint8
            self._float_of = image, as_floats(image, cuda) if as_bytes else super().image_to_float(image)
        return self._float_of[1]

    def compute_pointmap(self, image: Any, pointmap: Any = None) -> Any:
        """Compute the point map from the photo, or use the caller's point map. Points that are not finite become NaN.

        MoGe marks pixels without depth (sky, plain backgrounds) as +inf, which upstream's medians do not ignore: half
        of a photo infinite makes the pose NaN (upstream issue 174). NaN is what the network was trained with.
        """
        if pointmap is None:
            self._enter("depth")
        found = super().compute_pointmap(image, pointmap)
        points = found["pointmap"]
        found["pointmap"] = points.where(points.isfinite().all(0), torch.nan)
        self.camera = _camera_of(found, found["pointmap"].permute(1, 2, 0)) if pointmap is None else None
        return found

    def look(self, image: Any) -> Any:
        """Return the depth model's points (H, W, 3) of a photo, before they are clipped for an object."""
        clip = getattr(self, "clip_pointmap_beyond_scale", None)
        self.clip_pointmap_beyond_scale = None
        try:
            return self.compute_pointmap(image)["pointmap"].permute(1, 2, 0)
        finally:
            self.clip_pointmap_beyond_scale = clip

    def preprocess_image(self, image: Any, preprocessor: Any, pointmap: Any = None) -> Any:
        """Crop and normalise the inputs of a stage; note whether there is any depth inside the mask.

        Without any, upstream takes 0 for the median of the object's points, which no object before a camera has. The
        pose then says nothing about the photo.
        """
        item = super().preprocess_image(image, OnDevice(preprocessor, self.compute_device), pointmap=pointmap)
        if "pointmap_shift" in item:
            self.sees_object_depth = bool((item["pointmap_shift"] != 0).any())
        return item

    def get_condition_input(self, condition_embedder: Any, input_dict: Any, input_mapping: Any) -> Any:
        """Compute the tokens of the photo. The generator that reads them then replaces the embedder on the GPU."""
        first = condition_embedder is self.condition_embedders["ss_condition_embedder"]
        self._enter("ss_condition" if first else "slat_condition")
        condition = super().get_condition_input(condition_embedder, input_dict, input_mapping)
        self._enter("ss_sample" if first else "slat_sample")
        return condition

    def sample_sparse_structure(self, *args: Any, **kwargs: Any) -> Any:
        """Find the voxels of the object. The generator's step count is restored afterwards, even after a failure."""
        return self._with_steps_restored("ss_generator", super().sample_sparse_structure, *args, **kwargs)

    def sample_slat(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the latent of each voxel. The step count is restored as in `sample_sparse_structure`."""
        return self._with_steps_restored("slat_generator", super().sample_slat, *args, **kwargs)

    def decode_slat(self, slat: Any, formats: Sequence[str] = ("mesh", "gaussian")) -> dict[str, Any]:
        """Decode the voxels into a mesh, and into gaussians if `formats` contains them.

        Raises BadResult for a mesh that is empty or not finite.
        """
        decoded: dict[str, Any] = {}
        with torch.no_grad():
            self._enter("mesh")
            decoded["mesh"] = self._decode_mesh(slat)
            if "gaussian" in formats:
                self._enter("gaussians")
                decoded["gaussian"] = self.models["slat_decoder_gs"](slat)
        return decoded

    def postprocess_slat_output(self, outputs: dict[str, Any], *args: Any) -> dict[str, Any]:
        """Return the outputs unchanged, because the exporter of this project takes over here.

        Upstream would write vertex colours, or bake with packages that are not for commercial use.
        """
        return outputs

    # -- inside ------------------------------------------------------------------------------------------------------

    def _tell(self, stage: Stage, done: float, *hooked: Any) -> None:
        """Call the `on_progress` of the run. hooked: the arguments that torch passes to a forward hook."""
        self.on_progress(stage, done)

    def _enter(self, stage: Stage) -> None:
        self.on_progress(stage, 0.0)
        self.residency.enter(stage)

    def _with_steps_restored(self, name: str, method: Any, *args: Any, **kwargs: Any) -> Any:
        # Upstream restores the count only after a success. After an aborted run, the next run would use its steps.
        generator = self.models[name]
        steps = generator.inference_steps
        try:
            return method(*args, **kwargs)
        finally:
            generator.inference_steps = steps

    def _decode_mesh(self, slat: Any) -> Any:
        decoder = self.models["slat_decoder_mesh"]
        meshes = self._run_decoder(decoder, slat)
        if not _usable(meshes) and decoder.dtype != torch.float32:
            # float16 can overflow in the decoder (upstream issue 166).
            log.warning("the mesh is empty or not finite in %s; it is decoded again in float32", decoder.dtype)
            del meshes
            meshes = self._decode_in_float32(decoder, slat)
        if not _usable(meshes):
            raise BadResult("The network's surface is empty or not finite. Another seed may succeed.")
        return meshes

    def _decode_in_float32(self, decoder: Any, slat: Any) -> Any:
        before = decoder.dtype
        decoder.convert_to_fp32()
        decoder.dtype = torch.float32
        try:
            with attention.packed():
                return self._run_decoder(decoder, slat)
        finally:
            decoder.convert_to_fp16()
            decoder.dtype = before
            self.residency.refresh("slat_decoder_mesh")

    def _run_decoder(self, decoder: Any, slat: Any) -> Any:
        rows = self.residency.profile.decode_rows
        with ExitStack() as stack:
            if rows is not None:
                stack.enter_context(mesh_extraction.in_chunks(decoder, rows))
            if self._upsampling is not None and decoder.dtype == self._upsampling.dtype:
                stack.enter_context(self._upsampling.applied())
            return decoder(slat)


def _camera_of(found: Mapping[str, Any], points: Any) -> Camera | None:
    """Return the camera of the depth model's points (H, W, 3): its own, or one that is fitted to the points; else None.

    Upstream up to commit cf06676 drops the depth model's camera, and later versions keep it as shares of the sides.
    """
    intrinsics = found.get("intrinsics")
    if intrinsics is None:
        return fit_camera(points.float().cpu().numpy())
    height, width = points.shape[:2]
    (fx, _, cx), (_, fy, cy), _ = intrinsics.float().reshape(3, 3).tolist()
    if min(fx, fy) <= 0:
        return None
    return Camera(fx * width, fy * height, cx * width, cy * height, width, height, "depth model")


def _refuse_nothing(module: Any, inputs: Any, occupancy: Any) -> None:
    """Raise NoObject for a grid without occupied voxels. A forward hook.

    Upstream fails on an empty grid with messages that do not mention it (`min(): … numel() == 0`).
    """
    if not bool((occupancy > 0).any()):
        raise NoObject("The network sees no object in the masked part of the photo. Another seed or mask may succeed.")


def _usable(meshes: Any) -> bool:
    return all(
        mesh.success and bool(mesh.vertices.isfinite().all()) and bool(mesh.vertex_attrs.isfinite().all())
        for mesh in meshes
    )
