import numpy as np
import pytest

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export import raster
from sam3d_bento.export.raster import BATCH_TEXELS, BORDER_REACH_TEXELS, Texels
from tests.support.export_meshes import grid_faces

ONE = np.array([[0, 1, 2]], np.int32)


def inside(uv: Float32, faces: Int32, size: int) -> Texels:
    return together(list(raster.rasterize(uv, faces, size)))


def around(uv: Float32, faces: Int32, size: int) -> Texels:
    covered = np.zeros(size * size, dtype=bool)
    covered[inside(uv, faces, size).index] = True
    return together(list(raster.rasterize_borders(uv, faces, size, covered)))


def together(batches: list[Texels]) -> Texels:
    if not batches:
        return Texels(np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3), np.float32))
    return Texels(*(np.concatenate([getattr(b, name) for b in batches]) for name in ("index", "faces", "weights")))


def centres(index: np.ndarray, size: int) -> np.ndarray:
    return np.stack([index % size, index // size], axis=1) + 0.5


def shown(texels: Texels, uv: Float32, faces: Int32, size: int) -> np.ndarray:
    """Return the place in the texture, in texels, of the point that each texel shows."""
    return np.einsum("ij,ijk->ik", texels.weights, uv[faces[texels.faces]]) * size


def test_a_square_of_two_faces_covers_exactly_its_texels() -> None:
    uv = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]], np.float32)
    texels = inside(uv, np.array([[0, 1, 2], [0, 2, 3]], np.int32), 8)
    assert set(texels.index) == {row * 8 + column for row in range(2, 6) for column in range(2, 6)}


@pytest.mark.parametrize("seed", range(20))
def test_rasterize_agrees_with_testing_every_texel(seed: int) -> None:
    size = 16
    corners = np.random.default_rng(seed).uniform(-0.2, 1.2, (3, 2)).astype(np.float32)
    texels = inside(corners, ONE, size)
    a, b, c = corners.astype(float) * size
    place = centres(np.arange(size * size), size)

    def side(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (q[0] - p[0]) * (place[:, 1] - p[1]) - (q[1] - p[1]) * (place[:, 0] - p[0])

    sides = np.stack([side(a, b), side(b, c), side(c, a)])
    expected = (sides > 0).all(axis=0) | (sides < 0).all(axis=0)
    np.testing.assert_array_equal(np.sort(texels.index), np.flatnonzero(expected))
    np.testing.assert_allclose(shown(texels, corners, ONE, size), centres(texels.index, size), atol=1e-4)


def test_neighbouring_faces_leave_no_gap() -> None:
    random = np.random.default_rng(3)
    axis = np.linspace(0.05, 0.95, 20)
    uv = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2) + random.uniform(-0.01, 0.01, (400, 2))
    texels = inside(uv.astype(np.float32), grid_faces(20), 200)
    picture = np.zeros((200, 200), dtype=bool)
    picture.ravel()[texels.index] = True
    assert picture[15:185, 15:185].all()


def test_rasterize_at_finds_what_rasterize_finds_at_the_given_texels() -> None:
    size, random = 60, np.random.default_rng(4)
    corners = random.uniform(0, 1, (40, 3, 2))
    faces = np.arange(120, dtype=np.int32).reshape(-1, 3)
    everywhere = inside(corners.reshape(-1, 2).astype(np.float32), faces, size)
    some = np.sort(random.choice(size * size, 700, replace=False))
    found = raster.rasterize_at(some, corners.astype(np.float32) * float(size), size)

    def hits(texels: Texels) -> dict[tuple[int, int], list[float]]:
        keys = zip(texels.index.tolist(), texels.faces.tolist(), strict=True)
        return dict(zip(keys, texels.weights.tolist(), strict=True))

    expected = {key: weights for key, weights in hits(everywhere).items() if key[0] in set(some.tolist())}
    assert hits(found).keys() == expected.keys()
    assert len(expected) > 1000
    for key, weights in hits(found).items():
        np.testing.assert_allclose(weights, expected[key], atol=1e-5)


def test_border_texels_show_the_nearest_point_of_the_border() -> None:
    size = 32
    uv = np.array([[0.2, 0.2], [0.8, 0.3], [0.4, 0.7]], np.float32)
    texels = around(uv, ONE, size)
    corners = uv.astype(float) * size
    samples = np.concatenate(
        [p + np.linspace(0, 1, 2000)[:, None] * (q - p) for p, q in zip(corners, np.roll(corners, -1, 0), strict=True)]
    )
    covered = set(inside(uv, ONE, size).index)
    place = centres(np.arange(size * size), size)
    distance = np.linalg.norm(place[:, None] - samples, axis=2).min(axis=1)
    expected = {i for i in np.flatnonzero(distance < BORDER_REACH_TEXELS - 1e-3) if i not in covered}
    assert expected <= set(texels.index)
    assert not covered & set(texels.index)
    reached = np.linalg.norm(shown(texels, uv, ONE, size) - centres(texels.index, size), axis=1)
    np.testing.assert_allclose(reached, distance[texels.index], atol=1e-2)


def test_inner_edges_are_no_border() -> None:
    uv = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    place = shown(around(uv, faces, 64), uv, faces, 64) / 64
    assert np.isclose(np.abs(place - 0.5).max(axis=1), 0.4, atol=1e-6).all()  # all on the outline


@pytest.mark.parametrize(
    "uv",
    [
        [[0.501, 0.2], [0.501, 0.8], [0.502, 0.5]],  # between two columns of centres
        [[0.2, 0.501], [0.8, 0.501], [0.5, 0.502]],
        [[0.2, 0.2], [0.8, 0.8], [0.5, 0.5]],  # no area at all
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]],
    ],
)
def test_a_face_thinner_than_a_texel_is_painted(uv: list[list[float]]) -> None:
    corners = np.array(uv, np.float32)
    texels = around(corners, ONE, 64)
    assert len(texels.index) >= 4
    np.testing.assert_allclose(texels.weights.sum(axis=1), 1, atol=1e-6)
    assert (np.abs(shown(texels, corners, ONE, 64) - centres(texels.index, 64)) <= BORDER_REACH_TEXELS).all()


def test_a_face_of_the_whole_texture_comes_in_small_batches() -> None:
    uv = np.array([[0, 0], [2, 0], [0, 2]], np.float32)
    sizes = [len(batch.index) for batch in raster.rasterize(uv, ONE, 1024)]
    assert sum(sizes) == 1024**2
    assert max(sizes) <= BATCH_TEXELS + 1024
