import numpy as np
import pytest

from sam3d_bento.arrays import Float32
from sam3d_bento.export.mesh.holes import fill_holes
from sam3d_bento.export.mesh.surface import Surface, area_vectors
from tests.support.export_meshes import Mesh, blob, colour_at, soup, sphere, unbalanced_edges

BALL = sphere(160)  # edges about 0.009 long
PLACES = [(0.45, 0, 0), (0, 0.45, 0), (-0.36, 0.162, 0.216)]


def painted(vertices: Float32, faces: np.ndarray) -> Surface:
    return Surface(vertices, faces, np.rint(colour_at(vertices)).astype(np.uint8))


def holed(mesh: Mesh, radius: float, places: list[tuple[float, float, float]] = PLACES) -> Surface:
    vertices, faces = mesh
    near = np.zeros(len(vertices), bool)
    for place in places:
        near |= np.linalg.norm(vertices - np.float32(place), axis=1) < radius
    return painted(vertices, faces[~near[faces].any(axis=1)])


@pytest.mark.parametrize("radius", [0.005, 0.01, 0.015])
def test_small_holes_are_filled_with_the_colours_around_them(radius: float) -> None:
    broken = holed(BALL, radius)
    assert unbalanced_edges(broken.faces) > 0
    whole = fill_holes(broken)
    assert unbalanced_edges(whole.faces) == 0
    assert len(whole.vertices) == len(whole.colours) == len(broken.vertices) + 3
    new = slice(len(broken.vertices), None)
    np.testing.assert_allclose(np.linalg.norm(whole.vertices[new], axis=1), 0.45, atol=1e-3)
    np.testing.assert_allclose(whole.colours[new].astype(float), colour_at(whole.vertices[new]), atol=3)


def test_faces_that_fill_a_hole_face_outwards() -> None:
    broken = holed(BALL, 0.015)
    whole = fill_holes(broken)
    patch = whole.faces[len(broken.faces) :]
    outwards = np.einsum("ij,ij->i", area_vectors(whole.vertices, patch), whole.vertices[patch].mean(axis=1))
    assert len(patch) > 20
    assert (outwards > 0).all()


def test_an_opening_stays() -> None:
    broken = holed(BALL, 0.06)
    assert len(fill_holes(broken).faces) == len(broken.faces)


def test_a_closed_surface_passes_through() -> None:
    surface = painted(*blob(40))
    assert fill_holes(surface) is surface


def test_a_small_sheet_gets_no_back() -> None:
    vertices, faces = BALL
    near = np.linalg.norm(vertices - np.float32([0.45, 0, 0]), axis=1) < 0.02
    sheet = painted(vertices, faces[near[faces].all(axis=1)])
    assert len(sheet.faces) > 5
    assert len(fill_holes(sheet).faces) == len(sheet.faces)


def test_loose_triangles_get_no_back() -> None:
    surface = painted(*soup(500, 0.005))
    assert len(fill_holes(surface).faces) == 500


def test_the_end_of_a_thin_tube_stays_open() -> None:
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    rings = [np.stack([0.02 * np.cos(turns), np.full(24, y), -0.02 * np.sin(turns)], 1) for y in np.linspace(0, 1, 30)]
    row, column = np.indices((29, 24))
    at, after = row * 24 + column, row * 24 + (column + 1) % 24
    faces = np.concatenate(
        [np.stack(t, -1).reshape(-1, 3) for t in ((at, after, at + 24), (after, after + 24, at + 24))]
    )
    tube = painted(np.concatenate(rings).astype(np.float32), faces.astype(np.int32))
    assert len(fill_holes(tube).faces) == len(faces)


def test_holes_that_touch_are_left() -> None:
    vertices, faces = BALL
    corner = np.linalg.norm(vertices - np.float32([0.45, 0, 0]), axis=1).argmin()
    around = np.flatnonzero((faces == corner).any(axis=1))
    shared = [len(np.intersect1d(faces[around[0]], faces[other])) for other in around]
    surface = painted(vertices, np.delete(faces, [around[0], around[shared.index(1)]], axis=0))
    assert unbalanced_edges(surface.faces) == 6
    assert len(fill_holes(surface).faces) == len(surface.faces)
