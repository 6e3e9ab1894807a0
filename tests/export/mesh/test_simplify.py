from itertools import pairwise

import numpy as np
import pytest
import trimesh
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from sam3d_bento.arrays import Bool
from sam3d_bento.export.mesh.simplify import simplify, simplify_visible
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.mesh.topology import at_border
from sam3d_bento.export.mesh.volume import closed_volume
from tests.support.export_meshes import (
    Mesh,
    blob,
    grid_faces,
    joined,
    soup,
    sphere,
    surface,
    tangle,
    unbalanced_edges,
)

BLOB = blob(130)  # about 50,000 faces


def test_a_small_mesh_passes_through() -> None:
    vertices, faces = sphere(20)
    assert simplify(surface(vertices, faces), len(faces)) == (vertices, faces)


@pytest.mark.parametrize("target", [1000, 1001, 5000, 20_000])
def test_the_shape_survives(target: int) -> None:
    vertices, faces = simplify(surface(*BLOB), target)
    assert 0.95 * target <= len(faces) <= target
    assert (vertices.dtype, faces.dtype) == (np.float32, np.int32)
    assert unbalanced_edges(faces) == 0, "a closed surface stays closed"
    before, after = (trimesh.Trimesh(*mesh, process=False) for mesh in (BLOB, (vertices, faces)))
    assert after.volume == pytest.approx(before.volume, rel=0.02)
    assert after.area == pytest.approx(before.area, rel=0.03)


def test_no_unused_vertex_is_left() -> None:
    vertices, faces = simplify(surface(*BLOB), 3000)
    assert set(faces.ravel().tolist()) == set(range(len(vertices)))


def test_thin_rods_with_few_faces_keep_their_volume() -> None:
    mesh = rods(8, radius=0.005)
    vertices, faces = simplify(surface(*mesh), 1000)  # a tenth of it is lost on the way
    assert closed_volume(vertices, faces) == pytest.approx(closed_volume(*mesh), rel=0.01)


def test_no_needles_are_left() -> None:
    vertices, faces = simplify(surface(*BLOB), 20_000)
    edges = np.linalg.norm(vertices[faces] - vertices[np.roll(faces, 1, axis=1)], axis=2)
    assert edges.min() > 0.03 * np.median(edges)


def silhouettes(mesh: Mesh, size: int = 192) -> Bool:
    """(12, size, size) which points of a grid the mesh covers, seen from far away in twelve directions."""
    rays = surface(*mesh).rays
    across = np.linspace(-0.75, 0.75, size)
    found = []
    for number in range(12):
        height, turn = (number + 0.5) / 6 - 1, 2.4 * number
        back = np.array([np.sqrt(1 - height**2) * np.cos(turn), height, np.sqrt(1 - height**2) * np.sin(turn)])
        right = np.cross([0, 1, 0], back) / np.linalg.norm(np.cross([0, 1, 0], back))
        eyes = 2 * back + across[:, None, None] * np.cross(back, right) + across[None, :, None] * right
        eyes = eyes.reshape(-1, 3).astype(np.float32)
        found.append(rays.faces_met(eyes, np.broadcast_to(-back, eyes.shape).astype(np.float32)) >= 0)
    return np.array(found)


def rods(count: int, radius: float) -> Mesh:
    """Closed rods, 0.9 long, 0.05 apart, of 14,400 faces each with edges 0.002 long."""
    sections, rings = 16, 450
    turn, height = np.linspace(0, 2 * np.pi, sections, endpoint=False), np.linspace(-0.45, 0.45, rings)[:, None]
    wall = np.stack(np.broadcast_arrays(radius * np.cos(turn), height, -radius * np.sin(turn)), axis=-1)
    vertices = np.vstack([wall.reshape(-1, 3), [[0, -0.45, 0], [0, 0.45, 0]]])
    row, column = np.indices((rings - 1, sections))
    at, after = row * sections + column, row * sections + (column + 1) % sections
    faces = [np.stack(face, -1).reshape(-1, 3) for face in ((at, after, at + 16), (after, after + 16, at + 16))]
    bottom, top = len(vertices) - 2, len(vertices) - 1
    faces += [np.stack([np.full(sections, bottom), after[0], at[0]], axis=1)]
    faces += [np.stack([np.full(sections, top), at[-1] + 16, after[-1] + 16], axis=1)]
    triangles = np.concatenate(faces).astype(np.int32)
    places = [np.array([0.05 * number, 0, 0]) for number in range(count)]
    return joined(*(((vertices + place).astype(np.float32), triangles) for place in places))


