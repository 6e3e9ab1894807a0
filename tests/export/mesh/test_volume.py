import numpy as np
import pytest
import trimesh

from sam3d_bento.export.mesh.volume import closed_volume, restore_volume
from tests.support.export_meshes import Mesh, joined, sphere

BALL = sphere(10)
OTHER = sphere(8, radius=0.1, centre=(0.7, 0.2, 0))


def inside_out(mesh: Mesh) -> Mesh:
    return mesh[0], np.ascontiguousarray(mesh[1][:, ::-1])


def test_the_volume_is_that_of_trimesh() -> None:
    assert closed_volume(*BALL) == pytest.approx(trimesh.Trimesh(*BALL, process=False).volume, rel=1e-6)
    assert closed_volume(*inside_out(BALL)) == pytest.approx(-closed_volume(*BALL))


def test_open_pieces_enclose_nothing() -> None:
    both = joined(BALL, (OTHER[0], OTHER[1][4:]))
    assert closed_volume(*both) == pytest.approx(closed_volume(*BALL))
    assert closed_volume(OTHER[0], OTHER[1][4:]) == 0


@pytest.mark.parametrize("change", [0.9, 0.95, 1.05, 1.1])
def test_the_volume_is_restored_without_changing_the_shape(change: float) -> None:
    wanted = closed_volume(*BALL) * change
    moved = restore_volume(*BALL, wanted)
    assert closed_volume(moved, BALL[1]) == pytest.approx(wanted, rel=1e-3)
    radii = np.linalg.norm(moved, axis=1)
    assert np.ptp(radii) < 1e-3, "all vertices move equally far"


def test_volume_of_an_inside_out_mesh_is_restored_too() -> None:
    wanted = closed_volume(*inside_out(BALL)) * 1.05
    assert closed_volume(restore_volume(*inside_out(BALL), wanted), inside_out(BALL)[1]) == pytest.approx(
        wanted, rel=1e-3
    )


def test_small_losses_are_left_alone() -> None:
    assert restore_volume(*BALL, closed_volume(*BALL) * 1.009) is BALL[0]


def test_open_pieces_stay_where_they_are() -> None:
    vertices, faces = joined(BALL, (OTHER[0], OTHER[1][4:]))
    moved = restore_volume(vertices, faces, closed_volume(vertices, faces) * 1.05)
    np.testing.assert_array_equal(moved[len(BALL[0]) :], OTHER[0])
    assert not np.array_equal(moved[: len(BALL[0])], BALL[0])


def test_a_volume_that_is_out_of_reach_is_approached_and_no_more() -> None:
    wanted = closed_volume(*BALL) * 3
    moved = restore_volume(*BALL, wanted)
    shift = np.linalg.norm(moved - BALL[0], axis=1)
    assert shift.max() < 0.2 * wanted / trimesh.Trimesh(*BALL, process=False).area


def test_nothing_has_no_volume() -> None:
    vertices, faces = OTHER[0], OTHER[1][4:]
    assert restore_volume(vertices, faces, 0.0) is vertices
    assert restore_volume(vertices, faces, 1.0) is vertices
