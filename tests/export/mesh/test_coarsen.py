import numpy as np
import pytest
import trimesh

from sam3d_bento.export.mesh.coarsen import coarsen
from sam3d_bento.export.mesh.topology import at_border
from tests.support.export_meshes import blob, joined, sphere, unbalanced_edges

BLOB = blob(130)  # about 50,000 faces, their edges about 0.008 long
EDGE = 1.1 / 129


@pytest.mark.parametrize(("cells", "least", "most"), [(1.0, 1.3, 2), (1.6, 2.8, 4), (2.2, 5, 8)])
def test_a_wider_grid_leaves_fewer_faces_and_the_same_shape(cells: float, least: float, most: float) -> None:
    vertices, faces, _ = coarsen(*BLOB, cells * EDGE)
    assert least < len(BLOB[1]) / len(faces) < most
    before, after = (trimesh.Trimesh(*mesh, process=False) for mesh in (BLOB, (vertices, faces)))
    assert after.volume == pytest.approx(before.volume, rel=0.002)
    assert after.area == pytest.approx(before.area, rel=0.02)


def test_closed_stays_closed() -> None:
    assert unbalanced_edges(coarsen(*BLOB, 2 * EDGE)[1]) == 0


def test_vertices_stay_on_the_surface_where_their_mean_would_not() -> None:
    vertices, faces = sphere(200)
    merged, _, _ = coarsen(vertices, faces, 0.03)
    assert len(merged) < 0.1 * len(vertices)
    assert np.abs(np.linalg.norm(merged, axis=1) - 0.45).max() < 1e-3 * 0.45


def test_a_corner_stays_sharp() -> None:
    box = trimesh.creation.box((0.8, 0.6, 0.7)).subdivide_to_size(0.01)
    vertices, faces, _ = coarsen(box.vertices.astype(np.float32), box.faces.astype(np.int32), 0.04)
    assert len(faces) < 0.2 * len(box.faces)
    for corner in trimesh.creation.box((0.8, 0.6, 0.7)).vertices:
        assert np.linalg.norm(vertices - corner, axis=1).min() < 0.2 * 0.04


def test_the_two_sides_of_a_thin_wall_do_not_merge() -> None:
    outer, inner = sphere(150), sphere(150, radius=0.445)
    both = joined(outer, (inner[0], inner[1][:, ::-1]))
    vertices, faces, _ = coarsen(*both, 0.02)
    radii = np.linalg.norm(vertices, axis=1)
    assert ((np.abs(radii - 0.45) < 1e-3) | (np.abs(radii - 0.445) < 1e-3)).all()
    sides = radii[faces] > 0.4475
    assert (sides.all(axis=1) | ~sides.any(axis=1)).all()


def test_each_vertex_becomes_one_close_to_it() -> None:
    vertices, _, became = coarsen(*BLOB, 2 * EDGE)
    assert np.linalg.norm(BLOB[0] - vertices[became], axis=1).max() < 4 * EDGE
    assert set(np.unique(became)) == set(range(len(vertices)))


def test_a_border_keeps_its_place() -> None:
    vertices, faces = BLOB
    half = faces[vertices[faces].mean(axis=1)[:, 0] < 0]
    border = at_border(len(vertices), half)
    merged, fewer, became = coarsen(vertices, half, 2 * EDGE)
    assert len(fewer) < 0.4 * len(half)
    assert border.sum() > 100
    np.testing.assert_allclose(merged[became[border]], vertices[border], atol=1e-6)


def test_a_grid_finer_than_the_mesh_changes_nothing() -> None:
    vertices, faces = sphere(20)
    merged, kept, became = coarsen(vertices, faces, 1e-12)
    np.testing.assert_allclose(merged, vertices, atol=1e-6)
    np.testing.assert_array_equal(kept, faces)
    np.testing.assert_array_equal(became, np.arange(len(vertices)))
