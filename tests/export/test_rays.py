from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from sam3d_bento.arrays import Float32
from sam3d_bento.export import rays
from sam3d_bento.export.rays import NOWHERE, Rays

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
HALVES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def floats(*rows: tuple[float, float, float]) -> Float32:
    return np.array(rows, np.float32)


def test_a_ray_meets_the_first_face_in_its_way() -> None:
    behind = SQUARE - np.float32([0, 0, 1])
    two = Rays(np.concatenate([behind, SQUARE]), np.concatenate([HALVES, HALVES + 4]))
    hits = two.cast(floats((0.75, 0.5, 2), (0.25, 0.5, 2), (3, 3, 2)), floats((0, 0, -4), (0, 0, -1), (0, 0, -1)))
    assert hits.face.tolist() == [2, 3, NOWHERE]
    assert np.allclose(hits.distance[:2], [0.5, 2.0], rtol=1e-6)  # in lengths of the direction
    weights = np.stack([1 - hits.u - hits.v, hits.u, hits.v], axis=1)
    met = np.einsum("nk,nkc->nc", weights[:2], SQUARE[HALVES[hits.face[:2] - 2]])
    assert np.allclose(met, [[0.75, 0.5, 0], [0.25, 0.5, 0]])
    assert (hits.normal[:2, 2] > 0).all()
    assert not hits.normal[:2, :2].any()


def test_a_ray_goes_no_farther_than_its_reach_which_stays_as_it_was() -> None:
    reach = np.array([0.5, 1.5], np.float32)
    hits = Rays(SQUARE, HALVES).cast(floats((0.5, 0.4, 1), (0.5, 0.4, 1)), floats((0, 0, -1), (0, 0, -1)), reach)
    assert hits.face.tolist() == [NOWHERE, 0]
    assert reach.tolist() == [0.5, 1.5]


def test_no_ray_slips_between_two_faces() -> None:
    along = np.linspace(0.001, 0.999, 1000, dtype=np.float32)
    origins = np.stack([along, along, np.ones_like(along)], axis=1)
    assert (Rays(SQUARE, HALVES).faces_met(origins, np.float32([[0, 0, -1]]) + 0 * origins) != NOWHERE).all()


@pytest.mark.parametrize(
    ("vertices", "faces"),
    [
        (SQUARE.astype(np.float64), HALVES.astype(np.int64)),
        (np.repeat(SQUARE, 2, axis=1)[:, ::2], np.repeat(HALVES, 2, axis=1)[:, ::2]),
        (np.asfortranarray(SQUARE), np.asfortranarray(HALVES)),
    ],
    ids=["wider numbers", "every other column", "column by column"],
)
def test_any_kind_of_array_will_do(vertices: Float32, faces: Float32) -> None:
    assert Rays(vertices, faces).faces_met(floats((0.25, 0.5, 1)), floats((0, 0, -1))).tolist() == [1]


def test_the_mesh_may_change_after_it_was_taken() -> None:
    vertices, faces = SQUARE.copy(), HALVES.astype(np.int64)
    taken = Rays(vertices, faces)
    vertices += 100
    faces[:] = 0
    assert taken.faces_met(floats((0.25, 0.5, 1)), floats((0, 0, -1))).tolist() == [1]


def test_a_mesh_without_faces_is_met_nowhere() -> None:
    nothing = Rays(np.empty((0, 3), np.float32), np.empty((0, 3), np.int32))
    assert nothing.faces_met(floats((0, 0, 1)), floats((0, 0, -1))).tolist() == [NOWHERE]


def test_it_meets_what_embreex_meets_that_was_given_the_mesh_itself() -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    theirs = EmbreeScene(robust=True)
    TriangleMesh(theirs, ball.vertices, ball.faces)
    random = np.random.default_rng(3)
    origins, directions = random.normal(size=(2, 20_000, 3)).astype(np.float32)
    ours, expected = (
        Rays(ball.vertices, ball.faces).cast(origins, directions),
        theirs.run(origins, directions, output=1),
    )
    met = ours.face != NOWHERE
    assert (met == (expected["tfar"] < 1e30)).all()
    assert 2_000 < met.sum() < 18_000
    assert np.allclose(ours.distance[met], expected["tfar"][met], rtol=1e-5)
    assert (ours.face[met] == expected["primID"][met]).mean() > 0.999  # at an edge either is right


def test_threads_meet_the_same() -> None:
    ball = trimesh.creation.icosphere(subdivisions=5)
    taken = Rays(ball.vertices, ball.faces)
    origins, directions = np.random.default_rng(4).normal(size=(2, 50_000, 3)).astype(np.float32)
    alone = taken.faces_met(origins, directions)
    with ThreadPoolExecutor(4) as pool:
        for together in pool.map(lambda _: taken.faces_met(origins, directions), range(8)):
            assert (together == alone).all()


@pytest.mark.slow
def test_memory_is_given_back() -> None:
    ball = trimesh.creation.icosphere(subdivisions=6)  # 80,000 faces: 8 MB in Embree

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    for _ in range(3):
        Rays(ball.vertices, ball.faces)
    gc.collect()
    before = resident()
    for _ in range(20):
        Rays(ball.vertices, ball.faces)
    gc.collect()
    assert resident() - before < 40e6


@pytest.fixture
def unknown_layout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An embreex whose scenes are larger than those that are known."""
    monkeypatch.setattr(rays, "SCENE_SIZE", rays.SCENE_SIZE + 8)
    rays._embree.cache_clear()
    yield
    monkeypatch.undo()
    rays._embree.cache_clear()


def test_an_embreex_laid_out_otherwise_takes_the_mesh_in_by_itself(
    unknown_layout: None, caplog: pytest.LogCaptureFixture
) -> None:
    ball = trimesh.creation.icosphere(subdivisions=4)
    origins, directions = np.random.default_rng(3).normal(size=(2, 20_000, 3)).astype(np.float32)
    slow, again = (Rays(ball.vertices, ball.faces) for _ in range(2))
    assert [record.message.split(":")[0] for record in caplog.records] == ["this embreex is not known here"], "once"
    rays.SCENE_SIZE -= 8
    rays._embree.cache_clear()
    fast = Rays(ball.vertices, ball.faces)
    for one, other in zip(
        vars(slow.cast(origins, directions)).values(), vars(fast.cast(origins, directions)).values(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.faces_met(origins, directions), fast.faces_met(origins, directions))


def test_threads_meet_the_same_with_an_embreex_laid_out_otherwise(unknown_layout: None) -> None:
    test_threads_meet_the_same()
    test_a_mesh_without_faces_is_met_nowhere()
    test_the_mesh_may_change_after_it_was_taken()


def test_without_the_functions_of_embree_the_mesh_is_taken_in_by_embreex(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rays.embreex.rtcore_scene, "__file__", "/nowhere.so")
    rays._embree.cache_clear()
    assert rays._embree() is None
    test_any_kind_of_array_will_do(SQUARE, HALVES)
    monkeypatch.undo()
    rays._embree.cache_clear()
    assert rays._embree() is not None


def test_thousands_of_meshes_are_taken_and_let_go() -> None:
    """A device of Embree that stayed with each of them ended the process after some thousand."""
    for _ in range(5000):
        Rays(SQUARE, HALVES)
    assert Rays(SQUARE, HALVES).faces_met(floats((0.9, 0.1, 1)), floats((0, 0, -1))).tolist() == [0]
