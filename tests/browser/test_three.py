"""Exported files in three.js, as the studio ships it, beside our own renderer."""

import numpy as np
import pytest

from benchmarks.export_views import DISTANCE, FIELD_OF_VIEW_DEGREES, SIZE, camera, from_texture, render
from sam3d_bento.export import to_glb
from sam3d_bento.export.glb.unpack import unpack_glb
from sam3d_bento.options import Options
from tests.support.export_meshes import blob, painted, read
from tests.support.three_page import halved, three_page

VIEW = 4
PAGE = """<!doctype html>
<script type="module">
import * as three from "/three.js";

window.show = async ({size, fov, eye, up, flat}) => {
  const loader = new three.GLTFLoader().setMeshoptDecoder(three.MeshoptDecoder);
  const {scene} = await loader.loadAsync("/model.glb");
  scene.traverse((part) => {
    if (part.isMesh) part.material = new three.MeshBasicMaterial(flat ? {color: "white"} : {map: part.material.map});
  });
  const camera = new three.PerspectiveCamera(fov, 1, 0.1, 10);
  camera.position.set(...eye);
  camera.up.set(...up);
  camera.lookAt(0, 0, 0);
  const renderer = new three.WebGLRenderer({preserveDrawingBuffer: true});
  renderer.setSize(size, size);
  const stage = new three.Scene();
  stage.add(scene);
  renderer.setClearColor(flat ? "#000000" : "#808080");
  renderer.render(stage, camera);
  return renderer.domElement.toDataURL("image/png");
};
</script>
"""


@pytest.fixture(scope="module")
def reconstruction():
    return painted(blob(130))


@pytest.fixture
def photograph(chromium):
    """A function from a GLB to its picture in three.js, unlit, and its silhouette: (SIZE, SIZE, 3), (SIZE, SIZE)."""
    _, up, backward = camera(VIEW)
    shot = {"size": 2 * SIZE, "fov": FIELD_OF_VIEW_DEGREES, "eye": (DISTANCE * backward).tolist(), "up": up.tolist()}
    with three_page(chromium, PAGE) as show:

        def take(glb):
            picture, flat = map(halved, show(glb, shot | {"flat": False}, shot | {"flat": True}))
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
