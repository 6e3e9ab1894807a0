import numpy as np
import pytest

from sam3d_bento.arrays import Float32, Indices, Int32
from sam3d_bento.export.mesh.surface import area_vectors
from sam3d_bento.export.uv.adjacency import build_adjacency
from sam3d_bento.export.uv.cluster_graph import ClusterGraph, sum_normals

# A strip of four unit squares side by side in the plane z = 0, of two triangles each: faces 2n and 2n + 1.
COLUMNS = np.arange(4)
LOW, HIGH = COLUMNS * 2, COLUMNS * 2 + 1
FACES: Int32 = (
    np.stack([np.stack([LOW, LOW + 2, HIGH + 2], axis=1), np.stack([LOW, HIGH + 2, HIGH], axis=1)], axis=1)
    .reshape(-1, 3)
    .astype(np.int32)
)
PLACES: Float32 = np.array([(x, y, 0) for x in range(5) for y in (0, 1)], dtype=np.float32)
SQUARES = np.repeat(np.arange(4), 2)


def graph_of(labels: Indices) -> ClusterGraph:
    edges, vectors = build_adjacency(PLACES, FACES), area_vectors(PLACES, FACES)
    areas = np.linalg.norm(vectors, axis=1)
    around = edges.edge_lengths.sum(axis=1)
    return ClusterGraph.from_faces(
        labels, edges.first, edges.second, edges.lengths, vectors / areas[:, None], areas, around
    )


def pairs(graph: ClusterGraph) -> list[tuple[int, int]]:
    return list(zip(graph.first.tolist(), graph.second.tolist(), strict=True))


def test_squares_in_a_row_touch_their_neighbours_along_one_side() -> None:
    graph = graph_of(SQUARES)
    assert pairs(graph) == [(0, 1), (1, 2), (2, 3)]
    np.testing.assert_allclose(graph.lengths, 1)
    np.testing.assert_allclose(graph.perimeters, 4)
    np.testing.assert_allclose(graph.areas, graph.areas[0])
    np.testing.assert_allclose((graph.normals / graph.areas).T, [(0, 0, 1)] * 4)
    assert not graph.rejected.any()


def test_a_merged_graph_equals_the_graph_of_the_merged_labels() -> None:
    graph = graph_of(SQUARES)
    renumber = graph.contract(np.array([0, 2]), np.array([0, 3]), np.array([1, 2]))
    assert renumber.tolist() == [0, 0, 1, 1]
    at_once = graph_of(renumber[SQUARES])
    assert pairs(graph) == pairs(at_once) == [(0, 1)]
    for name in ("normals", "areas", "perimeters", "lengths"):
        np.testing.assert_allclose(getattr(graph, name), getattr(at_once, name))


def test_two_borders_between_the_same_clusters_become_one_edge() -> None:
    graph = graph_of(np.array([0, 0, 1, 1, 0, 0, 2, 2]))  # the first and the third square are one cluster
    assert pairs(graph) == [(0, 1), (0, 2)]
    np.testing.assert_allclose(graph.lengths, [2, 1])


def test_a_rejection_is_cleared_only_when_either_cluster_changes() -> None:
    graph = graph_of(SQUARES)
    graph.rejected[:] = [False, True, True]
    graph.contract(np.array([0]), np.array([0]), np.array([1]))
    assert dict(zip(pairs(graph), graph.rejected.tolist(), strict=True)) == {(0, 1): False, (1, 2): True}


def test_a_single_cluster_has_no_edges() -> None:
    graph = graph_of(SQUARES)
    for _ in range(3):
        graph.contract(np.array([0]), np.array([1]), np.array([0]))
    assert len(graph.areas) == 1
    assert [len(edges) for edges in (graph.first, graph.second, graph.lengths, graph.rejected)] == [0, 0, 0, 0]
    assert graph.perimeters[0] == pytest.approx(10)


def test_the_normal_of_a_cluster_is_weighted_by_area() -> None:
    normals = np.array([(0, 0, 1), (1, 0, 0), (0, 1, 0)], dtype=float)
    found = sum_normals(np.array([0, 0, 1]), normals, np.array([3.0, 1.0, 2.0]))
    np.testing.assert_allclose(found.T, [(1, 0, 3), (0, 2, 0)])
