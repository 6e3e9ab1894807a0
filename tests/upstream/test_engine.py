"""What the engine owes the service: the ladder after out-of-memory, the lost GPU, an engine that stays whole."""

import numpy as np
import pytest

from sam3d_bento.camera import Camera
from sam3d_bento.errors import Cancelled, EngineLost, GpuOutOfMemory, NoObject, NotReady
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import Mask, Photo, View

pytestmark = pytest.mark.usefixtures("upstream")

OPTIONS = Options(quality="draft")
# Where a run may run out: a module that computes in each stage.
STAGES = {
    "depth": "depth_model",
    "ss_condition": "ss_condition_embedder",
    "ss_sample": "ss_generator",
    "ss_decode": "ss_decoder",
    "slat_condition": "slat_condition_embedder",
    "slat_sample": "slat_generator",
    "mesh": "slat_decoder_mesh",
    "gaussians": "slat_decoder_gs",
}
# The forms of notes on upstream's issues: torch's own, spconv's, cuBLAS's.
OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 3.15 GiB.",
    "/io/build/temp/tensorview/tensor.h(223) cuda failed with error 2 out of memory. use CUDA_LAUNCH_BLOCKING=1",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
)


@pytest.fixture(scope="module")
def shot(photo):
    image, mask = photo
    return (
        Photo(rgb=image, alpha=None, original_size=(96, 96)),
        Mask(pixels=mask, source="upload", coverage=float(mask.mean())),
    )


@pytest.fixture(scope="module")
def expected(engine, shot):
    return run(engine, shot)


def run(engine, shot, seed=3, on_progress=lambda fraction: None, options=OPTIONS):
    return engine.reconstruct(*shot, options, seed, on_progress, splats=True)


def test_the_callers_points_give_the_size_in_metres_and_the_depth_model_does_not_run(engine, shot):
    row, column = (np.mgrid[-48:48, -48:48] + 0.5) / 96
    slope = np.stack((-column, -row, np.ones_like(row)), -1) * (2 + column)[..., None]
    calls = []
    hook = engine._inference.pipeline.depth_model.model.head.register_forward_pre_hook(lambda *_: calls.append(1))
    camera = Camera(96.0, 96.0, 48.0, 48.0, 96, 96, "given")
    try:
        near, far = (
            engine.reconstruct(*shot, OPTIONS, 3, lambda _: None, view=View(camera, (slope * k).astype(np.float32)))
            for k in (1, 4)
        )
    finally:
        hook.remove()
    assert calls == []
    assert near.camera == camera
    assert near.measured.source == "depth"
    assert near.measured.metres_per_unit == pytest.approx(near.pose.scale.mean())
    assert far.measured.metres_per_unit == 4 * near.measured.metres_per_unit
    assert np.array_equal(near.vertices, far.vertices)


def assert_equal(one, other):
    assert np.array_equal(one.vertices, other.vertices)
    assert np.array_equal(one.faces, other.faces)
    assert np.array_equal(one.colours, other.colours)
    assert np.array_equal(one.splats.positions, other.splats.positions)
    assert np.array_equal(one.pose.rotation, other.pose.rotation)


def part(engine, name):
    pipeline = engine._inference.pipeline
    if name == "depth_model":
        return pipeline.depth_model.model.head  # the backbone is never called as a module
    return pipeline.condition_embedders[name] if name.endswith("embedder") else pipeline.models[name]


@pytest.fixture
def fail(engine):
    """Let a part raise at its first calls; gives the profiles in which it was called."""
    hooks = []

    def prepare(name, error, times):
        profiles = []

        def raise_first(module, inputs):
            profiles.append(engine._inference.profile.name)
            if len(profiles) <= times:
                raise error

        hooks.append(part(engine, name).register_forward_pre_hook(raise_first))
        return profiles

    yield prepare
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("stage", STAGES)
def test_out_of_memory_is_tried_once_again_in_the_next_profile(engine, shot, expected, fail, stage):
    import torch

    from tests.support.reference import share_of_strangers

    profiles = fail(STAGES[stage], torch.OutOfMemoryError(OUT_OF_MEMORY[0]), times=1)
    result = run(engine, shot)
    assert profiles[0] == "24gb"
    assert engine.retries == 1
    if stage == "mesh":  # as large in 16gb; in 12gb its norms add up in another order
        assert set(profiles[1:]) == {"12gb"}
        assert share_of_strangers(result.vertices, expected.vertices, 1e-4) < 1e-3
    else:
        assert set(profiles[1:]) == {"16gb"}
        assert_equal(result, expected)
    assert engine._inference.profile.name == "24gb"  # the next run has all its room again


@pytest.mark.parametrize("message", OUT_OF_MEMORY)
def test_a_second_out_of_memory_is_the_callers_to_know_and_the_next_run_is_right(engine, shot, expected, fail, message):
    profiles = fail("slat_generator", RuntimeError(message), times=2)
    with pytest.raises(GpuOutOfMemory) as caught:
        run(engine, shot)
    assert caught.value.retryable
    assert profiles == ["24gb", "16gb"]
    assert_equal(run(engine, shot), expected)
    assert engine.retries == 0, "it counts the last run's"


def test_the_leanest_profile_has_no_second_attempt(engine, shot, fail):
    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES

    profiles = fail("slat_decoder_mesh", RuntimeError(OUT_OF_MEMORY[0]), times=9)
    with engine._inference.in_profile(PROFILES["12gb"]), pytest.raises(GpuOutOfMemory):
        run(engine, shot)
    assert profiles == ["12gb"]


