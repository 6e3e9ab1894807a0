"""200 random silhouettes become closed solids, whatever the number of faces; `make test` shows it for the first 20."""

import pytest

from sam3d_bento.export import to_glb
from sam3d_bento.export.conversion import to_stl
from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.options import Options
from tests.export.mesh.test_repair import assert_solid_at_every_size
from tests.support.silhouettes import assert_solid_stl, inflated, silhouette

pytestmark = pytest.mark.properties


@pytest.mark.parametrize("seed", range(20, 220))
def test_silhouettes_are_watertight_at_every_size(seed: int) -> None:
    assert_solid_at_every_size(seed)


@pytest.mark.parametrize("seed", range(220, 240))
def test_the_stl_of_a_watertight_model_is_a_solid(seed: int) -> None:
    exported = to_glb(inflated(silhouette(seed)), Options(texture_size=512, target_faces=1000), {})
    assert exported.extras["watertight"] is True
    assert_solid_stl(to_stl(read_glb(exported.glb)))
