import numpy as np

from sam3d_bento.arrays import Floats, Indices
from sam3d_bento.export.mesh.surface import area_vectors
from sam3d_bento.export.uv.adjacency import build_adjacency
from sam3d_bento.export.uv.cluster_graph import sum_normals
from sam3d_bento.export.uv.clusters import merge
from tests.support.export_meshes import Mesh, blob, sphere


def merged(mesh: Mesh, least_cosine: float) -> tuple[Indices, Floats, Floats]:
    """Return labels, unit normals and areas of the faces."""
    edges, vectors = build_adjacency(*mesh), area_vectors(*mesh)
    areas = np.linalg.norm(vectors, axis=1)
    normals, start = vectors / areas[:, None], np.arange(len(areas))
    around = edges.edge_lengths.sum(axis=1)
    labels = merge(start, edges.first, edges.second, edges.lengths, normals, areas, around, least_cosine)
    return labels, normals, areas


def cosines(labels: Indices, normals: Floats, areas: Floats) -> Floats:
    mean = sum_normals(labels, normals, areas).T
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    return np.einsum("ij,ij->i", normals, mean[labels])


def grid_of_cubes() -> Mesh:
    """Make a cube with 2 * 20 * 20 faces on each side, and all edges welded."""
    axis = np.linspace(-0.4, 0.4, 21)
    u, v = (part.ravel() for part in np.meshgrid(axis, axis, indexing="ij"))
    w = np.full_like(u, 0.4)
    sides = [np.roll(np.stack(side, axis=1), turn, axis=1) for turn in range(3) for side in ((u, v, w), (v, u, -w))]
    corner = (np.arange(20)[:, None] * 21 + np.arange(20)).ravel()
    one, other = [corner, corner + 21, corner + 22], [corner, corner + 22, corner + 1]
    triangles = np.concatenate([np.stack(one, axis=1), np.stack(other, axis=1)])
    places = np.concatenate(sides)
    _, first, weld = np.unique(np.rint(places * 1e4), axis=0, return_index=True, return_inverse=True)
    faces = np.concatenate([triangles + side * 441 for side in range(6)])
    return places[first].astype(np.float32), weld.ravel()[faces].astype(np.int32)


def test_the_sides_of_a_cube_become_its_clusters() -> None:
    labels, normals, areas = merged(grid_of_cubes(), 0.9)
    assert labels.max() + 1 == 6
    np.testing.assert_allclose(cosines(labels, normals, areas), 1)


def test_faces_stay_within_the_bound() -> None:
    labels, normals, areas = merged(blob(60), 0.6)
    assert np.quantile(cosines(labels, normals, areas), 0.001) >= 0.6
    assert labels.max() + 1 < len(labels) / 50


def test_a_sphere_is_cut_into_few_clusters() -> None:
    labels, _, _ = merged(sphere(40), 0.5)
    assert labels.max() + 1 < 20


def test_few_neighbours_remain_that_could_still_merge() -> None:
    mesh = blob(60)
    labels, normals, areas = merged(mesh, 0.6)
    edges, sums = build_adjacency(*mesh), sum_normals(labels, normals, areas)
    touching = np.sort(np.stack([labels[edges.first], labels[edges.second]], axis=1), axis=1)
    pairs = np.unique(touching[touching[:, 0] != touching[:, 1]], axis=0)
    means = sums[:, pairs[:, 0]] + sums[:, pairs[:, 1]]
    means /= np.linalg.norm(means, axis=0)
    fits = [
        (normals[(labels == one) | (labels == other)] @ mean).min() >= 0.6
        for (one, other), mean in zip(pairs, means.T, strict=True)
    ]
    assert np.mean(fits) < 0.05  # a few were rejected because of others that proposed to join in the same round


def test_clusters_do_not_depend_on_scale() -> None:
    vertices, faces = sphere(20)
    small, _, _ = merged((vertices * np.float32(2**-7), faces), 0.5)
    large, _, _ = merged((vertices * np.float32(2**7), faces), 0.5)
    np.testing.assert_array_equal(small, large)
