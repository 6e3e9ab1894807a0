from collections.abc import Callable

import numpy as np
import pytest
import trimesh

from sam3d_bento.arrays import Float32, Floats
from sam3d_bento.errors import BadResult
from sam3d_bento.export.mesh.degenerate import contract
from sam3d_bento.export.mesh.repair import SEPARATION, repair
from sam3d_bento.export.mesh.simplify import simplify, simplify_visible
from sam3d_bento.export.mesh.topology import edges, is_watertight
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
from tests.support.silhouettes import assert_solid, dense_surface


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Mesh:
    mesh = trimesh.creation.box(bounds=np.array([low, high], float))
    return mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)


def welded(*meshes: Mesh) -> Mesh:
    """The meshes as one, vertices at equal places being one vertex."""
    vertices, faces = joined(*meshes)
    places, place = np.unique(vertices, axis=0, return_inverse=True)
    return places, place.reshape(-1)[faces].astype(np.int32)


def tetrahedron(*corners: tuple[float, float, float]) -> Mesh:
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
    vertices = np.array(corners, np.float32)
    return (vertices, faces) if closed_volume(vertices, faces) > 0 else (vertices, faces[:, ::-1].copy())


def wedges(count: int) -> Mesh:
    """So many tetrahedra around one edge, with gaps between them."""
    turns = np.linspace(0, 2 * np.pi, 2 * count, endpoint=False)
    tips = [(0.3 * np.cos(turn), 0.3 * np.sin(turn), 0.0) for turn in turns]
    ends = (0, 0, -0.2), (0, 0, 0.2)
    return welded(*(tetrahedron(*ends, tips[2 * k], tips[2 * k + 1]) for k in range(count)))


def hollow_cubes_inside() -> Mesh:
    """A cube with two cubic hollows that touch along an edge."""
    hollows = [box((-0.2, -0.2, -0.2), (0, 0, 0.2)), box((0, 0, -0.2), (0.2, 0.2, 0.2))]
    return welded(box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5)), *((v, f[:, ::-1].copy()) for v, f in hollows))


def pinched_rod(sections: int) -> Mesh:
    """A square rod along x whose cross-section is a line without width at every second ring."""
    rings = []
    for number in range(sections):
        half = 0.05 if number % 2 == 0 else 0.0
        x = number / sections - 0.5
        rings.append([(x, y, z * half) for y, z in ((-0.1, -1), (0.1, -1), (0.1, 1), (-0.1, 1))])
    ring, corner = np.indices((sections - 1, 4))
    at, beside = 4 * ring + corner, 4 * ring + (corner + 1) % 4
    sides = [np.stack(side, axis=-1).reshape(-1, 3) for side in ((at, at + 4, beside), (beside, at + 4, beside + 4))]
    last = 4 * (sections - 1)
    ends = [[[0, 1, 2], [0, 2, 3]], [[last, last + 2, last + 1], [last, last + 3, last + 2]]]
    vertices, faces = np.array(rings, np.float32).reshape(-1, 3), np.vstack([*sides, *ends]).astype(np.int32)
    if closed_volume(vertices, faces) < 0:
        faces = faces[:, ::-1].copy()
    vertices, faces = welded((vertices, faces))
    return vertices, faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]


def with_a_fin() -> Mesh:
    """A ball on one edge of which two faces stand back to back."""
    vertices, faces = sphere(20)
    start, end = faces[300, :2]
    tip = len(vertices)
    fin = np.array([[start, end, tip], [end, start, tip]], np.int32)
    return np.vstack([vertices, vertices[start] * 1.2]).astype(np.float32), np.vstack([faces, fin])


def tori() -> Mesh:
    """Two tori, each through the other's hole."""
    ring = trimesh.creation.torus(0.25, 0.05, major_sections=30, minor_sections=12)
    other = ring.copy()
    other.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    other.apply_translation([0.25, 0, 0])
    return joined(*((mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)) for mesh in (ring, other)))


