import numpy as np
import pytest
from export_meshes import Mesh, blob, soup, sphere, tangle

from sam3d_bento.export.adjacency import adjacency
from sam3d_bento.export.charts import LEAST, charts
from sam3d_bento.export.cluster_graph import cluster_normals
from sam3d_bento.export.surface import area_vectors

MESHES = {"sphere": sphere(30), "blob": blob(60), "soup": soup(50, 0.1), "tangle": tangle(200, 40)}


@pytest.mark.parametrize("mesh", MESHES.values(), ids=MESHES)
def test_no_face_is_steep_in_its_chart(mesh: Mesh) -> None:
    labels = charts(*mesh, adjacency(*mesh))
    vectors = area_vectors(*mesh)
    mean = cluster_normals(labels, vectors, np.ones(len(vectors))).T
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(mean, axis=1)[labels]
    assert (np.einsum("ij,ij->i", vectors, mean[labels]) >= (LEAST - 1e-9) * lengths).all()


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