@pytest.mark.parametrize("target", [2000, 8000])
def test_silhouettes_are_kept(target: int) -> None:
    before, after = silhouettes(BLOB), silhouettes(simplify(surface(*BLOB), target))
    assert (before & after).sum() / (before | after).sum() > 0.99


def test_rods_of_one_percent_survive() -> None:
    mesh = rods(8, radius=0.005)
    vertices, faces = simplify(surface(*mesh), 8000)
    assert unbalanced_edges(faces) == 0
    before, after = (trimesh.Trimesh(*one, process=False) for one in (mesh, (vertices, faces)))
    assert after.volume == pytest.approx(before.volume, rel=0.05)
    for number in range(8):
        rod = vertices[np.abs(vertices[:, 0] - 0.05 * number) < 0.02]
        np.testing.assert_allclose(np.ptp(rod, axis=0), [0.01, 0.9, 0.01], atol=0.001)


def test_no_face_is_spent_on_what_nobody_sees() -> None:
    outer, inner = sphere(100), sphere(100, radius=0.4)
    hollow = joined(outer, (inner[0], inner[1][:, ::-1]))
    vertices, faces = simplify_visible(surface(*hollow), 5000)
    assert 4750 <= len(faces) <= 5000
    assert np.linalg.norm(vertices, axis=1).min() > 0.44
    assert unbalanced_edges(faces) == 0


def test_a_cavity_behind_a_small_opening_stays() -> None:
    mesh = shell_with_a_pore()
    vertices, faces = simplify_visible(surface(*mesh), 6000)
    assert unbalanced_edges(faces) == 0
    assert closed_volume(vertices, faces) == pytest.approx(closed_volume(*mesh), rel=0.02)
    assert np.linalg.norm(vertices, axis=1).min() < 0.32, "the wall of the cavity"


def shell_with_a_pore() -> Mesh:
    """A closed surface: a thick shell around a cavity that a narrow pore leads into."""
    axis = np.linspace(-0.5, 0.5, 90)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    shell = np.abs(np.sqrt(x**2 + y**2 + z**2) - 0.38) - 0.07
    pore = np.maximum(np.hypot(x, z) - 0.025, -y)
    vertices, faces, _, _ = marching_cubes(np.maximum(shell, -pore), 0, gradient_direction="ascent")
    return (vertices / 89 - 0.5).astype(np.float32), faces.astype(np.int32)


def test_all_is_seen_of_what_has_nothing_hidden() -> None:
    ball = surface(*sphere(110))
    together, apart = simplify_visible(ball, 5000), simplify(ball, 5000)
    np.testing.assert_array_equal(together[0], apart[0])
    np.testing.assert_array_equal(together[1], apart[1])


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
def test_mesh_that_libraries_cannot_reduce_meets_the_target(mesh: Mesh) -> None:
    vertices, faces = simplify(surface(*mesh), 1000)
    assert 0 < len(faces) <= 1000
    assert np.isfinite(vertices).all()