TOUCHING: dict[str, Callable[[], Mesh]] = {
    "cubes at an edge": lambda: welded(box((0, 0, 0), (0.3, 0.3, 0.3)), box((0.3, 0.3, 0), (0.6, 0.6, 0.3))),
    "cubes at a corner": lambda: welded(box((0, 0, 0), (0.3, 0.3, 0.3)), box((0.3, 0.3, 0.3), (0.6, 0.6, 0.6))),
    "cubes in a chain": lambda: welded(
        *(box((k / 9, k / 9, 0), (k / 9 + 1 / 9, k / 9 + 1 / 9, 0.1)) for k in range(8))
    ),
    "cubes at an edge, as two pieces": lambda: joined(
        box((0, 0, 0), (0.3, 0.3, 0.3)), box((0.3, 0.3, 0), (0.6, 0.6, 0.3))
    ),
    "two wedges": lambda: wedges(2),
    "three wedges": lambda: wedges(3),
    "seven wedges": lambda: wedges(7),
    "a cone in a cone": lambda: welded(
        tetrahedron((0, 0, 0), (0.4, 0, 0.4), (-0.2, 0.35, 0.4), (-0.2, -0.35, 0.4)),
        (lambda v, f: (v, f[:, ::-1].copy()))(
            *tetrahedron((0, 0, 0), (0.2, 0, 0.3), (-0.1, 0.17, 0.3), (-0.1, -0.17, 0.3))
        ),
    ),
    "hollows at an edge": hollow_cubes_inside,
    "a pinched rod": lambda: pinched_rod(9),
    "a ball on a plate": lambda: welded(
        tetrahedron((0, 0, 0), (0.2, 0, 0.3), (-0.1, 0.17, 0.3), (-0.1, -0.17, 0.3)),
        (
            np.array(
                [[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -0.5]],
                np.float32,
            ),
            np.array(
                [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [5, 2, 1], [5, 3, 2], [5, 4, 3], [5, 1, 4]],
                np.int32,
            ),
        ),
    ),
}


@pytest.mark.parametrize("make", TOUCHING.values(), ids=TOUCHING)
def test_touching_parts_are_separated_and_closed(make: Callable[[], Mesh]) -> None:
    vertices, faces = make()
    assert unbalanced_edges(faces) == 0
    repaired, their = repair(vertices, faces)
    assert is_watertight(repaired, their)
    assert assert_solid(repaired, their) == pytest.approx(closed_volume(vertices, faces), rel=0.005)
    assert len(their) == len(faces)
    assert np.abs(repaired[their] - vertices[faces]).max() <= 2 * SEPARATION, "nothing moves further"


@pytest.mark.parametrize("make", TOUCHING.values(), ids=TOUCHING)
def test_the_solids_do_not_cross_where_they_touched(make: Callable[[], Mesh]) -> None:
    vertices, faces = repair(*make())
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    for number, face in enumerate(faces):
        others = np.delete(np.arange(len(faces)), number)
        apart = ~np.isin(faces[others], face).any(axis=1)
        assert not crossed(vertices[face], mesh.triangles[others[apart]].astype(np.float64))


def crossed(triangle: Float32, others: Floats) -> bool:
    """Return whether an edge of the triangle (3, 3) passes through one of the others (N, 3, 3).

    Moeller and Trumbore: Fast, Minimum Storage Ray/Triangle Intersection (1997).
    """
    origin, first, second = others[:, 0], others[:, 1] - others[:, 0], others[:, 2] - others[:, 0]
    for start, end in zip(triangle.astype(np.float64), np.roll(triangle, -1, axis=0).astype(np.float64), strict=True):
        way = end - start
        across = np.cross(way, second)
        scale = np.einsum("ij,ij->i", first, across)
        scale = np.where(abs(scale) > 1e-12, scale, np.inf)  # parallel to the edge
        upright = np.cross(start - origin, first)
        u = np.einsum("ij,ij->i", start - origin, across) / scale
        v, t = upright @ way / scale, np.einsum("ij,ij->i", second, upright) / scale
        if ((u > 0) & (v > 0) & (u + v < 1) & (t > 0) & (t < 1)).any():
            return True
    return False


def test_a_fin_of_two_faces_back_to_back_vanishes() -> None:
    vertices, faces = with_a_fin()
    repaired, their = repair(vertices, faces)
    np.testing.assert_array_equal(their, faces[:-2])
    np.testing.assert_array_equal(repaired, vertices[:-1])


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "target"), [(7, 10_000), (8, 10_000), (3, 4000)])
def test_no_faces_are_left_back_to_back(seed: int, target: int) -> None:
    vertices, faces = repair(*simplify(surface(*blob(160, seed)), target))  # here the libraries leave two to four
    assert len(np.unique(np.sort(faces, axis=1), axis=0)) == len(faces)
    assert_solid(vertices, faces)


def sheet(rows: int) -> Mesh:
    """A curved sheet whose two sides have their vertices in common."""
    axis = np.linspace(-0.5, 0.5, rows)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    front = grid_faces(rows)
    vertices = np.stack([x, y, 0.1 * np.sin(9 * x)], axis=1).astype(np.float32)
    return vertices, np.vstack([front, front[:, ::-1]])


@pytest.mark.parametrize("rows", [2, 3, 4, 20])
def test_the_two_sides_of_a_sheet_become_a_thin_solid(rows: int) -> None:
    vertices, faces = repair(*sheet(rows))
    assert len(faces) == len(sheet(rows)[1])
    assert is_watertight(vertices, faces)
    if rows > 2:  # two triangles back to back are closed, and enclose nothing
        assert assert_solid(vertices, faces) > 0


