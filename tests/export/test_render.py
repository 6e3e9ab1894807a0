import io

import numpy as np
import pytest
from PIL import Image

from sam3d_bento.errors import NotFound
from sam3d_bento.export.glb.read import read
from sam3d_bento.export.render import THREE_QUARTER, View, of_model, of_reconstruction, of_result, render, thumbnail
from tests.support import finished


@pytest.fixture(scope="module")
def glb():
    return finished.glb()


def test_a_thumbnail_is_a_picture_before_nothing(glb):
    picture = Image.open(io.BytesIO(thumbnail(of_model(read(glb)))))
    assert (picture.format, picture.size, picture.mode) == ("WEBP", (512, 512), "RGBA")
    alpha = np.asarray(picture)[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[256, 256] == 255
    assert (alpha == 255).mean() == pytest.approx(np.pi / 4, abs=0.1), "the ball fills it"


def test_each_side_is_seen_from_its_side(glb):
    shape = of_model(read(glb))
    front, right = (render(shape, View(azimuth, 0), 64) for azimuth in (0, 90))
    assert front[32, 50, 0] > front[32, 50, 2], "+x is on the right of who looks at +z"
    assert front[32, 14, 2] > front[32, 14, 0]
    assert right[32, 32, 0] > 200 > 50 > right[32, 32, 2]
    assert front[12, 50, 1] > front[52, 50, 1], "up is up"


def test_the_light_comes_from_the_camera(glb):
    picture = render(of_model(read(glb)), View(90, 0), 64)
    middle, rim = picture[32, 32, 0], picture[32, 5, 0]
    assert middle > 1.4 * rim > 0


def test_the_dense_mesh_looks_like_the_model_made_of_it(glb):
    one = render(of_model(read(glb)), THREE_QUARTER, 64).astype(int)
    other = render(of_reconstruction(finished.reconstruction()), THREE_QUARTER, 64).astype(int)
    assert np.abs(one - other).mean() < 8


def test_a_dense_mesh_without_colours_is_grey():
    dense = finished.reconstruction()
    picture = render(of_reconstruction(type(dense)(dense.vertices, dense.faces)), THREE_QUARTER, 32)
    assert len(set(picture[16, 16, :3].tolist())) == 1


def test_the_dense_mesh_is_asked_for_only_when_the_glb_is_compressed(glb):
    def missing():
        raise NotFound("not kept")

    assert of_result(glb, missing).faces is not None
