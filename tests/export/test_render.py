import io

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.mesh.surface import vertex_normals
from sam3d_bento.export.render import THREE_QUARTER, Shape, View, render, shape_of, thumbnail, vertex_colours
from tests.support import finished


@pytest.fixture(scope="module")
def glb():
    return finished.glb()


def test_a_thumbnail_is_a_picture_before_nothing(glb):
    picture = Image.open(io.BytesIO(thumbnail(read_glb(glb))))
    assert (picture.format, picture.size, picture.mode) == ("WEBP", (512, 512), "RGBA")
    alpha = np.asarray(picture)[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[256, 256] == 255
    assert (alpha == 255).mean() == pytest.approx(np.pi / 4, abs=0.1), "the ball fills it"


def test_each_side_is_seen_from_its_side(glb):
    shape = shape_of(read_glb(glb))
    front, right = (render(shape, View(azimuth, 0), 64) for azimuth in (0, 90))
    assert front[32, 50, 0] > front[32, 50, 2], "+x is on the right of who looks at +z"
    assert front[32, 14, 2] > front[32, 14, 0]
    assert right[32, 32, 0] > 200 > 50 > right[32, 32, 2]
    assert front[12, 50, 1] > front[52, 50, 1], "up is up"


def test_the_light_comes_from_the_camera(glb):
    picture = render(shape_of(read_glb(glb)), View(90, 0), 64)
    middle, rim = picture[32, 32, 0], picture[32, 5, 0]
    assert middle > 1.4 * rim > 0


def test_the_model_looks_like_the_dense_mesh_that_it_was_made_of_packed_or_not(glb):
    dense = finished.reconstruction()
    normals = vertex_normals(dense.vertices, dense.faces)
    shape = Shape(dense.vertices, normals, dense.faces, vertex_colours(dense.faces, dense.colours))
    expected = render(shape, THREE_QUARTER, 64).astype(int)
    packed = finished.glb(options=finished.OPTIONS.model_copy(update={"compress": True, "texture_format": "webp"}))
    for file in (glb, packed):
        assert np.abs(render(shape_of(read_glb(file)), THREE_QUARTER, 64).astype(int) - expected).mean() < 8
