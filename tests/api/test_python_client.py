"""The client that openapi-python-client makes of our document does the main job, as docs/clients.md prints it."""

import os
import subprocess

import numpy as np
import pytest
import trimesh
from PIL import Image

from tests.support.places import COFFEE, PROJECT
from tests.support.snippets import snippets

pytestmark = pytest.mark.api

SERVICE = "http://127.0.0.1:8000"
ENVIRONMENT = PROJECT / ".venv-clients" / "bin"
SNIPPETS = {name.rpartition("/")[2].strip(): part for name, part in snippets().items() if "clients.md / Python" in name}


@pytest.fixture(scope="module")
def folder(server, tmp_path_factory):
    """A folder with the generated client, a photo beside it, and the program, for the real service."""
    if not ENVIRONMENT.is_dir():
        pytest.skip("there is no environment for the generator; make test-api sets it up")
    folder = tmp_path_factory.mktemp("client")
    (folder / "client.json").write_text(SNIPPETS["1"].text)
    command, _ = SNIPPETS["2"].commands.replace(SERVICE, server.url).splitlines()
    path = f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command.removeprefix("uvx ").split(),
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr  # a warning, too, says that something was not understood
    made = folder / "sam3d-bento-client"
    Image.open(COFFEE).convert("RGB").save(made / "photo.jpg")
    return made


def test_it_has_a_function_for_every_operation(folder, server):
    with server.client() as http:
        paths = http.get("/docs.json").json()["paths"]
    named = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    written = {path.stem.replace("_", "") for path in (folder / "sam3d_bento_client" / "api").glob("*/*.py")}
    assert written - {"init"} == {name.lower() for name in named}


def test_it_does_the_main_job(folder, server):
    program = SNIPPETS["3"].text.replace(SERVICE, server.url)
    done = subprocess.run(
        [ENVIRONMENT / "python", "-c", program], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("200 ")
    assert "shape_guessed" in first
    state, seed, faces = second.split()
    assert (state, seed) == ("done", "7")
    assert third.startswith("unsupported_media False ")
    assert len(trimesh.load_mesh(folder / "model.glb").faces) <= 5000
    assert len(trimesh.load_mesh(folder / "job.glb").faces) == int(faces)
    assert np.isclose(trimesh.load_mesh(folder / "model.stl").extents.max(), 120, rtol=0.01), "millimetres"
