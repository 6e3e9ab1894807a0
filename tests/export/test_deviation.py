import numpy as np
import pytest
import trimesh

from sam3d_bento.export.deviation import DeviationGauge
from tests.support.export_meshes import joined, sphere, surface


def ball(subdivisions: int, radius: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return made.vertices.astype(np.float32), made.faces.astype(np.int32)


def test_a_surface_does_not_deviate_from_itself() -> None:
    mesh = ball(4)
    assert DeviationGauge(surface(*mesh)).measure(*mesh) < 1e-5


@pytest.mark.parametrize("radius", [0.48, 0.499, 0.503, 0.55])
def test_the_distance_between_concentric_balls_is_found_on_either_side(radius: float) -> None:
    gauge = DeviationGauge(surface(*ball(5)))
    assert gauge.measure(*ball(5, radius)) == pytest.approx(abs(radius - 0.5), rel=0.02, abs=1e-4)


@pytest.mark.parametrize("subdivisions", [1, 2, 3])
def test_a_coarse_ball_deviates_by_the_depth_of_its_faces(subdivisions: int) -> None:
    vertices, faces = ball(subdivisions)
    depth = 0.5 - np.linalg.norm(vertices[faces].mean(axis=1), axis=1).min()
    found = DeviationGauge(surface(*ball(6))).measure(vertices, faces)
    assert 0.95 * depth < found < 1.1 * depth, "never far below, and overstated by a tenth at most"


def test_a_part_that_is_missing_counts_with_its_whole_reach() -> None:
    body, part = sphere(40, radius=0.2, centre=(-0.3, 0, 0)), sphere(20, radius=0.05, centre=(0.4, 0, 0))
    dense = joined(body, part)
    side = float(np.ptp(dense[0], axis=0).max())
    found = DeviationGauge(surface(*dense)).measure(*body)
    assert found == pytest.approx(0.55 / side, rel=0.05), "from the tip of the part to the body"


def test_what_nobody_can_see_does_not_count() -> None:
    shell, core = sphere(40, radius=0.5), sphere(20, radius=0.2)
    assert DeviationGauge(surface(*joined(shell, core))).measure(*shell) < 1e-5
