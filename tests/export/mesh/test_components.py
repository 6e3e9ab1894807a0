import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sam3d_bento.arrays import Indices
from sam3d_bento.export.mesh.components import components, pieces
from tests.support.export_meshes import Mesh, blob, soup, sphere

RANDOM = np.random.default_rng(0)
CHAIN = RANDOM.permutation(5000)
GRAPHS = {
    "no edges": (4, np.zeros(0, np.intp), np.zeros(0, np.intp)),
    "nothing": (0, np.zeros(0, np.int32), np.zeros(0, np.int32)),
    "loops": (3, np.array([0, 2]), np.array([0, 2])),
    "few edges": (3000, RANDOM.integers(3000, size=1200), RANDOM.integers(3000, size=1200)),
    "as many as vertices": (3000, RANDOM.integers(3000, size=3000), RANDOM.integers(3000, size=3000)),
    "a chain in no order": (5000, CHAIN[:-1], CHAIN[1:]),
    "a chain and its edges back": (5000, np.append(CHAIN[:-1], CHAIN[1:]), np.append(CHAIN[1:], CHAIN[:-1])),
    "32 bits": (9, np.array([8, 7, 1], np.int32), np.array([1, 2, 0], np.int32)),
}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_components_are_the_faces_that_edges_connect(graph: tuple[int, Indices, Indices]) -> None:
    count, starts, ends = graph
    found, component = components(count, starts, ends)
    edges = coo_array((np.ones(len(starts)), (starts, ends)), shape=(max(count, 1),) * 2)
    expected, walked = connected_components(edges, directed=False)
    assert found == (expected if count else 0)
    assert len({*zip(component.tolist(), walked[:count].tolist(), strict=True)}) == found


def test_components_are_numbered_in_the_order_of_their_first_vertices() -> None:
    count, starts, ends = GRAPHS["few edges"]
    found, component = components(count, starts, ends)
    labels, first = np.unique(component, return_index=True)
    assert labels.tolist() == list(range(found))
    assert (np.diff(first) > 0).all()


def test_edges_are_left_as_they_were() -> None:
    starts, ends = np.array([5, 1], np.int32), np.array([2, 5], np.int32)
    components(6, starts, ends)
    assert starts.tolist() == [5, 1]
    assert ends.tolist() == [2, 5]


@pytest.mark.parametrize("mesh", [sphere(20), blob(30)], ids=["sphere", "blob"])
def test_two_meshes_side_by_side_are_two_pieces(mesh: Mesh) -> None:
    vertices, faces = mesh
    both = np.concatenate([faces, faces + len(vertices)])
    count, piece = pieces(2 * len(vertices), both)
    assert count == 2
    assert (piece == np.repeat([0, 1], len(vertices))).all()


def test_each_face_of_a_soup_is_a_piece_and_so_is_a_vertex_without_faces() -> None:
    vertices, faces = soup(7, 0.1)
    count, piece = pieces(len(vertices) + 1, faces)
    assert count == 8
    assert piece[faces].tolist() == [[number] * 3 for number in range(7)]
