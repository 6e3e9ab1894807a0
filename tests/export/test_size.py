"""The size and the origin of a model: in the vertices, in what the file says of them, and in the pose."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sam3d_bento.errors import NoScale
from sam3d_bento.export import size
from sam3d_bento.export.size import Placement
from sam3d_bento.options import Options
from sam3d_bento.reconstruction import MeasuredScale

MEASURED = MeasuredScale(0.25, "depth", 0.02)


@pytest.fixture
def vertices():
    """A box of 0.6 x 0.8 x 1 units whose middle is not at the origin."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    return (corners * [0.6, 0.8, 1.0] - [0.3, 0.5, 0.5]).astype(np.float32)


def placed(vertices, measured=None, **options):
    wanted = Options(**options)
    placement = size.choose_placement(vertices, wanted, measured)
    positions = placement.place(vertices)
    return positions, size.describe(positions, placement, wanted, measured), placement


def test_without_a_size_the_vertices_stay_bit_for_bit(vertices):
    positions, described, _ = placed(vertices)
    assert np.array_equal(positions, vertices)
    assert (described["source"], described["metres"]) == ("unit", [0.6, 0.8, 1.0])


@pytest.mark.parametrize("height", [0.001, 0.095, 1.0, 1000.0])
def test_a_height_is_that_of_the_box_which_keeps_its_proportions(vertices, height):
    positions, described, _ = placed(vertices, height=height)
    assert np.ptp(positions, axis=0) == pytest.approx(np.array([0.75, 1, 1.25]) * height, rel=1e-6)
    assert described["source"] == "given"
    assert described["metres"][1] == pytest.approx(height, abs=1e-6)


def test_a_longest_side_is_that_of_the_box(vertices):
    positions, _, _ = placed(vertices, longest_side=2)
    assert np.ptp(positions, axis=0).max() == pytest.approx(2, rel=1e-6)


@pytest.mark.parametrize("given", [{}, {"height": 0.095}, {"longest_side": 3}])
def test_at_the_bottom_the_lowest_point_is_at_zero(vertices, given):
    positions, _, _ = placed(vertices, origin="bottom", **given)
    assert positions[:, 1].min() == 0


def test_a_measured_scale_counts_only_where_metres_are_wanted_and_no_size_is_given(vertices):
    assert np.array_equal(placed(vertices, MEASURED)[0], vertices)
    positions, described, _ = placed(vertices, MEASURED, scale="metric")
    assert np.ptp(positions, axis=0) == pytest.approx([0.15, 0.2, 0.25], rel=1e-6)
    assert (described["source"], described["relative_error"]) == ("depth", 0.02)
    positions, described, _ = placed(vertices, MEASURED, scale="metric", height=2)
    assert np.ptp(positions[:, 1]) == pytest.approx(2, rel=1e-6)
    assert (described["source"], described["relative_error"]) == ("given", None)


def test_metres_that_nothing_tells_are_refused(vertices):
    with pytest.raises(NoScale, match="'height'"):
        placed(vertices, scale="metric")


def test_what_a_file_says_of_its_scale_is_read_back(vertices):
    _, described, placement = placed(vertices, MEASURED, height=0.3, origin="bottom")
    assert size.read_description({"scale": described}) == (placement, MEASURED)
    assert size.read_description({}) == (Placement(), None)


def test_a_placement_is_undone(vertices):
    placement = Placement(0.095, 0.04)
    assert placement.undo(placement.place(vertices)) == pytest.approx(vertices, abs=1e-6)
    twice = placement.inverse().place(placement.place(vertices))
    assert twice == pytest.approx(vertices, abs=1e-6)


def seen(pose, vertices):
    """Where a pose puts vertices before the camera."""
    turn = Rotation.from_quat(pose["rotation"], scalar_first=True)
    return turn.apply(vertices * pose["scale"]) + pose["translation"]


def test_the_pose_of_the_file_puts_its_vertices_where_the_engines_pose_puts_the_engines(vertices):
    turn = Rotation.from_euler("xyz", [20, 130, 250], degrees=True)
    pose = {
        "rotation": turn.as_quat(scalar_first=True).tolist(),
        "translation": [0.2, -0.1, 1.5],
        "scale": [0.4, 0.4, 0.4],
        "frame": "pytorch3d",
    }
    placement = Placement(0.095, 0.0475)
    moved = placement.place_pose(pose)
    assert seen(moved, placement.place(vertices)) == pytest.approx(seen(pose, vertices), abs=2e-6)
    assert placement.inverse().place_pose(moved)["translation"] == pytest.approx(pose["translation"], abs=2e-6)
