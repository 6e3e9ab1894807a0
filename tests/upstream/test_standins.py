"""The stand-ins compute what the packages compute whose places they take."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytestmark = pytest.mark.usefixtures("upstream")


def random_rotations(count):
    return Rotation.random(count, random_state=0)


def test_quaternions_become_the_matrices_that_scipy_makes():
    import torch

    from sam3d_bento.engines.sam3d.standins.pytorch3d import quaternion_to_matrix

    rotations = random_rotations(50)
    wxyz = torch.from_numpy(rotations.as_quat(scalar_first=True))
    assert np.allclose(quaternion_to_matrix(3 * wxyz), rotations.as_matrix(), atol=1e-12)


def test_matrices_become_quaternions_also_at_half_turns():
    import torch

    from sam3d_bento.engines.sam3d.standins.pytorch3d import matrix_to_quaternion

    half_turns = Rotation.from_rotvec(np.pi * np.concatenate((np.eye(3), np.full((1, 3), 3**-0.5))))
    rotations = Rotation.concatenate((random_rotations(50), half_turns, Rotation.identity()))
    found = matrix_to_quaternion(torch.from_numpy(rotations.as_matrix())).numpy()
    assert (found[:, 0] >= 0).all()
    same = Rotation.from_quat(found, scalar_first=True)
    assert (same * rotations.inv()).magnitude().max() < 1e-6


def test_a_chain_of_transforms_is_applied_from_left_to_right():
    import torch

    from sam3d_bento.engines.sam3d.standins.pytorch3d import Transform3d

    points = torch.randn(20, 3, dtype=torch.float64)
    matrix = torch.from_numpy(random_rotations(1).as_matrix())
    chain = Transform3d(dtype=torch.float64).scale(2.0).rotate(matrix).translate(torch.tensor([[1.0, 2.0, 3.0]]))
    expected = (2 * points) @ matrix[0] + torch.tensor([1.0, 2.0, 3.0])
    assert torch.allclose(chain.transform_points(points), expected)
    assert torch.allclose(chain.compose(chain.inverse()).transform_points(points), points)
    per_axis = Transform3d(dtype=torch.float64).scale(torch.tensor([[1.0, 2.0, 3.0]]))
    assert torch.allclose(per_axis.transform_points(points), points * torch.tensor([1.0, 2.0, 3.0]))


def test_a_camera_that_looks_along_z_keeps_points_before_it():
    import torch

    from sam3d_bento.engines.sam3d.standins.pytorch3d import look_at_view_transform

    eye, at, up = np.array([[0, 0, -1]]), np.array([[0, 0, 0]]), np.array([[0, -1, 0]])
    rotation, translation = look_at_view_transform(eye, at, up)
    before = torch.tensor([[0.0, 0.0, 4.0]]) @ rotation[0] + translation[0]
    assert torch.allclose(before, torch.tensor([[0.0, 0.0, 5.0]]))
    right_and_down = torch.tensor([[1.0, 1.0, 4.0]]) @ rotation[0] + translation[0]  # OpenCV's x and y
    assert torch.allclose(right_and_down, torch.tensor([[-1.0, -1.0, 5.0]]))  # PyTorch3D's: left and up


def test_the_transformer_block_is_pre_norm_attention_and_mlp():
    import torch
    from torch import nn

    from sam3d_bento.engines.sam3d.standins.timm import Block

    torch.manual_seed(0)
    block = Block(32, num_heads=4, mlp_ratio=2.0, qkv_bias=True)
    names = {"norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2"}
    assert {name.rpartition(".")[0] for name, _ in block.named_parameters()} == names
    reference = nn.MultiheadAttention(32, 4, batch_first=True)
    reference.in_proj_weight.data, reference.in_proj_bias.data = block.attn.qkv.weight, block.attn.qkv.bias
    reference.out_proj.weight.data, reference.out_proj.bias.data = block.attn.proj.weight, block.attn.proj.bias
    x = torch.randn(2, 7, 32)
    normed = block.norm1(x)
    expected = x + reference(normed, normed, normed)[0]
    expected = expected + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.norm2(expected))))
    assert torch.allclose(block(x), expected, atol=1e-6)


def test_a_point_map_gives_back_its_cameras_focal_length():
    import torch

    from sam3d_bento.engines.sam3d.standins.moge import recover_focal_shift

    height, width, focal = 30, 40, 1.7  # relative to half of the diagonal, 25 pixels
    column, row = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    depth = np.random.default_rng(0).uniform(2, 4, (height, width))
    points = np.stack((column / 25 / focal * depth, row / 25 / focal * depth, depth), -1)
    points[:5] = np.inf
    shift, found = recover_focal_shift(torch.from_numpy(points)[None])
    assert found.item() == pytest.approx(focal)
    assert shift.item() == 0


def test_intrinsics_are_the_opencv_camera_matrix():
    import torch

    from sam3d_bento.engines.sam3d.standins.utils3d import intrinsics_from_focal_center

    matrix = intrinsics_from_focal_center(torch.tensor([2.0]), torch.tensor([3.0]), 0.5, 0.25)
    assert matrix.tolist() == [[[2.0, 0.0, 0.5], [0.0, 3.0, 0.25], [0.0, 0.0, 1.0]]]


def test_check_tensor_knows_shapes_dtypes_and_devices():
    import torch

    from sam3d_bento.engines.sam3d.standins.kaolin import check_tensor

    tensor = torch.zeros(4, 3)
    assert check_tensor(tensor, (None, 3), torch.float32, "cpu")
    for wrong in ({"shape": (None, 4)}, {"shape": (3,)}, {"dtype": torch.int64}, {"device": "cuda:0"}):
        assert not check_tensor(tensor, throw=False, **wrong)
        with pytest.raises(ValueError, match="not as expected"):
            check_tensor(tensor, **wrong)


def sparse(occupied, channels, dtype=None):
    """Random features at the True places of a (D, H, W) or (B, D, H, W) grid, and the dense tensor of them."""
    import torch

    from sam3d_bento.engines.sam3d.standins.spconv import SparseConvTensor

    occupied = occupied if occupied.dim() == 4 else occupied[None]
    places = occupied.nonzero().int()
    features = torch.randn(len(places), channels, dtype=dtype or torch.float32)
    dense = torch.zeros(len(occupied), channels, *occupied.shape[1:], dtype=features.dtype)
    dense[places[:, 0].long(), :, *places[:, 1:].long().T] = features
    return SparseConvTensor(features, places, occupied.shape[1:], len(occupied)), dense


def occupied_like(kind):
    import torch

    torch.manual_seed(1)
    if kind == "scattered":
        return torch.rand(9, 8, 7) < 0.3
    if kind == "solid":
        return torch.ones(5, 6, 4, dtype=torch.bool)
    if kind == "two batches":
        return torch.rand(2, 6, 6, 6) < 0.4
    assert kind == "single"
    return torch.eye(1, 125).reshape(5, 5, 5) > 0


@pytest.mark.parametrize("kind", ["scattered", "solid", "two batches", "single"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_sparse_convolution_equals_the_dense_one_where_there_are_voxels(kind, dilation):
    import torch

    from sam3d_bento.engines.sam3d.standins.spconv import SubMConv3d

    x, dense = sparse(occupied_like(kind), 5)
    layer = SubMConv3d(5, 8, 3, dilation=dilation)
    with torch.no_grad():
        found = layer(x).features
        weight = layer.weight.permute(0, 4, 1, 2, 3)  # spconv's layout has the input channels last
        full = torch.nn.functional.conv3d(dense, weight, layer.bias, padding=dilation, dilation=dilation)
    batch, *place = x.indices.long().T
    assert (found - full[batch, :, *place]).abs().max() < 1e-5


def test_a_convolution_in_several_blocks_is_the_same(monkeypatch):
    import torch

    from sam3d_bento.engines.sam3d.standins import spconv

    x, _ = sparse(occupied_like("scattered"), 4)
    layer = spconv.SubMConv3d(4, 6, 3)
    with torch.no_grad():
        whole = layer(x).features
        monkeypatch.setattr(spconv, "BLOCK_VALUES", 7 * 27 * 4)
        assert (layer(x).features - whole).abs().max() < 1e-6


def test_a_1x1x1_kernel_is_read_as_spconv_reads_it():
    import torch

    from sam3d_bento.engines.sam3d.standins.spconv import SubMConv3d

    x, _ = sparse(occupied_like("scattered"), 3)
    layer = SubMConv3d(3, 5, 1)
    with torch.no_grad():
        expected = x.features @ layer.weight.view(3, 5) + layer.bias  # stored (out, 1, 1, 1, in)
        assert torch.equal(layer(x).features, expected)


def test_layers_with_one_key_share_their_neighbours_and_an_empty_tensor_passes():
    import torch

    from sam3d_bento.engines.sam3d.standins.spconv import SparseConvTensor, SubMConv3d

    x, _ = sparse(occupied_like("scattered"), 4)
    first, second = (SubMConv3d(4, 4, 3, indice_key="res_1") for _ in range(2))
    with torch.no_grad():
        second(first(x))
        assert len(x.indice_dict) == 1
        nothing = SparseConvTensor(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.int32), (4, 4, 4), 1)
        assert first(nothing).features.shape == (0, 4)


def test_a_placeholder_refuses_to_be_called():
    from pytorch3d.structures import Meshes

    with pytest.raises(NotImplementedError, match="another path"):
        Meshes(verts=[], faces=[])


CHECK = """
import sys
from sam3d_bento.engines.sam3d import upstream
upstream.prepare("cpu")
import xatlas
from sam3d_bento.engines.sam3d import staged, inference, engine, result
bad = {"gradio", "nvdiffrast", "diff_gaussian_rasterization", "open3d", "pyvista", "kaolin", "matplotlib", "cv2"}
real = [n for n, m in sys.modules.items() if n.partition(".")[0] in bad and getattr(m.__spec__, "loader", None)]
assert not real, real
assert hasattr(xatlas, "Atlas"), "the exporter's xatlas is the real one"
assert "open3d" not in sys.modules, "placeholders are gone after the import"
"""


def test_upstream_is_imported_without_the_packages_that_it_never_runs():
    subprocess.run([sys.executable, "-c", CHECK], check=True)
