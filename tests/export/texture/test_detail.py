from collections.abc import Callable

import numpy as np

from sam3d_bento.arrays import Float32, Floats
from sam3d_bento.export.mesh.surface import unit
from sam3d_bento.export.texture.detail import SAMPLE_FACES, measure_detail
from tests.support.export_meshes import Mesh, sphere

SPHERE = sphere(60)
SIZE = 512

Colours = Callable[[Float32, Float32], Float32]


def measured(mesh: Mesh, colours: Colours, size: int) -> Floats:
    vertices, faces = mesh
    return measure_detail(vertices, unit(vertices), faces, colours, size)


def flat(points: Float32, normals: Float32) -> Float32:
    return np.full((len(points), 3), 100, np.float32)


def ramp(points: Float32, normals: Float32) -> Float32:
    return np.repeat(128 + 100 * points[:, :1], 3, axis=1)


def half_busy(points: Float32, normals: Float32) -> Float32:
    """Stripes of a few texels on the right, and nothing on the left."""
    return (
        np.where(points[:, :1] > 0, 128 + 100 * np.sin(600 * points[:, 1:2]), 128).repeat(3, axis=1).astype(np.float32)
    )


def test_colours_that_are_even_or_change_evenly_have_no_detail() -> None:
    for colours in (flat, ramp):
        detail = measured(SPHERE, colours, SIZE)
        assert np.nanmax(detail) < 0.1


def test_detail_is_where_the_stripes_are() -> None:
    vertices, faces = SPHERE
    detail = measured(SPHERE, half_busy, SIZE)
    side = vertices[faces][:, :, 0]
    busy, quiet = side.min(axis=1) > 0.05, side.max(axis=1) < -0.05
    assert np.nanmean(detail[busy]) > 100
    assert np.nanmax(detail[quiet]) == 0


def test_finer_textures_find_less_detail_between_their_texels() -> None:
    coarse, fine = (np.nanmean(measured(SPHERE, half_busy, size)) for size in (512, 2048))
    assert fine < coarse / 4


def test_so_many_faces_are_looked_at_always_the_same() -> None:
    detail = measured(sphere(150), half_busy, SIZE)
    assert len(detail) > 2 * SAMPLE_FACES
    assert SAMPLE_FACES / 2 < np.count_nonzero(~np.isnan(detail)) <= SAMPLE_FACES
    np.testing.assert_array_equal(measured(sphere(150), half_busy, SIZE), detail)
