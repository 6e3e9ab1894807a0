import numpy as np
import pytest
from skimage.measure import marching_cubes

from sam3d_bento.arrays import Float32
from sam3d_bento.export.mesh.holes import fill_holes
from sam3d_bento.export.mesh.surface import Surface, area_vectors
from tests.support.export_meshes import Mesh, blob, colour_at, soup, sphere, unbalanced_edges

BALL = sphere(160)  # edges about 0.009 long
PLACES = [(0.45, 0, 0), (0, 0.18, 0.4124), (-0.36, 0.162, 0.216)]


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
    done = fill_holes(broken)
    whole = done.surface
    assert (done.filled, done.kept) == (3, 0)
    assert unbalanced_edges(whole.faces) == 0
    assert len(whole.vertices) == len(whole.colours)
    new = slice(len(broken.vertices), None)
    np.testing.assert_allclose(np.linalg.norm(whole.vertices[new], axis=1), 0.45, atol=2e-4)
    np.testing.assert_allclose(whole.colours[new].astype(float), colour_at(whole.vertices[new]), atol=3)


def ragged(seed: int) -> Surface:
    """A ball of noisy voxels with 12 punched holes of one to three voxels, whose rims zigzag."""
    axis = np.linspace(-0.5, 0.5, 61)
    field = np.sqrt(sum(grid**2 for grid in np.meshgrid(axis, axis, axis, indexing="ij"))) - 0.45
    vertices, faces, _, _ = marching_cubes(field, 0)
    random = np.random.default_rng(seed)
    vertices = (vertices + random.normal(scale=0.06, size=vertices.shape)) / 60 - 0.5
    kept = np.ones(len(faces), bool)
    for place in vertices[random.choice(len(vertices), 12, replace=False)]:
        near = np.linalg.norm(vertices - place, axis=1) < random.uniform(1, 3) / 60
        kept &= ~near[faces].any(axis=1)
    return painted(vertices.astype(np.float32), faces[kept].astype(np.int32))


@pytest.mark.parametrize("seed", range(5))
def test_ragged_holes_of_a_noisy_surface_are_filled(seed: int) -> None:
    broken = ragged(seed)
    done = fill_holes(broken)
    assert done.filled >= 8, "some of the twelve may have met"
    assert done.kept <= 1, "a sliver that two holes left between them"
    assert unbalanced_edges(done.surface.faces) <= 4
    new = done.surface.vertices[len(broken.vertices) :]
    assert len(new) > 20
    np.testing.assert_allclose(np.linalg.norm(new, axis=1), 0.45, atol=0.3 / 60)


@pytest.mark.parametrize("corners", [8, 12, 24])
@pytest.mark.parametrize("stretch", [1.0, 1.5])
def test_an_opening_with_a_smooth_rim_is_meant(corners: int, stretch: float) -> None:
    plate = drilled(corners, stretch)
    done = fill_holes(plate)
    assert (done.filled, done.kept) == (0, 2), "the opening, and the outer border"
    assert done.surface is plate


def test_an_opening_with_straight_sides_is_meant() -> None:
    vertices, faces = grid(40)
    row, column = np.divmod(np.arange(len(faces)) % 1600, 40)
    window = (np.abs(column - 20) < 4) & (np.abs(row - 20) < 3)
    done = fill_holes(painted(vertices, faces[~window]))
    assert (done.filled, done.kept) == (0, 2)


def grid(cells: int) -> Mesh:
    """A flat sheet, 1 by 1."""
    axis = np.linspace(-0.5, 0.5, cells + 1)
    x, y = (values.ravel() for values in np.meshgrid(axis, axis))
    at = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    faces = np.concatenate(
        [np.stack([at, at + 1, at + cells + 1], 1), np.stack([at + 1, at + cells + 2, at + cells + 1], 1)]
    )
    return np.stack([x, y, 0 * x], 1).astype(np.float32), faces.astype(np.int32)


