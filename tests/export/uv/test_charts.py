import numpy as np
import pytest

from sam3d_bento.arrays import Indices
from sam3d_bento.export.mesh.surface import area_vectors
from sam3d_bento.export.uv.adjacency import adjacency
from sam3d_bento.export.uv.charts import LEAST, charts, parted
from sam3d_bento.export.uv.cluster_graph import cluster_normals
from tests.support.export_meshes import Mesh, blob, soup, sphere, tangle

MESHES = {"sphere": sphere(30), "blob": blob(60), "soup": soup(50, 0.1), "tangle": tangle(200, 40)}


def least_cosine(mesh: Mesh, labels: Indices) -> float:
    """Between any face and the mean normal of its chart."""
    vectors = area_vectors(*mesh)
    mean = cluster_normals(labels, vectors, np.ones(len(vectors))).T
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(mean, axis=1)[labels]
    return float((np.einsum("ij,ij->i", vectors, mean[labels]) / lengths).min())


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_no_face_is_steep_in_its_chart(mesh: Mesh) -> None:
    assert least_cosine(mesh, charts(*mesh, adjacency(*mesh))) >= LEAST - 1e-9


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_charts_are_connected_and_numbered(mesh: Mesh) -> None:
    edges = adjacency(*mesh)
    labels = charts(*mesh, edges)
    assert edges.pieces(labels).max() == labels.max()
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_charts_are_few_and_their_borders_straight() -> None:
    vertices, faces = sphere(50)
    edges = adjacency(vertices, faces)
    labels = charts(vertices, faces, edges)
    assert labels.max() + 1 < 16
    seams = edges.lengths[labels[edges.first] != labels[edges.second]].sum()
    cube_on_sphere = 12 * 0.45 * np.arccos(1 / 3)  # the outline of six equal charts
    assert seams < 2.2 * cube_on_sphere


def test_the_scale_does_not_matter() -> None:
    vertices, faces = blob(50)
    small = vertices * np.float32(2**-8)
    np.testing.assert_array_equal(
        charts(vertices, faces, adjacency(vertices, faces)), charts(small, faces, adjacency(small, faces))
    )


def test_what_stands_back_to_back_is_parted() -> None:
    fold = np.float32([[0, 0, 0], [1, 0, 0], [0.5, 1, 0.2], [0.5, 1, -0.2]])
    faces = np.int32([[0, 1, 2], [1, 0, 3]])
    together = np.zeros(2, int)
    assert parted(fold, faces, together, np.zeros(2, bool), adjacency(fold, faces)).tolist() == [0, 1]


def test_without_what_was_cut_off_no_face_is_steep_in_what_is_left() -> None:
    vertices, faces = sphere(40)
    radius = np.linalg.norm(vertices, axis=1).max()
    cap = faces[(vertices[faces, 2].mean(axis=1) > 0.55 * radius)]  # flat enough as a whole
    edges, centres = adjacency(vertices, cap), vertices[cap].mean(axis=1) / radius
    assert parted(vertices, cap, np.zeros(len(cap), int), np.zeros(len(cap), bool), edges).max() == 0
    labels = parted(vertices, cap, np.zeros(len(cap), int), np.abs(centres[:, 0] - 0.2) < 0.5, edges)
    assert least_cosine((vertices, cap), labels) >= LEAST - 1e-9
    assert labels.max() + 1 < 12
