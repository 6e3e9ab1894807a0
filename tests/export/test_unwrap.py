import fast_simplification
import numpy as np
import pytest
from export_meshes import Floats, Mesh, blob, soup, sphere
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from sam3d_bento.export import raster
from sam3d_bento.export.simplify import simplify
from sam3d_bento.export.surface import face_areas
from sam3d_bento.export.unwrap import PIECE_FACES, Unwrapped, unwrap
from sam3d_bento.reconstruction import Int32

SIZE = 1024


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    """Of several pieces, so that their borders are tested as well."""
    vertices, faces = simplify(*blob(100), 2 * PIECE_FACES + 1000)
    assert len(faces) > 2 * PIECE_FACES
    return vertices, faces


@pytest.fixture(scope="module")
def unwrapped(mesh: Mesh) -> Unwrapped:
    return unwrap(*mesh, SIZE)


def canonical(faces: Int32) -> Int32:
    """Sorted, each face rotated to begin with its lowest index: equal for equal sets of faces with equal winding."""
    start = faces.argmin(axis=1)[:, None]
    rotated = np.take_along_axis(faces, (start + np.arange(3)) % 3, axis=1)
    return rotated[np.lexsort(rotated.T)]


def flat_areas(uv: Floats, faces: Int32) -> Floats:
    return face_areas(np.pad(uv, ((0, 0), (0, 1))), faces)


def test_every_face_is_there_once_with_its_winding(mesh: Mesh, unwrapped: Unwrapped) -> None:
    np.testing.assert_array_equal(canonical(unwrapped.vertex_map[unwrapped.faces]), canonical(mesh[1]))


def test_types_and_range(unwrapped: Unwrapped) -> None:
    assert [a.dtype for a in (unwrapped.vertex_map, unwrapped.faces, unwrapped.uv)] == [np.int32, np.int32, np.float32]
    assert unwrapped.uv.min() >= 0
    assert unwrapped.uv.max() <= 1


def test_most_of_the_texture_is_used_and_no_texel_twice(unwrapped: Unwrapped) -> None:
    area = flat_areas(unwrapped.uv, unwrapped.faces).sum()
    assert area > 0.4
    texels = np.concatenate([batch.index for batch in raster.inside(unwrapped.uv, unwrapped.faces, SIZE)])
    assert len(np.unique(texels)) == pytest.approx(area * SIZE**2, rel=0.005)


def test_texels_are_spread_evenly(mesh: Mesh, unwrapped: Unwrapped) -> None:
    vertices = mesh[0][unwrapped.vertex_map]
    density = np.sqrt(flat_areas(unwrapped.uv, unwrapped.faces) / face_areas(vertices, unwrapped.faces))
    low, middle, high = np.percentile(density, [1, 50, 99])
    assert low > 0.7 * middle
    assert high < 1.5 * middle


@pytest.mark.parametrize("size", [512, 2048])
def test_gutters_are_wide_enough_for_bilinear_sampling(mesh: Mesh, size: int) -> None:
    vertices, faces = mesh
    result = unwrap(vertices, faces, size)
    count = len(result.uv)
    ends = np.concatenate([result.faces[:, [0, 1]], result.faces[:, [1, 2]], result.faces[:, [2, 0]]])
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, chart = connected_components(links, directed=False)
    steps = np.linspace(0, 1, 9)[:, None, None]
    places = ((1 - steps) * result.uv[ends[:, 0]] + steps * result.uv[ends[:, 1]]).reshape(-1, 2) * size
    owner = np.tile(chart[ends[:, 0]], len(steps))
    close = KDTree(places).query_pairs(2 * np.sqrt(2), output_type="ndarray")
    assert (owner[close[:, 0]] == owner[close[:, 1]]).all()


def test_a_needle_does_not_take_the_whole_texture() -> None:
    # One needle of this mesh comes out of xatlas as long as the page is wide; all charts then fill 5 % of it.
    points, faces = fast_simplification.simplify(*blob(100), target_count=11_000, agg=3)
    result = unwrap(points.astype(np.float32), faces, SIZE)
    assert len(result.faces) == len(faces)
    assert flat_areas(result.uv, result.faces).sum() > 0.4


def test_tiny_faces_are_not_left_out() -> None:
    vertices, faces = sphere(20, radius=0.001)
    result = unwrap(vertices, faces, 512)
    assert flat_areas(result.uv, result.faces).min() > 0


@pytest.mark.parametrize("count", [1, 3, 200])
def test_loose_triangles_are_unwrapped_too(count: int) -> None:
    result = unwrap(*soup(count, 0.1), 512)
    assert len(result.faces) == count
    assert flat_areas(result.uv, result.faces).min() > 0


def test_equal_meshes_are_unwrapped_equally(mesh: Mesh, unwrapped: Unwrapped) -> None:
    again = unwrap(*mesh, SIZE)
    np.testing.assert_array_equal(again.uv, unwrapped.uv)
    np.testing.assert_array_equal(again.faces, unwrapped.faces)