def test_the_two_sides_of_a_sheet_survive() -> None:
    axis = np.linspace(-0.5, 0.5, 40)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    front = grid_faces(40)
    faces = np.vstack([front, front[:, ::-1]])
    vertices, faces = simplify(surface(np.stack([x, y, 0.1 * np.sin(9 * x)], axis=1).astype(np.float32), faces), 1000)
    up = (
        np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])[:, 2] > 0
    )
    areas = face_areas(vertices, faces)
    assert areas[up].sum() == pytest.approx(areas[~up].sum(), rel=0.05)
    assert areas[up].sum() > 1.1, "of 1.19: the rim stays"


@pytest.mark.parametrize("target", [5000, 15_000])
def test_a_border_keeps_its_place(target: int) -> None:
    """A ball with three openings; edges are about 0.0085 long."""
    vertices, faces = BLOB
    places = np.float32([[0.3, 0, 0], [0, 0.3, 0], [0, 0, 0.3]])
    near = np.linalg.norm(vertices[:, None] - places, axis=2).min(axis=1) < 0.12
    faces = faces[~near[faces].any(axis=1)]
    rim = vertices[at_border(len(vertices), faces)]
    assert len(rim) > 100
    reduced, fewer = simplify(surface(vertices, faces), target)
    left = reduced[at_border(len(reduced), fewer)]
    assert KDTree(rim).query(left)[0].max() < 0.5 * 0.0085
    outline = trimesh.Trimesh(reduced, fewer, process=False).outline()
    along = np.concatenate([line.discrete(outline.vertices) for line in outline.entities])
    ends = np.concatenate([np.linspace(a, b, 20) for a, b in pairwise(along)])
    assert KDTree(ends).query(rim)[0].max() < 0.5 * 0.0085


def test_a_border_of_few_vertices_keeps_them_all_and_its_corners() -> None:
    axis = np.linspace(-0.5, 0.5, 101)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    sheet = surface(np.stack([x, y, 0.1 * np.sin(9 * x)], axis=1).astype(np.float32), grid_faces(101))
    reduced, fewer = simplify(sheet, 4000)
    assert len(fewer) > 3900
    before, after = (
        sorted(map(tuple, places[at_border(len(places), among)]))
        for places, among in ((sheet.vertices, sheet.faces), (reduced, fewer))
    )
    assert after == before


def test_a_small_opening_of_short_edges_stays_open() -> None:
    """A bowl whose foot is open: its edges there are a hundredth of the others."""
    along, turn = np.meshgrid(np.linspace(0.02, 1.9, 60), np.linspace(0, 2 * np.pi, 200, endpoint=False), indexing="ij")
    places = np.stack([np.sin(along) * np.cos(turn), -np.cos(along), np.sin(along) * np.sin(turn)], axis=-1) * 0.45
    here = (np.arange(59)[:, None] * 200 + np.arange(200)).ravel()
    right = (np.arange(59)[:, None] * 200 + (np.arange(200) + 1) % 200).ravel()
    faces = np.vstack([np.stack([here, right, here + 200], 1), np.stack([right, right + 200, here + 200], 1)])
    vertices, faces = simplify(surface(places.reshape(-1, 3).astype(np.float32), faces.astype(np.int32)), 8000)
    rim = vertices[at_border(len(vertices), faces)]
    assert np.count_nonzero(rim[:, 1] < -0.44) == 200
    assert np.count_nonzero(rim[:, 1] > 0.1) == 200


@pytest.mark.slow
@pytest.mark.parametrize(("target", "accuracy"), [(1000, 0.1), (6000, 0.01)])
def test_a_closed_mesh_of_slender_faces_stays_closed(target: int, accuracy: float) -> None:
    tube = trimesh.creation.annulus(0.2, 0.21, 0.9, sections=300).subdivide().subdivide()
    mesh = tube.vertices.astype(np.float32), tube.faces.astype(np.int32)  # no library reduces it
    vertices, faces = simplify(surface(*mesh), target)
    assert target / 2 < len(faces) <= target
    assert unbalanced_edges(faces) == 0
    assert closed_volume(vertices, faces) == pytest.approx(closed_volume(*mesh), rel=accuracy)
