import fast_simplification
import numpy as np
import pytest

from sam3d_bento.export.mesh.simplify import simplify
from sam3d_bento.export.mesh.surface import face_areas
from sam3d_bento.export.uv.xatlas_unwrap import MAX_PIECE_FACES, unwrap_by_xatlas
from tests.support.export_meshes import blob, soup, sphere, surface
from tests.support.unwrap_checks import canonical, flat_areas


def test_every_face_of_every_piece_occurs_once_with_its_winding() -> None:
    vertices, faces = simplify(surface(*blob(100)), 2 * MAX_PIECE_FACES + 1000)
    assert len(faces) > 2 * MAX_PIECE_FACES
    result = unwrap_by_xatlas(vertices, faces, 1024)
    np.testing.assert_array_equal(canonical(result.vertex_map[result.faces]), canonical(faces))
    assert result.uv.min() >= 0
    assert result.uv.max() <= 1
    assert flat_areas(result.uv, result.faces).sum() > 0.4
    density = np.sqrt(flat_areas(result.uv, result.faces) / face_areas(vertices[result.vertex_map], result.faces))
    low, middle, high = np.percentile(density, [1, 50, 99])
    assert low > 0.7 * middle
    assert high < 1.5 * middle


@pytest.mark.slow
def test_a_needle_does_not_waste_the_texture() -> None:
    # xatlas stretches one needle of this mesh across the whole page; without a second layout, all charts fill 5 % of
    # it.
    points, faces = fast_simplification.simplify(*blob(100), target_count=11_000, agg=3)
    result = unwrap_by_xatlas(points.astype(np.float32), faces, 1024)
    assert len(result.faces) == len(faces)
    assert flat_areas(result.uv, result.faces).sum() > 0.4


def test_tiny_faces_are_kept() -> None:
    result = unwrap_by_xatlas(*sphere(20, radius=0.001), 512)
    assert flat_areas(result.uv, result.faces).min() > 0


@pytest.mark.parametrize("count", [1, 200])
def test_loose_triangles_are_unwrapped(count: int) -> None:
    result = unwrap_by_xatlas(*soup(count, 0.1), 512)
    assert len(result.faces) == count
    assert flat_areas(result.uv, result.faces).min() > 0
