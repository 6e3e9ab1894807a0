"""A page with three.js, as the studio ships it, in a real browser without a network."""

import base64
import contextlib
import io

import numpy as np
from PIL import Image

from benchmarks.export_views import DISTANCE, FIELD_OF_VIEW_DEGREES, SIZE, camera
from tests.support.places import PROJECT

# A page whose `show` pictures the GLB from a camera, {size, fov, eye, up}, in the materials that `dress(material, how)`
# gives, before the colour that `ground(how)` gives.
PICTURE = """<!doctype html>
<script type="module">
import * as three from "/three.js";

DRESS

window.show = async (how) => {
  const loader = new three.GLTFLoader().setMeshoptDecoder(three.MeshoptDecoder);
  const {scene} = await loader.loadAsync("/model.glb");
  scene.traverse((part) => {
    if (part.isMesh) part.material = dress(part.material, how);
  });
  const camera = new three.PerspectiveCamera(how.fov, 1, 0.1, 10);
  camera.position.set(...how.eye);
  camera.up.set(...how.up);
  camera.lookAt(0, 0, 0);
  const renderer = new three.WebGLRenderer({preserveDrawingBuffer: true});
  renderer.setSize(how.size, how.size);
  const stage = new three.Scene();
  stage.add(scene);
  renderer.setClearColor(ground(how));
  renderer.render(stage, camera);
  return renderer.domElement.toDataURL("image/png");
};
</script>
"""
THREE = PROJECT / "sam3d_bento" / "serving" / "web" / "vendor" / "three.js"
ORIGIN = "http://127.0.0.1"


@contextlib.contextmanager
def pictures_from(chromium, view, dress):
    """A function from a GLB to its pictures in three.js, each (SIZE, SIZE, 2, 2, 3), as `halved` gives it.

    view: the number of a camera of the benchmark. dress: JavaScript of the functions `dress` and `ground`. The function
    takes what they are given for each picture.
    """
    _, up, backward = camera(view)
    shot = {"size": 2 * SIZE, "fov": FIELD_OF_VIEW_DEGREES, "eye": (DISTANCE * backward).tolist(), "up": up.tolist()}
    with three_page(chromium, PICTURE.replace("DRESS", dress)) as show:
        yield lambda glb, *ways: [halved(each) for each in show(glb, *(shot | how for how in ways))]


@contextlib.contextmanager
def three_page(chromium, html):
    """A function that loads the page with a GLB as `/model.glb`, and returns what its `window.show` gives for each way.

    Fails when the page has anything to complain of, or asks for anything else.
    """
    page = chromium.new_page()
    complaints, served = [], {"/": ("text/html", html.encode()), "/three.js": ("text/javascript", THREE.read_bytes())}
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))

    def answer(route):
        kind, body = served.get(route.request.url.removeprefix(ORIGIN), (None, None))
        if route.request.url.startswith(("blob:", "data:")):
            route.continue_()
        elif body is None:
            complaints.append(f"asked for {route.request.url}")
            route.abort()
        else:
            route.fulfill(body=body, content_type=kind)

    page.route("**/*", answer)

    def show(glb, *ways):
        served["/model.glb"] = ("model/gltf-binary", glb)
        page.goto(ORIGIN + "/")
        page.wait_for_function("typeof window.show === 'function'")
        shown = [page.evaluate("(how) => show(how)", how) for how in ways]
        assert complaints == []
        return shown

    yield show
    page.close()


def halved(address):
    """The picture of a data: address at half its size, (H, W, 2, 2, 3) uint8: the four pixels of each."""
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB"))
    high, wide, _ = picture.shape
    return picture.reshape(high // 2, 2, wide // 2, 2, 3).swapaxes(1, 2)
