"""Our engine against stock upstream, number by number, and what is left behind when a run does not end well."""

import importlib

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("upstream")

SEED = 7


@pytest.fixture(scope="module")
def steps():
    from sam3d_bento.engines.sam3d.inference import Steps

    return Steps(3, 3)


@pytest.fixture(scope="module")
def inference(checkpoints):
    return load(checkpoints)


@pytest.fixture(scope="module")
def half_inference(half_checkpoints):
    return load(half_checkpoints)


def load(folder, **options):
    from sam3d_bento.engines.sam3d.inference import Inference
    from tests.support.reference import in_the_corner

    made = Inference(str(folder / "pipeline.yaml"), device="cpu", **options)
    in_the_corner(made.pipeline)
    return made


@pytest.fixture(scope="module")
def stock_output(checkpoints, tmp_path_factory, photo, steps):
    from tests.support.reference import in_the_corner, run_stock, stock

    pipeline = stock(checkpoints, tmp_path_factory.mktemp("stock") / "float32")
    in_the_corner(pipeline)
    return run_stock(pipeline, *photo, SEED, steps)


@pytest.fixture(scope="module")
def own_output(inference, photo, steps):
    return inference(*photo, SEED, steps=steps, splats=True)


def numbers(output):
    """The tensors of a run that its results are made of."""
    mesh = output["mesh"][0]
    tensors = {name: output[name] for name in ("coords", "rotation", "translation", "scale")}
    tensors |= {"vertices": mesh.vertices, "faces": mesh.faces, "attributes": mesh.vertex_attrs}
    if "gaussian" in output:
        gaussian = output["gaussian"][0]
        tensors |= {
            name: getattr(gaussian, f"get_{name}") for name in ("xyz", "features", "opacity", "scaling", "rotation")
        } | {"pose rotation": output["rotation"]}
    return tensors


def assert_same(one, other):
    import torch

    ours, theirs = numbers(one), numbers(other)
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert different == []


def assert_close(one, other, tolerance):
    from tests.support.reference import share_of_strangers

    ours, theirs = numbers(one), numbers(other)
    if ours["vertices"].shape != theirs["vertices"].shape:
        # A distance within rounding of zero may fall on the other side, and the surface gains or loses a vertex there.
        assert share_of_strangers(ours.pop("vertices"), theirs["vertices"], tolerance) < 1e-3
        del ours["faces"], ours["attributes"]
    for name in ours:
        assert ours[name].shape == theirs[name].shape, name
        difference = (ours[name].double() - theirs[name].double()).abs().max().item()
        assert difference <= tolerance, name


@pytest.mark.parametrize("profile", ["24gb", "16gb"])
def test_is_bit_equal_to_stock_upstream(inference, stock_output, photo, steps, profile):
    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES

    with inference.in_profile(PROFILES[profile]):
        assert_same(inference(*photo, SEED, steps=steps, splats=True), stock_output)


def test_the_tight_profile_differs_by_rounding_only(inference, stock_output, photo, steps):
    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES

    with inference.in_profile(PROFILES["12gb"]):
        assert_close(inference(*photo, SEED, steps=steps, splats=True), stock_output, 1e-4)


@pytest.fixture(scope="module")
def fused_inference(checkpoints):
    """With the fused networks, whose operations are those of torch on a CPU."""
    from sam3d_bento.engines.sam3d.kernels import choice, reference

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(choice, "choose", lambda wanted, device: choice.Choice(reference, reference.NAME))
        return load(checkpoints)


@pytest.mark.parametrize("profile", ["32gb", "24gb", "12gb"])
def test_fused_networks_differ_by_rounding_only(fused_inference, stock_output, photo, steps, profile):
    from sam3d_bento.engines.sam3d.memory.profiles import PROFILES

    assert fused_inference.pipeline.kernels == "torch"
    with fused_inference.in_profile(PROFILES[profile]):
        for _ in range(2):  # the second run uses what the first one kept
            assert_close(fused_inference(*photo, SEED, steps=steps, splats=True), stock_output, 1e-4)


