"""The turn from z-up to y-up: once, for vertices, splats and pose alike, so that all still fit together."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytestmark = pytest.mark.usefixtures("upstream")


@pytest.fixture
def output():
    """What `run` returns, with two splats, one of them elongated along its own first axis."""
    import torch

    torch.manual_seed(0)
    vertices = torch.rand(5, 3) - 0.5
    mesh = SimpleNamespace(
        vertices=vertices,
        faces=torch.tensor([[0, 1, 2], [2, 3, 4]]),
        vertex_attrs=torch.tensor([[0.0, 0.5, 1.0, 9, 9, 9]] * 5),
    )
    gaussian = SimpleNamespace(
        get_xyz=torch.rand(2, 3) - 0.5,
        get_features=torch.tensor([[[0.0, 1.0, -9.0]]] * 2),
        get_opacity=torch.tensor([[0.25], [1.0]]),
        get_scaling=torch.tensor([[0.3, 0.1, 0.1]] * 2),
        get_rotation=torch.nn.functional.normalize(torch.randn(2, 4), dim=1),
    )
    return {
        "mesh": [mesh],
        "gaussian": [gaussian],
        "rotation": torch.nn.functional.normalize(torch.randn(1, 4), dim=1),
        "translation": torch.tensor([[1.0, 2.0, 3.0]]),
        "scale": torch.tensor([[0.5, 0.6, 0.7]]),
    }


def convert(output):
    from sam3d_bento.engines.sam3d.result import to_reconstruction

    return to_reconstruction(output, {})


def test_up_is_y_and_the_numbers_are_kept(output):
    z_up = output["mesh"][0].vertices.numpy()
    result = convert(output)
    assert np.array_equal(result.vertices[:, 1], z_up[:, 2])
    assert np.array_equal(result.vertices, np.stack((z_up[:, 0], z_up[:, 2], -z_up[:, 1]), 1))
    assert result.vertices.dtype == np.float32
    assert result.faces.dtype == np.int32
    volume = np.linalg.det(z_up[:3].astype(float))
    assert np.linalg.det(result.vertices[:3].astype(float)) == pytest.approx(volume)  # not mirrored


def test_the_pose_puts_our_vertices_where_upstreams_puts_its_own(output):
    from pytorch3d.transforms import quaternion_to_matrix
    from sam3d_objects.data.dataset.tdfy.transforms_3d import compose_transform

    transform = compose_transform(
        scale=output["scale"], rotation=quaternion_to_matrix(output["rotation"]), translation=output["translation"]
    )
    theirs = transform.transform_points(output["mesh"][0].vertices)
    result = convert(output)
    pose = result.pose
    rotation = Rotation.from_quat(pose.rotation, scalar_first=True)
    ours = rotation.apply(result.vertices * pose.scale) + pose.translation
    assert np.allclose(ours, theirs, atol=1e-6)
    assert pose.frame == "pytorch3d"


def test_splats_turn_with_the_vertices(output):
    from pytorch3d.transforms import quaternion_to_matrix

    gaussian = output["gaussian"][0]
    axes = quaternion_to_matrix(gaussian.get_rotation).numpy()  # columns: each splat's axes, z-up
    turn = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    splats = convert(output).splats
    assert np.allclose(splats.positions, gaussian.get_xyz.numpy() @ turn.T)
    assert np.allclose(Rotation.from_quat(splats.rotation, scalar_first=True).as_matrix(), turn @ axes, atol=1e-6)
    assert np.array_equal(splats.scale, gaussian.get_scaling.numpy())
    assert splats.opacity.tolist() == [0.25, 1.0]


def test_colours_are_rounded_and_clipped(output):
    result = convert(output)
    assert result.colours[0].tolist() == [0, 128, 255]
    assert result.splats.colours[0].tolist() == [128, 199, 0]  # 0.5 + 0.2821 * (0, 1, -9)


def test_without_gaussians_there_are_no_splats(output):
    del output["gaussian"]
    assert convert(output).splats is None


def test_splats_that_are_not_finite_are_left_out(output):
    output["gaussian"][0].get_xyz[0, 1] = float("nan")
    output["translation"][0, 2] = float("inf")
    result = convert(output)
    assert len(result.splats.positions) == 1
    assert result.pose is None
