import numpy as np
import pytest

from benchmarks.pose import judge
from benchmarks.preview_cases import named
from sam3d_bento.camera import Camera
from sam3d_bento.export.pose import Transform, apply
from sam3d_bento.export.pose_refinement import look, refine_pose
from tests.support.export_meshes import blob

SMALL = Camera(180.0, 180.0, 64.0, 64.0, 128, 128, "given")
TRUE = Transform(np.array([1.0, 0, 0, 0]), np.array([0.05, 0.0, -2.0]), np.ones(3))
START = Transform(np.array([0.9990, 0.0, 0.0447, 0.0]), np.array([0.09, -0.02, -2.1]), np.full(3, 1.05))
START = Transform(START.rotation / np.linalg.norm(START.rotation), START.translation, START.scale)


@pytest.fixture(scope="module")
def shot():
    """A mesh, its mask and its points in PyTorch3D's camera frame."""
    vertices, faces = blob(50)
    view = look(vertices.astype(np.float64), faces, TRUE, SMALL)
    return vertices, faces, view.seen, (view.points * (-1, 1, -1)).astype(np.float32)


def off(vertices, transform):
    """The mean distance of the vertices to where they were."""
    return float(np.linalg.norm(apply(transform.matrix, vertices) - apply(TRUE.matrix, vertices), axis=1).mean())


def test_a_disturbed_pose_is_found_again(shot):
    vertices, faces, mask, points = shot
    found = refine_pose(vertices, faces, START, mask, points, SMALL)
    assert found.accepted
    assert found.iou > 0.97 > found.iou_before
    assert found.depth < found.depth_before
    assert off(vertices, found.transform) < 0.25 * off(vertices, START)


def test_the_true_pose_is_not_made_worse(shot):
    vertices, faces, mask, points = shot
    found = refine_pose(vertices, faces, TRUE, mask, points, SMALL)
    assert found.iou >= found.iou_before
    assert off(vertices, found.transform) < 0.01
    assert found.accepted or found.transform is TRUE


def test_what_another_object_covers_does_not_pull_at_the_pose(shot):
    vertices, faces, mask, points = shot
    covered = np.zeros_like(mask)
    covered[:, :55] = True
    seen = mask & ~covered
    found = refine_pose(vertices, faces, START, seen, points, SMALL, covered)
    assert off(vertices, found.transform) < 0.5 * off(vertices, START)


def test_without_depth_nothing_is_refined(shot):
    vertices, faces, mask, points = shot
    assert refine_pose(vertices, faces, START, mask, np.full_like(points, np.nan), SMALL) is None
    assert refine_pose(vertices, faces, START, np.zeros_like(mask), points, SMALL) is None


def test_a_mesh_that_is_not_seen_is_left_alone(shot):
    vertices, faces, mask, points = shot
    away = Transform(START.rotation, np.array([50.0, 0, -2]), START.scale)
    assert refine_pose(vertices, faces, away, mask, points, SMALL) is None


@pytest.mark.properties
@pytest.mark.parametrize("seed", range(3))
def test_disturbed_poses_of_known_meshes_are_refined(seed):
    """The set of `make bench-pose`."""
    rows = [judge(case, 100 * seed + index) for index, case in enumerate(named()[:20:3])]
    assert np.mean([row["iou"] for row in rows]) > 0.97
    assert np.mean([row["error"] for row in rows]) < 0.5 * np.mean([row["error_start"] for row in rows])
    for row in rows:
        assert row["iou"] >= row["iou_start"]
        assert row["error"] <= row["error_start"] + 0.1