def test_a_network_of_another_form_computes_as_upstream_and_says_so(
    checkpoints, stock_output, photo, steps, monkeypatch
):
    from sam3d_bento.engines.sam3d import staged
    from sam3d_bento.engines.sam3d.fused.transformer import Unsupported
    from sam3d_bento.engines.sam3d.kernels import choice, reference

    def refuse(*given):
        raise Unsupported("positions are rotary")

    monkeypatch.setattr(choice, "choose", lambda wanted, device: choice.Choice(reference, reference.NAME))
    monkeypatch.setattr(staged, "DenseNetwork", refuse)
    inference = load(checkpoints)
    assert inference.pipeline.kernels == "torch in part: positions are rotary"
    assert_same(inference(*photo, SEED, steps=steps, splats=True), stock_output)


def test_half_precision_decoders_are_bit_equal_to_stock_upstream(
    half_checkpoints, half_inference, tmp_path, photo, steps
):
    from tests.support.reference import in_the_corner, run_stock, stock

    pipeline = stock(half_checkpoints, tmp_path / "stock")
    in_the_corner(pipeline)
    assert_same(half_inference(*photo, SEED, steps=steps, splats=True), run_stock(pipeline, *photo, SEED, steps))


def test_packed_attention_differs_from_the_masked_by_rounding_only(inference, stock_output, photo, steps, monkeypatch):
    package = "sam3d_objects.model.backbone.tdfy_dit.modules.sparse.attention"
    masked = importlib.import_module(f"{package}.masked_sdpa").masked_sdpa
    for name in ("full_attn", "windowed_attn"):
        monkeypatch.setattr(importlib.import_module(f"{package}.{name}"), "masked_sdpa", masked)
    assert_close(inference(*photo, SEED, steps=steps, splats=True), stock_output, 1e-4)


def test_weights_cast_beforehand_give_the_bits_of_autocast(checkpoints, photo):
    """Part by part, on the inputs of a real run. Upstream's `autocast("cuda")` does nothing on a CPU; here it is on."""
    import torch
    from torch.utils._pytree import tree_leaves

    from sam3d_bento.engines.sam3d.inference import Steps

    def parts(made):
        pipeline = made.pipeline
        return {
            "ss_condition": pipeline.condition_embedders["ss_condition_embedder"],
            "ss_sample": pipeline.models["ss_generator"].reverse_fn.backbone,
            "slat_condition": pipeline.condition_embedders["slat_condition_embedder"],
        }

    plain, cast = load(checkpoints, cast=False), load(checkpoints, cast=True)
    given = {}
    for stage, module in parts(plain).items():
        module.register_forward_pre_hook(
            lambda module, args, kwargs, stage=stage: given.setdefault(stage, (args, dict(kwargs))), with_kwargs=True
        )
    plain(*photo, SEED, steps=Steps(1, 1))
    for stage, (args, kwargs) in given.items():
        outputs = []
        for made in (plain, cast):
            made.pipeline.residency.enter(stage)
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
                outputs.append(tree_leaves(parts(made)[stage].forward(*args, **dict(kwargs))))
        assert len(outputs[0]) > 0
        assert all(map(torch.equal, *outputs)), stage
    assert given.keys() == parts(plain).keys()

    latent = torch.randn(1, 8, 4, 4, 4)  # a quarter of the real edge: float16 convolutions are slow on a CPU
    image = torch.rand(3, 64, 64)  # MoGe switches autocast on itself
    outputs = []
    for made in (plain, cast):
        made.pipeline.residency.enter("ss_sample")
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
            occupancy = made.pipeline.models["ss_decoder"].forward(latent)
        made.pipeline.residency.enter("depth")
        outputs.append((occupancy, made.pipeline.depth_model(image)["points"]))
    assert all(map(torch.equal, *outputs))
    assert outputs[0][0].dtype == torch.float16


def test_cast_weights_are_half_as_large_and_norms_stay(checkpoints):
    import torch

    kinds = {
        cast: {
            type(module).__name__: module.weight.dtype
            for module in load_unplaced(checkpoints, cast=cast)
            if type(module).__name__ in ("Linear", "LayerNorm", "Conv3d")
        }
        for cast in (False, True)
    }
    assert kinds[False] == dict.fromkeys(("Linear", "LayerNorm", "Conv3d"), torch.float32)
    assert kinds[True] == {"Linear": torch.float16, "LayerNorm": torch.float32, "Conv3d": torch.float16}