def test_after_every_run_the_weights_of_the_next_ones_first_stage_are_in_place(engine, shot, fail):
    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES

    ready = PROFILES["24gb"].residents("depth")
    run(engine, shot)
    assert engine._inference.pipeline.residency.resident == ready
    fail("ss_generator", Cancelled("The job was cancelled."), times=1)
    with pytest.raises(Cancelled):
        run(engine, shot)
    assert engine._inference.pipeline.residency.resident == ready


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: device-side assert triggered",
        "cuda failed with error 700 an illegal memory access was encountered",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
    ],
)
def test_a_gpu_that_failed_for_good_is_a_lost_engine(engine, shot, fail, message):
    profiles = fail("ss_decoder", RuntimeError(message), times=9)
    with pytest.raises(EngineLost) as caught:
        run(engine, shot)
    assert len(profiles) == 1
    assert "700" not in caught.value.detail  # a sentence, not the driver's words


def test_a_fault_of_ours_is_not_taken_for_the_gpus(engine, shot, expected, fail):
    fail("ss_decoder", RuntimeError("shape '[1, 8]' is invalid for input of size 9"), times=9)
    with pytest.raises(RuntimeError, match="shape"):
        run(engine, shot)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.45, 0.8])
def test_a_cancelled_run_frees_what_it_held_and_the_next_is_bit_equal(engine, shot, expected, share):
    def on_progress(fraction):
        if fraction >= share:
            raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled) as caught:
        run(engine, shot, seed=99, on_progress=on_progress)
    traceback = caught.value.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
        assert "slat" not in traceback.tb_frame.f_locals  # frames that are kept hold no tensors
    assert_equal(run(engine, shot), expected)


def test_an_error_for_the_caller_passes_as_it_is(engine, shot):
    photo, mask = shot
    nothing = Mask(pixels=np.zeros_like(mask.pixels), source="upload", coverage=0.0)
    with pytest.raises(NoObject):
        run(engine, (photo, nothing))


def test_quality_means_steps(engine, shot):
    told = []
    result = run(engine, shot, on_progress=told.append, options=Options(quality="standard"))
    assert (result.details["steps"], result.details["shortcut"]) == ([25, 25], False)
    assert len(set(told)) > 50


def test_it_says_what_it_is_made_of(engine):
    assert engine.version.startswith("sam3d-objects/sam3d")
    assert engine.device == "cpu"
    assert engine.facts["memory_profile"] == "24gb"
    assert engine.facts["attention"] == "packed"
    assert engine.facts["kernels"] == "off: there is no GPU"
    assert {"kaolin", "pytorch3d", "spconv"} <= set(engine.facts["standins"])
    assert engine.gpu_peak_bytes is None


def test_before_the_load_nothing_can_be_asked(tmp_path, shot):
    from sam3d_bento.engines.sam3d.engine import Sam3dEngine

    with pytest.raises(NotReady, match="not loaded"):
        run(Sam3dEngine(tmp_path), shot)


def test_without_a_gpu_it_does_not_load(checkpoints):
    from sam3d_bento.engines.sam3d.engine import Sam3dEngine, available
    from sam3d_bento.engines.sam3d.inference import Inference

    assert "no CUDA GPU" in available(checkpoints)
    with pytest.raises(NotReady, match="no CUDA GPU"):
        Sam3dEngine(checkpoints).load()
    with pytest.raises(NotReady, match="no CUDA GPU"):
        Inference(str(checkpoints / "pipeline.yaml"))


def test_a_trial_run_that_fails_is_a_load_that_failed(checkpoints, monkeypatch):
    from sam3d_bento.engines.sam3d import engine

    def spoiled(self, *args, **kwargs):
        raise NoObject("The network sees no object.")

    monkeypatch.setattr(engine.Inference, "generate_single_object", spoiled)
    with pytest.raises(NotReady, match=r"trial run.*sees no object"):
        engine.Sam3dEngine(checkpoints, device="cpu").load()


def test_an_estimated_size_scales_the_pose_and_leaves_the_shape(engine, shot, expected, monkeypatch):
    from sam3d_bento.engines.sam3d import staged

    # Points of random weights fit to no camera.
    camera = Camera(96.0, 96.0, 48.0, 48.0, 96, 96, "depth model")
    monkeypatch.setattr(staged, "_camera_of", lambda found, points: camera)
    plain = expected
    spans = np.full((96, 96), 0.002, np.float32)
    spans[:40] = np.nan
    sized = engine.reconstruct(*shot, OPTIONS, 3, lambda _: None, view=View(pixel_metres=spans))
    distances = engine.look(shot[0], View()).points[40:, :, 2]
    assert np.array_equal(sized.vertices, plain.vertices)
    assert np.array_equal(sized.pose.rotation, plain.pose.rotation)
    factor = sized.pose.scale / plain.pose.scale
    assert sized.pose.translation == pytest.approx(plain.pose.translation * factor, rel=1e-5)
    near = distances[np.isfinite(distances) & (distances > 0)]
    assert factor == pytest.approx(0.002 * 96 / np.median(near), rel=1e-3), "one number for the whole photo"
    assert (sized.measured.source, sized.measured.relative_error) == ("estimated", None)
    assert sized.measured.metres_per_unit == pytest.approx(float(sized.pose.scale.mean()))
    blind = engine.reconstruct(*shot, OPTIONS, 3, lambda _: None, view=View(pixel_metres=np.full_like(spans, np.nan)))
    assert blind.measured is None


@pytest.mark.parametrize(("before", "after"), [(16, 4), (2, 2)])
def test_torch_leaves_processors_to_the_export(before, after):
    import torch

    from sam3d_bento.engines.sam3d.engine import leave_processors_free

    own = torch.get_num_threads()
    try:
        torch.set_num_threads(before)
        leave_processors_free()
        assert torch.get_num_threads() == after
    finally:
        torch.set_num_threads(own)