SOUND = {"ball": sphere(20), "blob": blob(40), "tori through each other": tori(), "rows": joined(sphere(6), sphere(6))}


@pytest.mark.parametrize("name", ["ball", "blob", "tori through each other"])
def test_a_sound_surface_is_returned_as_it_is(name: str) -> None:
    vertices, faces = SOUND[name]
    repaired, their = repair(vertices, faces)
    np.testing.assert_array_equal(repaired, vertices)
    np.testing.assert_array_equal(their, faces)


def test_two_equal_pieces_at_one_place_are_moved_apart() -> None:
    vertices, faces = repair(*SOUND["rows"])
    assert is_watertight(vertices, faces)
    assert len(faces) == 2 * len(sphere(6)[1])


@pytest.mark.parametrize(
    "mesh",
    [soup(50, 0.1), tangle(300, 60), (sphere(12)[0], sphere(12)[1][9:])],
    ids=["triangles that touch nowhere", "any triangles", "ball with a hole"],
)
def test_an_open_piece_stays_as_it_is(mesh: Mesh) -> None:
    closed = wedges(3)
    alone, _ = repair(*mesh)
    vertices, faces = repair(*joined((mesh[0] + np.float32([5, 0, 0]), mesh[1]), closed))
    there = vertices[faces][:, :, 0].min(axis=1) > 2
    np.testing.assert_array_equal(vertices[faces[there]], (mesh[0] + np.float32([5, 0, 0]))[mesh[1]])
    np.testing.assert_array_equal(alone, mesh[0][np.unique(mesh[1])])
    assert_solid(vertices, faces[~there])
    assert not is_watertight(vertices, faces)


def broken(seed: int) -> Mesh:
    """A closed surface after edges and whatever else became one point, some of it on a coarse grid."""
    random = np.random.default_rng(seed)
    ring = trimesh.creation.torus(
        0.3, 0.05, major_sections=random.integers(5, 30), minor_sections=random.integers(3, 6)
    )
    vertices, faces = [
        sphere(8),
        blob(14, seed),
        joined(sphere(6, 0.2, (-0.2, 0, 0)), sphere(6, 0.2, (0.2, 0, 0))),
        (ring.vertices.astype(np.float32), ring.faces.astype(np.int32)),
    ][seed % 4]
    some = faces[random.integers(len(faces), size=random.integers(1, len(faces) // 6))]
    faces = contract(len(vertices), faces, some[:, 0], some[:, 1])
    faces = contract(len(vertices), faces, *random.choice(faces.ravel(), (2, random.integers(1, 6))))
    if random.random() < 0.3:
        vertices = (np.round(vertices * 8) / 8).astype(np.float32)
    return vertices, faces


@pytest.mark.parametrize("seed", range(60))
def test_surface_is_closed_after_merging(seed: int) -> None:
    vertices, faces = broken(seed)
    repaired, their = repair(vertices, faces)
    assert len(their) <= len(faces)
    assert is_watertight(repaired, their)
    assert_solid(repaired, their)


def test_equal_meshes_give_equal_answers() -> None:
    once, again = repair(*broken(3)), repair(*broken(3))
    np.testing.assert_array_equal(once[0], again[0])
    np.testing.assert_array_equal(once[1], again[1])


def test_a_surface_without_area_is_a_bad_result() -> None:
    line = np.linspace(0, 1, 9, dtype=np.float32)[:, None].repeat(3, axis=1)
    with pytest.raises(BadResult, match="Nothing is left"):
        repair(line, np.arange(9, dtype=np.int32).reshape(3, 3))


def test_each_edge_of_a_repaired_mesh_has_two_faces_by_index_too() -> None:
    faces = repair(*broken(5))[1]
    assert edges(faces).plain().all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_silhouettes_are_watertight_at_every_size(seed: int) -> None:
    assert_solid_at_every_size(seed)


def assert_solid_at_every_size(seed: int) -> None:
    """Assert that the model of the silhouette `seed` is closed, with few faces and with many, and that it keeps its
    volume from 6,000 faces on."""
    dense = dense_surface(seed)
    assert is_watertight(dense.vertices, dense.faces)
    volume = closed_volume(dense.vertices, dense.faces)
    for target in (1000, 6000, 40_000):
        vertices, faces = repair(*simplify_visible(dense, target))
        assert len(faces) <= target
        assert is_watertight(vertices, faces)
        solid = assert_solid(vertices, faces)
        if target >= 6000:
            assert solid == pytest.approx(volume, rel=0.02)