def load_unplaced(folder, **options):
    made = load(folder, **options)
    pipeline = made.pipeline
    for part in (pipeline.condition_embedders["ss_condition_embedder"], pipeline.models["ss_decoder"]):
        yield from part.modules()


def test_the_same_seed_gives_the_same_bits_and_another_does_not(inference, own_output, photo, steps):
    import torch

    assert_same(inference(*photo, SEED, steps=steps, splats=True), own_output)
    other = inference(*photo, SEED + 1, steps=steps)
    assert not torch.equal(other["coords"], own_output["coords"])


def test_gaussians_are_decoded_only_when_wanted(inference, photo, steps):
    calls = []
    hook = inference.pipeline.models["slat_decoder_gs"].register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        assert "gaussian" not in inference(*photo, SEED, steps=steps)
        assert calls == []
        assert "gaussian" in inference(*photo, SEED, steps=steps, splats=True)
        assert calls == [1]
    finally:
        hook.remove()


def test_shortcut_steps_are_upstreams_distilled_mode(checkpoints, inference, tmp_path, photo):
    from sam3d_bento.engines.sam3d.inference import Steps
    from tests.support.reference import in_the_corner, run_stock, stock

    pipeline = stock(checkpoints, tmp_path / "stock")
    in_the_corner(pipeline)
    steps = Steps(4, 2, shortcut=True)
    assert_same(inference(*photo, SEED, steps=steps), run_stock(pipeline, *photo, SEED, steps, decode_formats=["mesh"]))


def test_a_point_map_of_the_callers_replaces_the_depth_model(inference, photo, steps):
    import torch

    calls = []
    hook = inference.pipeline.depth_model.model.head.register_forward_pre_hook(lambda *_: calls.append(1))
    image, mask = photo
    row, column = np.mgrid[-48:48, -48:48] / 96.0
    near, far = (np.stack((-column * z, -row * z, np.full_like(row, z)), -1).astype(np.float32) for z in (2.0, 4.0))
    try:
        poses = [inference(image, mask, SEED, points, steps=steps)["translation"] for points in (near, far)]
    finally:
        hook.remove()
    assert calls == []
    assert not torch.equal(*poses)


def slope(infinite_share=0.0, missing=np.inf):
    """A tilted plane 2 to 3 units away, as a point map (96, 96, 3). infinite_share: of its rows that are missing."""
    row, column = np.mgrid[-48:48, -48:48] / 96.0
    z = 2.5 + 0.5 * column + 0.25 * row
    points = np.stack((-column * z, -row * z, z), -1).astype(np.float32)
    points[: round(96 * infinite_share)] = missing
    return points


@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
def test_infinite_points_give_the_bits_of_missing_points(inference, photo, steps, share):
    infinite, missing = (
        inference(*photo, SEED, slope(share, mark), steps=steps, splats=True) for mark in (np.inf, np.nan)
    )
    assert_same(infinite, missing)
    assert infinite["translation"].isfinite().all()


def test_a_point_with_one_infinite_coordinate_is_missing_as_a_whole(inference, photo, steps):
    half = slope(0.25, np.nan)
    half[:24, :, 0] = 1.0
    half[:24, :, 2] = -np.inf
    assert_same(inference(*photo, SEED, half, steps=steps), inference(*photo, SEED, slope(0.25, np.nan), steps=steps))


def test_infinities_of_the_depth_model_give_a_finite_pose(inference, photo, steps):
    """As for the photo of a web shop, whose plain background the depth model refuses."""
    model = inference.pipeline.depth_model
    real = model.__call__.__func__

    class Refusing(type(model)):
        def __call__(self, image):
            output = real(self, image)
            points = output["pointmaps"].clone()
            points[: round(96 * 0.6)] = np.inf
            return output | {"pointmaps": points}

    model.__class__ = Refusing
    try:
        result = inference.generate_single_object(*photo, SEED, steps=steps)
    finally:
        model.__class__ = Refusing.__base__
    assert result.pose is not None


def test_without_depth_inside_the_mask_there_is_no_pose(inference, photo, steps):
    image, mask = photo
    points = slope()
    points[mask] = np.nan
    assert inference.generate_single_object(image, mask, SEED, points, steps=steps).pose is None
    assert inference.generate_single_object(image, mask, SEED, slope(), steps=steps).pose is not None


