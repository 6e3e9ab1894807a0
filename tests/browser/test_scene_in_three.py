"""A scene in three.js, as the studio ships it, seen from its own camera: it is the photo."""

import pytest
from scipy.ndimage import binary_erosion

from sam3d_bento.camera import Camera
from sam3d_bento.options import Options
from tests.support import scene_truth
from tests.support.three_page import halved, three_page
from tests.test_scene_pipeline import run

# In the middle: another principal point is in the camera's extras alone.
CAMERA = Camera(fx=1100.0, fy=1100.0, cx=512.0, cy=384.0, width=1024, height=768, source="given")
PAGE = """<!doctype html>
<script type="module">
import * as three from "/three.js";

window.show = async ({width, height, flat}) => {
  const loader = new three.GLTFLoader().setMeshoptDecoder(three.MeshoptDecoder);
  const {scene, cameras} = await loader.loadAsync("/model.glb");
  scene.traverse((part) => {
    if (part.isMesh) part.material = new three.MeshBasicMaterial(flat ? {color: "white"} : {map: part.material.map});
  });
  const renderer = new three.WebGLRenderer({preserveDrawingBuffer: true});
  renderer.setSize(width, height);
  const stage = new three.Scene();
  stage.add(scene);
  stage.updateMatrixWorld(true);
  renderer.setClearColor(flat ? "#000000" : "#808080");
  renderer.render(stage, cameras[0]);
  return {
    picture: renderer.domElement.toDataURL("image/png"),
    names: [cameras[0].name, ...scene.getObjectByName("scene").children.map(({name}) => name)],
    aspect: cameras[0].aspect,
  };
};
</script>
"""


@pytest.fixture
def shown(chromium):
    """A function from a GLB to its picture in three.js, unlit or flat, at twice the photo's size."""
    with three_page(chromium, PAGE) as show:

        def shot(glb, *, flat):
            (told,) = show(glb, {"width": 2 * CAMERA.width, "height": 2 * CAMERA.height, "flat": flat})
            return halved(told["picture"]).mean(axis=(2, 3)), told

        yield shot


@pytest.mark.browser
@pytest.mark.parametrize(("frame", "compress"), [("camera", False), ("camera", True), ("ground", "quantize")])
def test_three_shows_the_photo_from_the_camera_node(shown, frame, compress):
    truth = scene_truth.build(CAMERA)
    options = Options(seed=1, texture_size=1024, target_faces=20_000, frame=frame, compress=compress)
    glb = run(truth, options=options).glb
    flat, told = shown(glb, flat=True)
    assert told["names"] == ["camera", "camera", "object-1", "object-2", "object-3"]
    assert told["aspect"] == pytest.approx(1024 / 768)
    assert scene_truth.iou(flat[..., 0] > 127, truth.silhouette) > 0.995
    picture, _ = shown(glb, flat=False)
    inside = binary_erosion(truth.silhouette, iterations=2)
    assert scene_truth.psnr(picture[inside], truth.photo[inside]) > 35
