import numpy as np
import pytest

from sam3d_bento.arrays import Indices
from sam3d_bento.export.mesh.surface import area_vectors
from sam3d_bento.export.uv.adjacency import build_adjacency
from sam3d_bento.export.uv.charts import MIN_COSINE, group_into_charts, split_charts
from sam3d_bento.export.uv.cluster_graph import sum_normals
from tests.support.export_meshes import Mesh, blob, soup, sphere, tangle

MESHES = {"sphere": sphere(30), "blob": blob(60), "soup": soup(50, 0.1), "tangle": tangle(200, 40)}


def least_cosine(mesh: Mesh, labels: Indices) -> float:
    """Return the least cosine between a face and the mean normal of its chart."""
    vectors = area_vectors(*mesh)
    mean = sum_normals(labels, vectors, np.ones(len(vectors))).T
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(mean, axis=1)[labels]
    return float((np.einsum("ij,ij->i", vectors, mean[labels]) / lengths).min())


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_no_face_is_steep_in_its_chart(mesh: Mesh) -> None:
    assert least_cosine(mesh, group_into_charts(*mesh, build_adjacency(*mesh))) >= MIN_COSINE - 1e-9


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_charts_are_connected_and_numbered(mesh: Mesh) -> None:
    edges = build_adjacency(*mesh)
    labels = group_into_charts(*mesh, edges)
    assert edges.split_into_pieces(labels).max() == labels.max()
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_charts_are_few_and_their_borders_straight() -> None:
    vertices, faces = sphere(50)
    edges = build_adjacency(vertices, faces)
    labels = group_into_charts(vertices, faces, edges)
    assert labels.max() + 1 < 16
    seams = edges.lengths[labels[edges.first] != labels[edges.second]].sum()
    cube_on_sphere = 12 * 0.45 * np.arccos(1 / 3)  # the outline of six equal charts
    assert seams < 2.2 * cube_on_sphere


def test_charts_do_not_depend_on_scale() -> None:
    vertices, faces = blob(50)
    small = vertices * np.float32(2**-8)
    np.testing.assert_array_equal(
        group_into_charts(vertices, faces, build_adjacency(vertices, faces)),
        group_into_charts(small, faces, build_adjacency(small, faces)),
    )


def test_faces_back_to_back_are_split_into_two_charts() -> None:
    fold = np.float32([[0, 0, 0], [1, 0, 0], [0.5, 1, 0.2], [0.5, 1, -0.2]])
    faces = np.int32([[0, 1, 2], [1, 0, 3]])
    together = np.zeros(2, int)
    assert split_charts(fold, faces, together, np.zeros(2, bool), build_adjacency(fold, faces)).tolist() == [0, 1]


def test_no_face_is_steep_in_its_chart_after_a_cut() -> None:
    vertices, faces = sphere(40)
    radius = np.linalg.norm(vertices, axis=1).max()
    cap = faces[(vertices[faces, 2].mean(axis=1) > 0.55 * radius)]  # flat enough as a whole
    edges, centres = build_adjacency(vertices, cap), vertices[cap].mean(axis=1) / radius
    assert split_charts(vertices, cap, np.zeros(len(cap), int), np.zeros(len(cap), bool), edges).max() == 0
    labels = split_charts(vertices, cap, np.zeros(len(cap), int), np.abs(centres[:, 0] - 0.2) < 0.5, edges)
    assert least_cosine((vertices, cap), labels) >= MIN_COSINE - 1e-9
    assert labels.max() + 1 < 12
