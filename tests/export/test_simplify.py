import numpy as np
import pytest
import trimesh
from export_meshes import Mesh, blob, soup, sphere, tangle, unbalanced_edges

from sam3d_bento.export.simplify import simplify
from sam3d_bento.export.surface import face_areas

BLOB = blob(130)  # about 50,000 faces


def test_a_small_mesh_passes_through() -> None:
    vertices, faces = sphere(20)
    assert simplify(vertices, faces, len(faces)) == (vertices, faces)


@pytest.mark.parametrize("target", [1000, 1001, 5000, 20_000])
def test_the_shape_survives(target: int) -> None:
    vertices, faces = simplify(*BLOB, target)
    assert 0.95 * target <= len(faces) <= target
    assert (vertices.dtype, faces.dtype) == (np.float32, np.int32)
    assert unbalanced_edges(faces) == 0, "a closed surface stays closed"
    before, after = (trimesh.Trimesh(*mesh, process=False) for mesh in (BLOB, (vertices, faces)))
    assert after.volume == pytest.approx(before.volume, rel=0.02)
    assert after.area == pytest.approx(before.area, rel=0.03)


def test_nothing_degenerate_or_unused_is_left() -> None:
    vertices, faces = simplify(*BLOB, 3000)
    assert face_areas(vertices, faces).min() > 0
    assert set(faces.ravel().tolist()) == set(range(len(vertices)))


@pytest.mark.parametrize(("seed", "target"), [(7, 10_000), (8, 10_000), (3, 4000)])
def test_no_faces_are_left_back_to_back(seed: int, target: int) -> None:
    _, faces = simplify(*blob(160, seed), target)  # here the libraries leave two to four
    assert len(np.unique(np.sort(faces, axis=1), axis=0)) == len(faces)


def test_no_needles_are_left() -> None:
    vertices, faces = simplify(*BLOB, 20_000)
    edges = np.linalg.norm(vertices[faces] - vertices[np.roll(faces, 1, axis=1)], axis=2)
    assert edges.min() > 0.03 * np.median(edges)


def fan(blades: int) -> Mesh:
    """Triangles that all share one edge."""
    angle = np.linspace(0, 6, blades)
    tips = np.stack([0.4 * np.cos(angle), np.zeros(blades), 0.4 * np.sin(angle)], axis=1)
    faces = np.stack([np.zeros(blades), np.ones(blades), np.arange(blades) + 2], axis=1)
    return np.vstack([[[0, 0, 0], [0, 0.4, 0]], tips]).astype(np.float32), faces.astype(np.int32)


def hairs(count: int) -> Mesh:
    """Needles only."""
    vertices, faces = soup(count, 0.1)
    vertices[2::3] = vertices[1::3] + np.float32([0, 1e-4, 0])
    return vertices, faces


@pytest.mark.parametrize(
    "mesh",
    [soup(3000, 0.05), soup(8000, 0.01), tangle(3000, 100), tangle(3000, 3000), fan(3000), hairs(3000)],
    ids=["large triangles", "small triangles", "few vertices", "many vertices", "fan", "hairs"],
)
def test_what_the_libraries_cannot_reduce_meets_the_target_too(mesh: Mesh) -> None:
    vertices, faces = simplify(*mesh, 1000)
    assert 0 < len(faces) <= 1000
    assert np.isfinite(vertices).all()


def test_the_two_sides_of_a_sheet_survive() -> None:
    axis = np.linspace(-0.5, 0.5, 40)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    corner = (np.arange(39)[:, None] * 40 + np.arange(39)).ravel()
    front = np.vstack(
        [np.stack([corner, corner + 1, corner + 40], 1), np.stack([corner + 1, corner + 41, corner + 40], 1)]
    )
    faces = np.vstack([front, front[:, ::-1]]).astype(np.int32)
    vertices, faces = simplify(np.stack([x, y, 0.1 * np.sin(9 * x)], axis=1).astype(np.float32), faces, 1000)
    up = (
        np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])[:, 2] > 0
    )
    areas = face_areas(vertices, faces)
    assert areas[up].sum() == pytest.approx(areas[~up].sum(), rel=0.05)
    assert areas[up].sum() > 0.8