def drilled(corners: int, stretch: float) -> Surface:
    """A ring of faces between a smooth rim and a square border."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns), 0 * turns], 1)
    rings = [circle * [0.1 * scale * stretch, 0.1 * scale, 1] for scale in (1, 1.4, 2)]
    at, after = np.arange(corners), (np.arange(corners) + 1) % corners
    faces = [np.stack(t, 1) for t in ((at, at + corners, after), (after, at + corners, after + corners))]
    both = np.concatenate([*faces, *(face + corners for face in faces)])
    return painted(np.concatenate(rings).astype(np.float32), both.astype(np.int32))


def test_faces_that_fill_a_hole_face_outwards() -> None:
    broken = holed(BALL, 0.015)
    whole = fill_holes(broken).surface
    patch = whole.faces[len(broken.faces) :]
    outwards = np.einsum("ij,ij->i", area_vectors(whole.vertices, patch), whole.vertices[patch].mean(axis=1))
    assert len(patch) > 20
    assert (outwards > 0).all()


def test_a_ragged_end_of_a_tube_is_closed() -> None:
    vertices, faces = rod(rings=30, corners=8)
    cut = np.random.default_rng(1).integers(10, 13, 8)  # how far up each column of faces goes
    column, row = faces[:, 0] % 8, faces[:, 0] // 8
    done = fill_holes(painted(vertices, faces[row < cut[column]]))
    assert (done.filled, done.kept) == (1, 1), "the straight end is meant"


def test_an_opening_stays() -> None:
    broken = holed(BALL, 0.06)
    assert len(fill_holes(broken).surface.faces) == len(broken.faces)


def test_a_closed_surface_passes_through() -> None:
    surface = painted(*blob(40))
    assert fill_holes(surface).surface is surface


def test_a_small_sheet_gets_no_back() -> None:
    vertices, faces = BALL
    near = np.linalg.norm(vertices - np.float32([0.45, 0, 0]), axis=1) < 0.02
    sheet = painted(vertices, faces[near[faces].all(axis=1)])
    assert len(sheet.faces) > 5
    assert len(fill_holes(sheet).surface.faces) == len(sheet.faces)


def test_loose_triangles_get_no_back() -> None:
    surface = painted(*soup(500, 0.005))
    assert len(fill_holes(surface).surface.faces) == 500


def rod(rings: int, corners: int) -> Mesh:
    """The wall of a tube of radius 0.02."""
    turns = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    height = np.linspace(0, 0.02 * 2 * np.pi / corners * (rings - 1), rings)
    wall = [np.stack([0.02 * np.cos(turns), np.full(corners, y), -0.02 * np.sin(turns)], 1) for y in height]
    row, column = np.indices((rings - 1, corners))
    at, after = row * corners + column, row * corners + (column + 1) % corners
    faces = np.concatenate(
        [np.stack(t, -1).reshape(-1, 3) for t in ((at, after, at + corners), (after, after + corners, at + corners))]
    )
    return np.concatenate(wall).astype(np.float32), faces.astype(np.int32)


def test_the_end_of_a_thin_tube_stays_open() -> None:
    tube = painted(*rod(rings=30, corners=24))
    assert fill_holes(tube).filled == 0


def test_holes_that_touch_are_filled() -> None:
    vertices, faces = BALL
    corner = np.linalg.norm(vertices - np.float32([0.45, 0, 0]), axis=1).argmin()
    around = np.flatnonzero((faces == corner).any(axis=1))
    shared = [len(np.intersect1d(faces[around[0]], faces[other])) for other in around]
    surface = painted(vertices, np.delete(faces, [around[0], around[shared.index(1)]], axis=0))
    assert unbalanced_edges(surface.faces) == 6
    done = fill_holes(surface)
    assert (done.filled, done.kept) == (1, 0), "the two are one rim, which passes a vertex twice"
    assert unbalanced_edges(done.surface.faces) == 0
