"""Photo in, GLB out, over HTTP, with Meta's real code in the engine process."""

import io
import os
import tempfile
import threading
import time

import numpy as np
import pytest
import trimesh
from PIL import Image

# Both are read when bentoml is imported. Without the folder, /metrics hangs in TestClient (bentoml 1.4.40).
os.environ["BENTOML_DO_NOT_TRACK"] = "True"
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="prometheus-"))

pytestmark = pytest.mark.usefixtures("upstream")

PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def client(upstream, tmp_path_factory):
    """The service in this process, its engine in a process of its own; checkpoints with upstream's full mesh grid."""
    from starlette.testclient import TestClient

    from sam3d_bento import service
    from sam3d_bento.serving import backend as backends
    from sam3d_bento.settings import Settings
    from tests.support import tiny

    folder = tmp_path_factory.mktemp("service")
    tiny.build(folder / "checkpoints", half=True)
    settings = Settings(
        engine="sam3d",
        checkpoint_dir=folder / "checkpoints",
        memory_profile="16gb",
        work_dir=folder / "work",
        output_dir=folder / "outputs",
        deadline_seconds=PATIENCE_SECONDS,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "settings", settings)
        patch.setattr(
            service,
            "Backend",
            lambda given, **wiring: backends.Backend(given, engine_loader="tests.support.cpu_engine:load", **wiring),
        )
        with TestClient(service.Sam3D.to_asgi()) as client:
            client.before_ready = client.get("/health")
            give_up = time.monotonic() + PATIENCE_SECONDS
            while client.get("/health").status_code != 200:
                assert time.monotonic() < give_up, client.get("/health").json()
                threading.Event().wait(0.1)
            yield client


def post(client, options, **files):
    return client.post("/api/inference", files={name: (name, data) for name, data in files.items()}, data=options)


@pytest.fixture(scope="module")
def photo_png(photo):
    """A shaded ball on grey, without alpha."""
    row, column = np.mgrid[-128:128, -128:128] / 90.0
    height = np.sqrt(np.clip(1 - row**2 - column**2, 0, None))
    light = np.where(height > 0, 60 + 180 * height, 128)
    image = np.stack((light, light * 0.6, 255 - light), -1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def answer(client, photo_png):
    return post(
        client, {"seed": "5", "quality": "draft", "texture_size": "512", "target_faces": "5000"}, image=photo_png
    )


def test_health_is_503_until_the_trial_run_has_passed_and_then_says_what_runs(client):
    assert client.before_ready.status_code == 503
    report = client.get("/health").json()
    assert report["engine"] == "sam3d"
    assert report["loads"] == 1
    assert report["engine_facts"]["memory_profile"] == "16gb"
    assert "spconv" in report["engine_facts"]["standins"]


def test_a_photo_becomes_a_textured_glb(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-engine"] == "sam3d"
    assert answer.headers["x-mask-source"] == "rembg"
    scene = trimesh.load(io.BytesIO(answer.content), file_type="glb")
    (mesh,) = scene.geometry.values()
    assert 500 < len(mesh.faces) <= 5000
    assert np.isfinite(mesh.vertices).all()
    texture = mesh.visual.material.baseColorTexture
    assert texture.size == (512, 512)
    # A ball of voxels of radius 4 of 64, whatever the network makes of it: centred, of that size.
    assert np.abs(mesh.bounds).max() < 6 / 64
    assert np.abs(mesh.bounds.sum(0)).max() < 2 / 64


def test_it_is_exported_beside_the_network(client, answer):
    """In a process of its own, which the engine process gives the reconstruction."""
    processes = client.get("/health").json()["processes"]
    assert processes["export"]["loads"] == 1
    assert processes["engine"]["losses"] == processes["export"]["losses"] == 0


def test_the_same_seed_gives_the_same_bytes(client, answer, photo_png):
    options = {"seed": "5", "quality": "draft", "texture_size": "512", "target_faces": "5000"}
    assert post(client, options, image=photo_png).content == answer.content


def test_the_report_says_how_it_was_made(client, photo_png):
    mask = io.BytesIO()
    row, column = np.ogrid[-128:128, -128:128]
    Image.fromarray(((row**2 + column**2 < 90**2) * 255).astype(np.uint8)).save(mask, "PNG")
    answer = post(
        client, {"seed": "5", "quality": "draft", "response": "link"}, image=photo_png, mask=mask.getvalue()
    ).json()
    assert answer["mask"]["source"] == "upload"
    assert answer["engine_version"].startswith("sam3d-objects/")
    assert answer["engine_facts"]["attention"] == "packed"
    assert answer["details"]["voxels"] > 150
    assert answer["details"]["steps"] == [4, 12]
    assert set(answer["pose"]) == {"rotation", "translation", "scale", "frame"}
    assert np.linalg.norm(answer["pose"]["rotation"]) == pytest.approx(1, abs=1e-4)


def test_a_photo_without_an_object_is_refused_and_the_next_one_is_served(client, photo_png):
    empty = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(empty, "PNG")
    assert post(client, {}, image=empty.getvalue()).json()["code"] == "no_object"
    assert post(client, {"quality": "draft", "texture_size": "512"}, image=photo_png).status_code == 200
