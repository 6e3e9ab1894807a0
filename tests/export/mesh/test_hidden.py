import numpy as np
from skimage.measure import marching_cubes

from sam3d_bento.arrays import Bool
from sam3d_bento.export.mesh.hidden import visible
from tests.support.export_meshes import Mesh, blob, joined, sphere


def seen(mesh: Mesh) -> Bool:
    return visible(*mesh)


def inside_out(mesh: Mesh) -> Mesh:
    return mesh[0], np.ascontiguousarray(mesh[1][:, ::-1])


def cup(depth: float, resolution: int = 90) -> Mesh:
    """Closed and watertight: a thick-walled tube of inner diameter 0.2 with a floor, so many diameters deep."""
    axis = np.linspace(-0.5, 0.5, resolution)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    scale = 0.95 / (0.2 * depth)
    bore = np.maximum(np.hypot(x, z) - 0.1 * scale, -0.44 - y)
    field = np.maximum(np.maximum(np.hypot(x, z) - 0.14 * scale, np.abs(y) - 0.475), -bore)
    vertices, faces, _, _ = marching_cubes(field, 0)
    return (vertices / (resolution - 1) - 0.5).astype(np.float32), faces.astype(np.int32)


def test_all_of_a_plain_object_is_visible() -> None:
    assert seen(blob(100)).all()


def test_piece_in_a_closed_hollow_is_not_visible() -> None:
    outer, inner, core = sphere(60), sphere(60, radius=0.43), sphere(40, radius=0.2)
    found = seen(joined(outer, inside_out(inner), core))
    count = len(outer[1])
    assert found[:count].all()
    assert not found[count:].any()


def bowl_with_a_gap() -> Mesh:
    """A sphere with a gap towards +x."""
    vertices, faces = sphere(80)
    gap = np.linalg.norm(vertices[faces].mean(axis=1) - [0.45, 0, 0], axis=1) < 0.1
    return vertices, faces[~gap]


def test_of_an_open_piece_a_small_hole_shows_what_is_behind_it() -> None:
    outer, (vertices, core) = bowl_with_a_gap(), sphere(60, radius=0.35)
    open_core = core[5:]
    found = seen(joined(outer, (vertices, open_core)))
    towards = vertices[open_core].mean(axis=1)[:, 0] > 0.33
    inner = found[len(outer[1]) :]
    assert inner[towards].all()
    assert inner.mean() < 0.6


def test_a_closed_piece_that_is_seen_a_little_stays_whole() -> None:
    assert seen(joined(bowl_with_a_gap(), sphere(60, radius=0.35))).all()


def test_the_inside_of_a_deep_cup_stays() -> None:
    mesh = cup(depth=4)
    assert len(mesh[1]) > 5000
    assert seen(mesh).all()


def test_both_sides_of_thin_and_open_sheets_stay() -> None:
    vertices, faces = sphere(60)
    bowl = faces[vertices[faces].mean(axis=1)[:, 1] < 0.1]
    assert seen((vertices, bowl)).all()
    assert seen(inside_out((vertices, bowl))).all()
    axis = np.linspace(-0.4, 0.4, 50, dtype=np.float32)
    x, z = (grid.ravel() for grid in np.meshgrid(axis, axis))
    corner = (np.arange(49)[:, None] * 50 + np.arange(49)).ravel()
    front = np.concatenate(
        [np.stack([corner, corner + 50, corner + 1], 1), np.stack([corner + 1, corner + 50, corner + 51], 1)]
    )
    sheet = np.stack([x, 0 * x, z], axis=1), front.astype(np.int32)
    thin = joined(sheet, inside_out((sheet[0] - np.float32([0, 0.002, 0]), sheet[1])))
    assert seen(sheet).all()
    assert seen(thin).all()


def test_a_piece_that_is_inside_out_stays() -> None:
    good, bad = sphere(40, radius=0.2, centre=(-0.25, 0, 0)), sphere(40, radius=0.2, centre=(0.25, 0, 0))
    assert seen(joined(good, inside_out(bad))).all()


def test_equal_meshes_give_equal_answers() -> None:
    mesh = joined(sphere(80), cup(depth=6))
    np.testing.assert_array_equal(seen(mesh), seen(mesh))


def test_a_piece_that_is_inside_out_stays_though_rays_go_on_escaping_from_another() -> None:
    vertices, faces = inside_out(sphere(60, radius=0.2))
    found = seen(joined(cup(depth=4), (vertices + np.float32([2, 0, 0]), faces)))
    assert found.all()


def test_a_sealed_core_is_hidden_though_rays_go_on_escaping_from_another() -> None:
    deep, outer, core = cup(depth=6), sphere(60, radius=0.45), sphere(60, radius=0.3)
    aside = [(vertices + np.float32([2, 0, 0]), faces) for vertices, faces in (outer, core)]
    found = seen(joined(deep, *aside))
    visible_faces = len(deep[1]) + len(outer[1])
    assert found[:visible_faces].all()
    assert not found[visible_faces:].any()