@pytest.mark.parametrize("factor", [0.25, 2.0, 1024.0])
def test_a_point_map_in_another_unit_by_a_power_of_two_gives_the_same_bits(inference, photo, steps, factor):
    import torch

    one, other = (inference(*photo, SEED, slope() * np.float32(k), steps=steps) for k in (1, factor))
    for name in ("coords", "rotation"):
        assert torch.equal(one[name], other[name]), name
    assert torch.equal(one["mesh"][0].vertices, other["mesh"][0].vertices)
    assert torch.equal(one["scale"] * factor, other["scale"])
    assert torch.equal(one["translation"] * factor, other["translation"])


@pytest.mark.parametrize("factor", [0.3, 1000.0])
def test_a_point_map_in_any_other_unit_gives_the_same_object_up_to_rounding(inference, photo, steps, factor):
    import torch

    one, other = (inference(*photo, SEED, slope() * np.float32(k), steps=steps) for k in (1, factor))
    assert torch.equal(one["coords"], other["coords"])
    assert torch.allclose(one["mesh"][0].vertices, other["mesh"][0].vertices, rtol=0, atol=1e-5)
    assert torch.allclose(one["scale"] * factor, other["scale"], rtol=1e-5)
    assert torch.allclose(one["translation"] * factor, other["translation"], rtol=1e-4)


def test_the_depth_models_own_point_map_handed_in_gives_the_same_bits(inference, own_output, photo, steps):
    from sam3d_bento.engines.sam3d.inference import merge_mask_to_rgba
    from sam3d_bento.engines.sam3d.upstream import computing_on

    with computing_on(inference.device):
        found = inference.pipeline.compute_pointmap(merge_mask_to_rgba(*photo))["pointmap"]
    points = found.permute(1, 2, 0).contiguous().cpu().numpy()
    assert_same(inference(*photo, SEED, points, steps=steps, splats=True), own_output)


def test_the_camera_is_the_depth_models_or_fitted_to_the_callers_points(inference, photo, steps):
    import torch

    model = inference.pipeline.depth_model
    real = model.__call__.__func__

    class Looking(type(model)):  # random weights see no camera
        def __call__(self, image):
            return real(self, image) | {"intrinsics": torch.tensor([[1.5, 0, 0.5], [0, 1.25, 0.5], [0, 0, 1]])}

    model.__class__ = Looking
    try:
        own = inference.generate_single_object(*photo, SEED, steps=steps).camera
    finally:
        model.__class__ = Looking.__base__
    assert (own.fx, own.fy, own.cx, own.cy, own.source) == (144, 120, 48, 48, "depth model")
    fitted = inference.generate_single_object(*photo, SEED, slope(), steps=steps).camera
    # The points of `slope` lie at the corners of pixels, half a pixel beside the centres.
    assert fitted.fx == pytest.approx(96, rel=0.01)
    assert fitted.source == "fitted"


def test_progress_grows_with_every_step_of_both_generators(inference, photo):
    from sam3d_bento.engines.sam3d.inference import Steps

    told = []
    inference(*photo, SEED, steps=Steps(5, 6), splats=True, on_progress=told.append)
    assert told == sorted(told)
    assert len(set(told)) >= 5 + 6 + 7  # and more for the stages and the decoders' layers
    assert told[0] == 0.0
    assert set(inference.seconds) == {
        "depth",
        "ss_condition",
        "ss_sample",
        "slat_condition",
        "slat_sample",
        "mesh",
        "gaussians",
    }


class Stop(Exception):
    pass


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4, 0.7, 0.97])
def test_a_run_that_is_stopped_leaves_the_engine_as_it_was(inference, own_output, photo, steps, share):
    from sam3d_bento.engines.sam3d.inference import Steps

    counts = {name: inference.pipeline.models[name].inference_steps for name in ("ss_generator", "slat_generator")}

    def on_progress(fraction):
        if fraction >= share:
            raise Stop

    with pytest.raises(Stop):
        inference(*photo, 99, steps=Steps(11, 13), splats=True, on_progress=on_progress)
    assert counts == {name: inference.pipeline.models[name].inference_steps for name in counts}
    assert_same(inference(*photo, SEED, steps=steps, splats=True), own_output)


