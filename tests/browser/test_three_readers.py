"""Files in the readers of three.js that the studio does not ship."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sam3d_bento.export import conversion
from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.splat_file import to_glb
from tests.support import finished
from tests.support.places import PROJECT
from tests.support.splat_clouds import cloud, upright_letter

TOOL = PROJECT / "tools" / "vendor_three"
ORIGIN = "http://127.0.0.1"
SIZE = 256  # pixels
IMPORTS = {
    "three": "/three/build/three.webgpu.js",
    "three/webgpu": "/three/build/three.webgpu.js",
    "three/tsl": "/three/build/three.tsl.js",
    "three/addons/": "/three/examples/jsm/",
}
PAGE = f"""<!doctype html>
<script type="importmap">{json.dumps({"imports": IMPORTS})}</script>
<script type="module">
import * as three from "three/webgpu";
import {{ GLTFLoader }} from "three/addons/loaders/GLTFLoader.js";
import {{ ThreeMFLoader }} from "three/addons/loaders/3MFLoader.js";
import {{ GLTFGaussianSplatLoaderExtension }} from "three/addons/loaders/GLTFGaussianSplatLoaderExtension.js";

const load = async () => {{
  const loader = new GLTFLoader().register((parser) => new GLTFGaussianSplatLoaderExtension(parser));
  return (await loader.loadAsync("/model")).scene;
}};

window.readSplats = async () => {{
  const found = [];
  (await load()).traverse((part) => part.isGaussianSplat && found.push(part));
  const [{{ name, splatGeometry }}] = found;
  const read = (attribute) => Array.from(splatGeometry.getAttribute(attribute).array);
  return {{
    name, count: found.length,
    position: read("position"), covariance: read("covariance"), color: read("color"),
  }};
}};

window.read3mf = async () => {{
  const group = await new ThreeMFLoader().loadAsync("/model");
  group.updateMatrixWorld(true);
  const found = [];
  group.traverse((part) => {{
    if (!part.isMesh) return;
    const geometry = part.geometry.clone().applyMatrix4(part.matrixWorld).toNonIndexed();
    found.push({{
      name: part.parent.name, positions: Array.from(geometry.getAttribute("position").array),
      colours: Array.from(geometry.getAttribute("color").array),
    }});
  }});
  return found;
}};

window.drawSplats = async (size) => {{
  const renderer = new three.WebGPURenderer({{ forceWebGL: true }});
  await renderer.init();
  renderer.setSize(size, size);
  const stage = new three.Scene();
  stage.add(await load());
  const camera = new three.PerspectiveCamera(40, 1, 0.1, 10);
  camera.position.set(0, 0, 2);
  const target = new three.RenderTarget(size, size);
  renderer.setRenderTarget(target);
  for (let frame = 0; frame < 3; frame++) renderer.render(stage, camera); // the splats are sorted for the next frame
  const pixels = await renderer.readRenderTargetPixelsAsync(target, 0, 0, size, size);
  return Array.from(pixels);
}};
</script>
"""


@pytest.fixture(scope="module")
def three_folder(tmp_path_factory):
    """The package three, as npm gives it."""
    if (TOOL / "node_modules" / "three").is_dir():
        return TOOL / "node_modules" / "three"
    folder = tmp_path_factory.mktemp("three")
    for file in ("package.json", "package-lock.json"):
        shutil.copy(TOOL / file, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "node_modules" / "three"


@pytest.fixture
def reader(chromium, three_folder):
    """A page that reads `model`, once it is given one; fails when the page has anything to complain of."""
    page = chromium.new_page()
    complaints, served = [], {}
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))

    def answer(route):
        path = route.request.url.removeprefix(ORIGIN)
        if path.startswith("/three/") and (file := three_folder / path.removeprefix("/three/")).is_file():
            route.fulfill(body=file.read_bytes(), content_type="text/javascript")
        elif path in served:
            route.fulfill(body=served[path], content_type="text/html" if path == "/" else "application/octet-stream")
        else:
            complaints.append(f"asked for {route.request.url}")
            route.abort()

    page.route(f"{ORIGIN}/**", answer)

    def ask(content, program, *arguments):
        served.update({"/": PAGE.encode(), "/model": content})
        page.goto(ORIGIN + "/")
        page.wait_for_function("typeof window.drawSplats === 'function'")
        found = page.evaluate(f"(given) => window.{program}(...given)", list(arguments))
        assert complaints == []
        return found

    yield ask
    page.close()


@pytest.mark.browser
def test_three_reads_the_gaussians_that_were_meant(reader):
    splats = cloud()
    found = reader(to_glb(splats, "cup"), "readSplats")
    assert (found["name"], found["count"]) == ("cup", 1)
    assert np.array_equal(np.reshape(found["position"], (-1, 3)), splats.positions)
    colours = np.reshape(found["color"], (-1, 4))
    assert np.array_equal(colours[:, :3], splats.colours)
    assert np.abs(colours[:, 3] - splats.opacity * 255).max() <= 0.51
    axes = Rotation.from_quat(splats.rotation, scalar_first=True).as_matrix() * splats.scale[:, None, :]
    covariances = axes @ axes.transpose(0, 2, 1)
    upper = covariances[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    assert np.allclose(np.reshape(found["covariance"], (-1, 6)), upper, rtol=1e-4, atol=1e-8)


@pytest.mark.browser
def test_three_draws_them_upright_and_in_their_colours(reader):
    rows = reader(to_glb(upright_letter()), "drawSplats", SIZE)
    picture = np.reshape(rows, (SIZE, SIZE, 4))[::-1]  # WebGL hands out the lowest row first
    red, blue = (np.argwhere((picture[..., c] > 200) & (picture[..., 3] > 200)) for c in (0, 2))
    assert len(red) > 1000
    assert len(blue) > 1000
    assert red[:, 0].mean() < blue[:, 0].mean(), "the foot is below"
    assert red[:, 1].mean() < blue[:, 1].mean(), "and to the right"
    assert not (picture[..., 1][picture[..., 3] > 200] > 20).any(), "no colour but those"


@pytest.mark.browser
def test_three_reads_the_shape_and_the_colours_of_a_3mf(reader):
    model = read_glb(finished.glb(options=finished.OPTIONS.model_copy(update={"name": "ball"})))
    found = reader(conversion.convert(model, "3mf"), "read3mf")
    points = np.concatenate([np.reshape(part["positions"], (-1, 3)) for part in found])
    colours = np.concatenate([np.reshape(part["colours"], (-1, 3)) for part in found])
    assert len(points) == 3 * len(model.faces)
    assert np.allclose([points.min(0), points.max(0)], [[0, 0, 0], [100, 100, 100]], atol=0.5), "millimetres"
    across, back, up = (points / 100 - 0.5).T
    encoded = np.where(colours <= 0.0031308, colours * 12.92, 1.055 * colours ** (1 / 2.4) - 0.055)
    assert finished.agree(np.stack([across, up, -back], 1), encoded * 255)
