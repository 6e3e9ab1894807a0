import numpy as np
import pytest

from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.surface import area_vectors, unit
from sam3d_bento.export.texture.colour_source import choose_source
from sam3d_bento.reconstruction import Splats
from tests.support.splat_cases import SplatCase, cases

FINER, NOISY = cases()[0], cases()[3]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "choice", "used"),
    [
        (FINER, "mesh", "mesh"),
        (FINER, "splats", "splats"),
        (FINER, "fused", "fused"),
        (FINER, "auto", "fused"),
        (NOISY, "auto", "mesh"),
        (NOISY, "splats", "splats"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_the_chosen_source_is_used_and_auto_takes_the_better_one(case: SplatCase, choice: str, used: str) -> None:
    dense = case.reconstruction
    surface = clean(dense)
    # Points are in the middle of faces, because at its vertices the mesh has the exact colour.
    points = surface.vertices[surface.faces].mean(axis=1)
    normals = unit(area_vectors(surface.vertices, surface.faces))
    source = choose_source(surface, dense.splats, choice)
    assert source.name == used
    nothing = Splats(*(getattr(dense.splats, name)[:0] for name in vars(dense.splats)))
    for splats in (None, nothing):
        without = choose_source(surface, splats, choice)
        assert without.name == "mesh"
    colours, of_mesh = source.colours(points, normals), without.colours(points, normals)
    if used == "mesh":
        np.testing.assert_array_equal(colours, of_mesh)
    else:
        true = case.paint(points.astype(float))
        error, error_of_mesh = (np.square(found - true).mean() for found in (colours, of_mesh))
        assert (error < error_of_mesh) == case.finer