def test_no_voxel_at_all_is_no_object_and_the_next_run_is_right(inference, own_output, photo, steps):
    import torch

    from sam3d_bento.errors import NoObject

    decoder = inference.pipeline.models["ss_decoder"]
    hook = decoder.out_layer.register_forward_hook(lambda module, inputs, out: torch.full_like(out, -1.0))
    corner, decoder._forward_hooks = decoder._forward_hooks, type(decoder._forward_hooks)(decoder._forward_hooks)
    decoder._forward_hooks.popitem()  # the corner hook of these tests would switch voxels on again
    try:
        with pytest.raises(NoObject, match="no object"):
            inference(*photo, SEED, steps=steps)
    finally:
        hook.remove()
        decoder._forward_hooks = corner
    assert_same(inference(*photo, SEED, steps=steps, splats=True), own_output)


def test_a_mesh_without_surface_is_a_bad_result(inference, own_output, photo, steps):
    from sam3d_bento.errors import BadResult

    layer = inference.pipeline.models["slat_decoder_mesh"].out_layer
    hook = layer.register_forward_hook(
        lambda module, inputs, out: out.replace(out.feats.abs() + 1)
    )  # outside everywhere
    try:
        with pytest.raises(BadResult, match="empty or not finite"):
            inference(*photo, SEED, steps=steps)
    finally:
        hook.remove()
    assert_same(inference(*photo, SEED, steps=steps, splats=True), own_output)


def test_a_mesh_that_overflows_in_float16_is_decoded_again_in_float32(half_inference, photo, steps):
    import torch

    before = half_inference(*photo, SEED, steps=steps)
    decoder = half_inference.pipeline.models["slat_decoder_mesh"]
    used = []

    def overflow(module, inputs, out):
        used.append(out.feats.dtype)
        return out.replace(out.feats * float("nan")) if out.feats.dtype == torch.float16 else out

    hook = decoder.upsample[-1].register_forward_hook(overflow)
    try:
        mesh = half_inference(*photo, SEED, steps=steps)["mesh"][0]
    finally:
        hook.remove()
    assert used == [torch.float16, torch.float32]
    assert mesh.success
    assert mesh.vertices.isfinite().all()
    assert decoder.dtype == torch.float16
    assert_same(half_inference(*photo, SEED, steps=steps), before)


def test_a_mesh_that_is_not_finite_in_float32_either_is_a_bad_result(inference, photo, steps):
    from sam3d_bento.errors import BadResult

    layer = inference.pipeline.models["slat_decoder_mesh"].out_layer
    calls = []

    def spoil(module, inputs, out):
        calls.append(1)
        return out.replace(out.feats.index_fill(1, out.coords.new_tensor([8, 9, 10]).long(), float("nan")))

    hook = layer.register_forward_hook(spoil)
    try:
        with pytest.raises(BadResult):
            inference(*photo, SEED, steps=steps)
    finally:
        hook.remove()
    assert calls == [1]  # these decoders compute in float32 already: again would be the same


def test_the_mask_becomes_alpha_of_0_and_255_over_the_untouched_photo(photo):
    from sam3d_bento.engines.sam3d.inference import merge_mask_to_rgba

    image, mask = photo
    rgba = merge_mask_to_rgba(image, mask)
    assert rgba.dtype == np.uint8
    assert np.array_equal(rgba[:, :, :3], image)
    assert np.array_equal(np.unique(rgba[:, :, 3]), [0, 255])
    assert np.array_equal(rgba[:, :, 3] > 0, mask)


@pytest.mark.parametrize("rows", [slice(0, 0), slice(5, 6)])
def test_a_mask_too_small_for_upstreams_crop_is_no_object(inference, photo, rows):
    from sam3d_bento.errors import NoObject

    mask = np.zeros_like(photo[1])
    mask[rows, 10:20] = True
    with pytest.raises(NoObject, match="two by two"):
        inference(photo[0], mask)


def test_compilation_is_refused(checkpoints):
    from sam3d_bento.engines.sam3d.inference import Inference

    with pytest.raises(ValueError, match="compile"):
        Inference(str(checkpoints / "pipeline.yaml"), compile=True, device="cpu")
