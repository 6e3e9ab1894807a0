import dataclasses

import numpy as np
import pytest
import trimesh
from scipy.spatial import ConvexHull

from sam3d_bento.export.physics.collision import HULL_VERTICES, MOST_PARTS, hull, make_shapes, welded
from tests.support.mugs import SCALE, model, mug


def as_mesh(shape):
    return trimesh.Trimesh(shape.vertices, shape.faces, process=False, validate=False)


def clouds():
    random = np.random.default_rng(0)
    ball = random.normal(size=(5000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    yield "ball", ball
    yield "rod", ball * [1, 0.01, 0.01]
    yield "box", random.uniform(-1, 1, (3000, 3))
    yield "tetrahedron", np.float64([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    yield "far away", ball * 1e-3 + 1000
    yield "sheet", ball * [1, 0, 1]
    yield "line", ball * [1, 0, 0]
    yield "point", ball[:1]
    yield "tiny", ball * 1e-3 / 2


@pytest.mark.parametrize(("name", "points"), list(clouds()), ids=[name for name, _ in clouds()])
def test_a_hull_is_closed_convex_outward_and_small_enough_for_game_engines(name, points):
    shape = hull(points)
    mesh = as_mesh(shape)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume > 0, "outward"
    assert mesh.is_convex or name == "tiny"
    assert len(shape.vertices) <= HULL_VERTICES
    assert len(shape.faces) <= 255
    extent = np.ptp(points, axis=0).max() or 1
    assert np.allclose(shape.vertices.min(0), points.min(0), atol=0.02 * extent)
    assert np.allclose(shape.vertices.max(0), points.max(0), atol=0.02 * extent)


def test_a_hull_loses_little_of_a_round_body():
    (ball,) = (points for name, points in clouds() if name == "ball")
    assert as_mesh(hull(ball)).volume > 0.93 * ConvexHull(ball).volume


def test_welding_closes_the_seams_and_drops_what_is_no_face():
    closed = model(mug(hollow=False))
    split = dataclasses.replace(
        closed,
        positions=closed.positions[closed.faces].reshape(-1, 3),
        faces=np.arange(closed.faces.size, dtype=np.int32).reshape(-1, 3),
    )
    points, faces = welded(split)
    assert trimesh.Trimesh(points, faces, process=False, validate=False).is_watertight
    with_needle = dataclasses.replace(closed, faces=np.vstack([closed.faces, np.int32([[0, 0, 1]])]))
    assert len(welded(with_needle)[1]) == len(closed.faces)


@pytest.mark.slow
def test_parts_follow_the_hollow_of_a_mug_where_a_hull_does_not(in_parts):
    body = mug()
    files = sorted(in_parts.parent.glob("collision_*.obj"))
    parts = [trimesh.load_mesh(file, process=False) for file in files]
    assert len(parts) <= MOST_PARTS
    assert all(part.is_watertight and part.is_convex and len(part.vertices) <= HULL_VERTICES for part in parts)
    assert sum(part.volume for part in parts) <= 1.15 * body.volume * SCALE**3
    (around,) = make_shapes(model(body), "hull")
    assert as_mesh(around).volume > 2 * body.volume
    inside = np.float64([[0, 0, z] for z in (0.2, 0.4, 0.8)])  # z is up in a URDF
    assert not any(part.contains(inside * SCALE).any() for part in parts), "one can pour into it"
    assert as_mesh(around).contains(inside[:, [0, 2, 1]]).all()


@pytest.mark.slow
def test_a_mesh_that_intersects_itself_has_parts_in_seconds():
    balls = [trimesh.creation.icosphere(subdivisions=3).apply_translation([x, 0, 0]) for x in (0, 1.5)]
    parts = [as_mesh(part) for part in make_shapes(model(trimesh.util.concatenate(balls)), "parts")]
    assert 2 <= len(parts) <= MOST_PARTS
    whole = sum(ball.volume for ball in balls)
    assert 0.85 * whole < sum(part.volume for part in parts) < 1.3 * whole
    waist = np.float64([[0.75, 0.95, 0]])
    assert not any(part.contains(waist).any() for part in parts)


def test_a_mesh_that_is_not_closed_gets_its_hull():
    closed = model(mug(hollow=False))
    opened = dataclasses.replace(closed, faces=closed.faces[50:])
    for spoilt in (opened, dataclasses.replace(closed, faces=closed.faces[:0])):
        (part,), (around,) = make_shapes(spoilt, "parts"), make_shapes(spoilt, "hull")
        assert np.array_equal(part.vertices, around.vertices)


@pytest.mark.slow
def test_equal_models_give_equal_parts():
    first, second = (make_shapes(model(mug(hollow=False)), "parts") for _ in range(2))
    assert [part.vertices.tolist() for part in first] == [part.vertices.tolist() for part in second]
