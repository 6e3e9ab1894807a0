import numpy as np
import pytest

from sam3d_bento.export.shapes import LEAST_FACES, Shapes
from sam3d_bento.options import MAX_FACES
from sam3d_bento.reconstruction import ExactSurface
from tests.support.export_meshes import blob, sphere, surface

BLOB = blob(60)


def exact(rings: int) -> ExactSurface:
    vertices, faces = sphere(rings)
    return ExactSurface(vertices, faces, (vertices / 0.45).astype(np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.004, 0.02])
def test_a_mesh_within_a_deviation_is_within_it_and_not_much_finer_than_it_must_be(limit: float) -> None:
    shapes = Shapes(surface(*BLOB), None)
    found = shapes.within(limit)
    assert found.deviation is not None
    assert found.deviation <= limit
    assert len(found.faces) == LEAST_FACES or shapes.within(1.7 * limit).deviation > limit


@pytest.mark.slow
def test_a_smaller_deviation_takes_more_faces() -> None:
    shapes = Shapes(surface(*BLOB), None)
    faces = [len(shapes.within(limit).faces) for limit in (0.004, 0.012, 0.04)]
    assert faces == sorted(faces, reverse=True)
    assert faces[0] > 2 * faces[1] > 4 * faces[2]


@pytest.mark.slow
def test_a_mesh_that_cannot_be_as_close_as_asked_is_the_finest_and_says_how_close_it_is() -> None:
    found = Shapes(surface(*BLOB), None).within(1e-9)
    assert len(found.faces) == min(len(BLOB[1]), MAX_FACES)
    assert found.deviation is not None
    assert found.deviation > 1e-9


def test_an_exact_surface_is_taken_where_it_fits_and_otherwise_the_dense_one() -> None:
    dense = surface(*sphere(60))
    close, far = Shapes(dense, exact(40)), Shapes(dense, exact(4))
    assert close.within(0.01).is_exact
    assert not far.within(0.01).is_exact
    assert close.with_faces(10_000).is_exact
    assert not close.with_faces(1_000).is_exact, "it has too many faces"


def test_fewer_faces_of_the_same_surface_are_as_good_as_if_it_had_not_been_simplified_before() -> None:
    both, alone = Shapes(surface(*BLOB), None), Shapes(surface(*BLOB), None)
    both.with_faces(4_000)
    (_, after), (_, at_once) = (shapes.measured(shapes.with_faces(1_000)) for shapes in (both, alone))
    assert after < 1.5 * at_once
