import numpy as np
import pytest

from sam3d_bento.arrays import Int32
from sam3d_bento.export.glb import order
from tests.support.export_meshes import Mesh, soup, sphere, tangle


def missed(faces: Int32, recent: int = 16) -> float:
    """Vertices a face that are not among the last ones of a first-in-first-out cache."""
    cache: list[int] = []
    misses = 0
    for vertex in faces.ravel().tolist():
        if vertex not in cache:
            misses += 1
            cache = [*cache[-recent + 1 :], vertex]
    return misses / len(faces)


@pytest.mark.parametrize("mesh", [sphere(20), tangle(300, 40), soup(50, 0.1)], ids=["sphere", "tangle", "soup"])
def test_every_face_is_there_once(mesh: Mesh) -> None:
    vertices, faces = mesh
    fans = order.in_fans(faces, len(vertices))
    assert sorted(fans.tolist()) == sorted(faces.tolist())


def test_neighbours_follow_each_other() -> None:
    vertices, faces = sphere(40)
    shuffled = np.random.default_rng(0).permutation(faces)
    assert missed(shuffled) > 2.5
    assert missed(order.in_fans(shuffled, len(vertices))) < 0.8  # 0.5 is what no order can beat


def test_vertices_are_numbered_as_they_come() -> None:
    faces = np.array([[7, 3, 5], [3, 7, 1]], np.int32)
    vertices, renumbered = order.by_first_use(faces)
    assert vertices.tolist() == [7, 3, 5, 1]
    assert renumbered.tolist() == [[0, 1, 2], [1, 0, 3]]
