"""Exported files in three.js, as the studio ships it, beside our own renderer."""

import numpy as np
import pytest

from benchmarks.export_views import from_texture, render
from sam3d_bento.export import to_glb
from sam3d_bento.export.glb.unpack import unpack_glb
from sam3d_bento.options import Options
from tests.support.export_meshes import blob, painted, read
from tests.support.three_page import pictures_from

VIEW = 4
UNLIT = """
const dress = ({map}, {flat}) => new three.MeshBasicMaterial(flat ? {color: "white"} : {map});
const ground = ({flat}) => (flat ? "#000000" : "#808080");
"""


@pytest.fixture(scope="module")
def reconstruction():
    return painted(blob(130))


@pytest.fixture
def photograph(chromium):
    """A function from a GLB to its picture in three.js, unlit, and its silhouette: (SIZE, SIZE, 3), (SIZE, SIZE)."""
    with pictures_from(chromium, VIEW, UNLIT) as show:

        def take(glb):
            picture, flat = show(glb, {"flat": False}, {"flat": True})
            return picture.mean(axis=(2, 3)), flat[..., 0].min(axis=(2, 3)) > 127

        yield take


@pytest.mark.browser
@pytest.mark.parametrize("compress", [False, True, "quantize"], ids=["plain", "compressed", "quantized"])
@pytest.mark.parametrize("texture_format", ["png", "jpeg", "webp"])
def test_three_shows_what_we_show(photograph, reconstruction, texture_format, compress):
    options = Options(texture_size=1024, target_faces=8000, texture_format=texture_format, compress=compress)
    glb = to_glb(reconstruction, options, {}).glb
    picture, silhouette = photograph(glb)

    model = read(unpack_glb(glb))
    faces = np.asarray(model.mesh.faces)
    ours = render(model.mesh.vertices, faces, from_texture(faces, model.uv, model.texture[..., :3]))
    both = silhouette & ours.mask[VIEW]
    assert both.sum() / (silhouette | ours.mask[VIEW]).sum() > 0.99
    difference = picture[both] - ours.rgb[VIEW][both]
    assert np.abs(difference).mean() < 1.5
    assert np.abs(difference.mean(axis=0)).max() < 0.5
