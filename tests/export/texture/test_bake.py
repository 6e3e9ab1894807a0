import numpy as np
import pytest

from sam3d_bento.arrays import UInt8
from sam3d_bento.errors import Cancelled
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.simplify import simplify
from sam3d_bento.export.mesh.surface import Surface, face_areas, vertex_normals
from sam3d_bento.export.texture.bake import bake
from sam3d_bento.export.texture.colour_source import choose_source
from sam3d_bento.export.uv.unwrap import UnwrappedMesh, unwrap
from sam3d_bento.progress import OnProgress, silent
from sam3d_bento.reconstruction import Reconstruction
from tests.support.export_meshes import Floats, Mesh, blob, colour_at, grid_faces, painted, sampled, sphere

SIZE = 512


class Baked:
    """Dense surface, its simplified and unwrapped mesh, and the texture."""

    def __init__(self, dense: Surface, target_faces: int) -> None:
        vertices, faces = simplify(dense, target_faces)
        self.unwrapped: UnwrappedMesh = unwrap(vertices, faces, SIZE)
        self.positions = vertices[self.unwrapped.vertex_map]
        self.normals = vertex_normals(vertices, faces)[self.unwrapped.vertex_map]
        self.dense = dense
        self.texture = self.bake()

    def bake(self, on_progress: OnProgress = silent) -> UInt8:
        parts = self.unwrapped
        source = choose_source(self.dense, None, "auto")
        return bake(self.positions, self.normals, parts.uv, parts.faces, source, SIZE, on_progress)[0]

    def surface_points(self, count: int) -> tuple[Floats, Floats]:
        """Draw random points of random faces: places (N, 3) and texture coordinates (N, 2)."""
        random = np.random.default_rng(0)
        corners = random.choice(self.unwrapped.faces, count)
        weights = random.dirichlet([1, 1, 1], count)[:, :, None]
        return (self.positions[corners] * weights).sum(axis=1), (self.unwrapped.uv[corners] * weights).sum(axis=1)


@pytest.fixture(scope="module", params=["sphere", "blob"])
def baked(request: pytest.FixtureRequest) -> Baked:
    shapes: dict[str, Mesh] = {"sphere": sphere(120), "blob": blob(130)}
    return Baked(clean(painted(shapes[request.param])), 3000)


def test_colours_match_the_dense_surface(baked: Baked) -> None:
    points, uv = baked.surface_points(100_000)
    difference = sampled(baked.texture, uv) - colour_at(points)
    assert np.abs(difference).mean() < 0.6  # rounding twice costs 0.5 at most, 0.3 in the mean
    assert np.percentile(np.abs(difference), 99.9) < 3
    assert np.abs(difference.mean(axis=0)).max() < 0.1


def test_no_seam_shows(baked: Baked) -> None:
    difference = sampled(baked.texture, baked.unwrapped.uv) - colour_at(baked.positions)
    split = np.bincount(baked.unwrapped.vertex_map)[baked.unwrapped.vertex_map] > 1
    assert split.sum() > 100
    assert np.percentile(np.abs(difference[split]), 99) < 3
    # The two sides of a seam read their colour from different places of the texture; the colours must agree.
    order = np.argsort(baked.unwrapped.vertex_map[split], kind="stable")
    vertex = baked.unwrapped.vertex_map[split][order]
    colour = sampled(baked.texture, baked.unwrapped.uv)[split][order]
    jump = np.abs(colour[1:] - colour[:-1])[vertex[1:] == vertex[:-1]]
    assert np.percentile(jump, 99) < 4


def test_every_texel_is_painted(baked: Baked) -> None:
    assert baked.texture.shape == (SIZE, SIZE, 3)
    assert baked.texture.min() >= baked.dense.colours.min()


def test_charts_of_strong_contrast_do_not_bleed() -> None:
    # Each face of a cube has another colour and separate charts; neighbours in the texture are arbitrary.
    axis = np.linspace(-0.4, 0.4, 12)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    side = grid_faces(12)
    vertices, faces, colours = [], [], []
    for number, turn in enumerate([(0, 1, 2), (1, 2, 0), (2, 0, 1)]):
        for sign in (-1, 1):
            # The sides stand slightly apart, so that they are not welded together.
            plate = np.stack([x, y, np.full_like(x, sign * 0.45)], axis=1)[:, turn]
            faces.append((side if sign > 0 else side[:, ::-1]) + sum(map(len, vertices)))
            vertices.append(plate)
            colours.append(np.full((len(plate), 3), 255 * ((number + (sign > 0)) % 2)))
    mesh = Reconstruction(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        np.concatenate(colours).astype(np.uint8),
    )
    baked = Baked(clean(mesh), 5000)
    expected = mesh.colours[np.linalg.norm(baked.positions[:, None] - mesh.vertices[None], axis=2).argmin(axis=1)]
    np.testing.assert_array_equal(sampled(baked.texture, baked.unwrapped.uv), expected)


def test_the_two_sides_of_a_thin_plate_keep_their_colours() -> None:
    # 0.01 thick, with a rounded rim: the wrong side is often nearer to a texel than its own.
    vertices, faces = sphere(100)
    flat = vertices * np.array([1, 1, 0.012], np.float32)
    front = vertices[:, 2] > 0
    colours = np.where(front[:, None], [250, 0, 0], [0, 0, 250]).astype(np.uint8)
    baked = Baked(clean(Reconstruction(flat, faces, colours)), 1000)
    points, uv = baked.surface_points(50_000)
    inner = np.hypot(points[:, 0], points[:, 1]) < 0.4
    expected = np.where(points[inner, 2:] > 0, [250, 0, 0], [0, 0, 250])
    wrong = np.abs(sampled(baked.texture, uv[inner]) - expected).max(axis=1) > 10
    assert wrong.mean() < 0.001


def test_progress_rises_and_a_cancelled_bake_stops(baked: Baked) -> None:
    fractions: list[float] = []
    baked.bake(fractions.append)
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] <= fractions[-1] <= 1

    def cancel(fraction: float) -> None:
        raise Cancelled("The job was cancelled.")

    with pytest.raises(Cancelled):
        baked.bake(cancel)


@pytest.mark.slow
@pytest.mark.parametrize("spread", ["smooth", "noise", "one colour"])
@pytest.mark.parametrize("shape", ["sphere", "blob"])
def test_the_mean_colour_matches_the_dense_surface(shape: str, spread: str) -> None:
    vertices, faces = {"sphere": sphere(120), "blob": blob(130)}[shape]
    random = np.random.default_rng(0)
    colours = {
        "smooth": np.rint(colour_at(vertices)),
        "noise": random.integers(0, 256, vertices.shape),
        "one colour": np.full(vertices.shape, (3, 128, 254)),
    }[spread].astype(np.uint8)
    dense = clean(Reconstruction(vertices, faces, colours))
    baked = Baked(dense, 3000)
    weights = face_areas(dense.vertices, dense.faces)
    expected = np.average(dense.colours[dense.faces].mean(axis=1), axis=0, weights=weights)

    new_weights = face_areas(baked.positions, baked.unwrapped.faces)
    corners = baked.unwrapped.faces[random.choice(len(new_weights), 200_000, p=new_weights / new_weights.sum())]
    places = (baked.unwrapped.uv[corners] * random.dirichlet([1, 1, 1], len(corners))[:, :, None]).sum(axis=1)
    assert np.abs(sampled(baked.texture, places).mean(axis=0) - expected).max() < 1
