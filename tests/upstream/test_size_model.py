"""MoGe-2's real code with random weights: its export is read as it computes, and its solver agrees with ours."""

import numpy as np
import pytest

from sam3d_bento.photo.size import model as size_model
from sam3d_bento.photo.size.shift import solve
from tests.photo.size.test_shift import HEIGHT, WIDTH, depth_map, points_of
from tests.support.onnx_files import install_size_model

pytestmark = [
    pytest.mark.usefixtures("upstream"),
    pytest.mark.filterwarnings("ignore:Converting a tensor", "ignore:Constant folding"),
]

SIDES = [32, 16, 8, 8, 8]  # channels of the five levels


@pytest.fixture(scope="module")
def network(upstream):
    """MoGe-2 with two blocks of the small backbone."""
    import torch
    from moge.model.v2 import MoGeModel

    def stack(first, out):
        return {
            "dim_in": first,
            "dim_res_blocks": SIDES,
            "dim_out": out,
            "resamplers": ["bilinear"] * 4,
            "num_res_blocks": 0,
        }

    torch.manual_seed(0)
    made = MoGeModel(
        encoder={"backbone": "dinov2_vits14", "intermediate_layers": 1, "dim_out": 32},
        neck=stack([34, 2, 2, 2, 2], SIDES),
        points_head=stack(SIDES, [None] * 4 + [3]),
        normal_head=stack(SIDES, [None] * 4 + [3]),
        mask_head=stack(SIDES, [None] * 4 + [1]),
        scale_head={"dims": [384, 16, 1]},
        remap_output="exp",
    ).eval()
    backbone = made.encoder.backbone
    backbone.blocks, backbone.n_blocks = torch.nn.ModuleList(list(backbone.blocks)[:2]), 2
    made.onnx_compatible_mode = True
    return made


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """Its export, as MoGe's docs/onnx.md has it, without the package onnx, which adds functions that are absent."""
    import torch
    from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

    path = tmp_path_factory.mktemp("moge") / "model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_proto_utils, "_add_onnxscript_fn", lambda model, *_: model)
        torch.onnx.export(
            network,
            (torch.rand(1, 3, 112, 140), torch.tensor(80)),
            str(path),
            input_names=["image", "num_tokens"],
            output_names=["points", "normal", "mask", "metric_scale"],
            dynamic_axes={"image": {0: "batch_size", 2: "height", 3: "width"}},
            opset_version=14,
            dynamo=False,
        )
    return path.read_bytes()


def test_the_export_gives_the_points_and_the_scale_of_the_real_code(network, exported, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(size_model, "TOKENS", 80)
    monkeypatch.setattr(size_model, "MIN_CERTAINTY", 0.0)
    path = install_size_model(tmp_path, exported, monkeypatch)
    assert size_model.SizeModel(tmp_path).is_available
    picture = np.random.default_rng(0).random((96, 130, 3), np.float32)
    points, scale = size_model._Network(path)(picture)
    with torch.inference_mode():
        real = network(torch.from_numpy(picture).permute(2, 0, 1)[None], torch.tensor(80))
    assert points == pytest.approx(real["points"][0].numpy(), abs=1e-4)
    assert scale == pytest.approx(float(real["metric_scale"]), rel=1e-4)


@pytest.mark.parametrize("given", [None, 150.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_solver_finds_the_focal_length_and_the_shift_of_the_real_one(seed, given):
    import torch
    from moge.utils.geometry_torch import recover_focal_shift

    noise = np.random.default_rng(seed).normal(0, 0.01, (HEIGHT, WIDTH, 3))
    points = (points_of(depth_map(seed), 150, 0.4) + noise).astype(np.float32)
    half_diagonal = float(np.hypot(WIDTH, HEIGHT)) / 2
    known = None if given is None else torch.tensor([given / half_diagonal])
    focal, shift = recover_focal_shift(torch.from_numpy(points)[None], focal=known)
    found, lack = solve(points, given)
    assert found == pytest.approx(float(focal) * half_diagonal, rel=2e-3)
    assert lack == pytest.approx(float(shift), abs=2e-3)
