import numpy as np

from sam3d_bento.export.uv.adjacency import Adjacency, build_adjacency
from tests.support.export_meshes import sphere

CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 0]], np.float32)


def adjacency_of(*faces: tuple[int, int, int]) -> Adjacency:
    return build_adjacency(CORNERS, np.array(faces, np.int32))


def test_two_faces_that_share_an_edge_are_neighbours() -> None:
    edges = adjacency_of((0, 1, 2), (1, 0, 4))
    assert {int(edges.first[0]), int(edges.second[0])} == {0, 1}
    assert edges.lengths.tolist() == [1]
    assert edges.neighbours.tolist() == [[1, 0, 0], [0, 1, 1]]  # at a border, the face itself
    np.testing.assert_allclose(edges.edge_lengths[0], [1, np.sqrt(2), 1])


def test_an_edge_of_three_faces_is_a_border() -> None:
    assert len(adjacency_of((0, 1, 2), (1, 0, 3), (1, 0, 4)).first) == 0


def test_two_sheets_at_one_edge_are_separated_by_their_normals() -> None:
    edges = adjacency_of((0, 1, 2), (1, 0, 4), (1, 0, 2), (0, 1, 4))
    assert {frozenset(pair) for pair in zip(edges.first.tolist(), edges.second.tolist(), strict=True)} >= {
        frozenset({0, 1}),
        frozenset({2, 3}),
    }


def test_faces_that_run_along_an_edge_in_the_same_direction_are_not_neighbours() -> None:
    assert len(adjacency_of((0, 1, 2), (0, 1, 4)).first) == 0


def test_a_closed_surface_has_three_edges_for_every_two_faces() -> None:
    vertices, faces = sphere(10)
    edges = build_adjacency(vertices, faces)
    assert len(edges.first) == len(faces) * 3 // 2
    assert not edges.find_borders(np.zeros(len(faces), int)).any()
    assert edges.split_into_pieces(np.zeros(len(faces), int)).max() == 0


def test_restricting_gives_the_adjacency_of_the_faces_alone() -> None:
    vertices, faces = sphere(10)
    some = np.flatnonzero(vertices[faces, 1].mean(axis=1) > 0.1)
    part, alone = build_adjacency(vertices, faces).restrict(some), build_adjacency(vertices, faces[some])
    for name in ("neighbours", "edge_lengths"):
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))
    pairs = [
        {(*sorted(pair), length) for *pair, length in zip(each.first, each.second, each.lengths, strict=True)}
        for each in (part, alone)
    ]
    assert pairs[0] == pairs[1]


def test_pieces_are_connected_only_within_their_label() -> None:
    vertices, faces = sphere(10)
    edges = build_adjacency(vertices, faces)
    band = (np.abs(vertices[faces, 1].mean(axis=1)) < 0.2).astype(int)
    pieces = edges.split_into_pieces(band)
    assert pieces.max() == 2  # two caps and the band between them
    assert len(np.unique(pieces[band == 1])) == 1
    across = pieces[edges.first] != pieces[edges.second]
    assert edges.find_borders(pieces).sum() == 2 * across.sum()
