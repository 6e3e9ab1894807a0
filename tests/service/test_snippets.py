"""The code blocks of the documentation, run as they are printed against a real service."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import trimesh
from PIL import Image

from tests.support.depth_scenes import HEIGHT_METRES, can
from tests.support.places import PROJECT
from tests.support.snippets import PYTHON, SHELL, snippets

SERVICE = "http://127.0.0.1:8000"
MUG = PROJECT / "sam3d_bento" / "serving" / "web" / "samples" / "mug.jpg"
SNIPPETS = snippets()

DOCKER, CLUSTER, GPU = "needs docker", "needs a cluster", "needs a GPU, Meta's weights or both"
NOT_RUN = {
    "README.md / Install / 1": "sets up and starts the service, as all tests here do",
    "README.md / Install / 2": DOCKER,
    "README.md / Install / 3": "sets up and starts the service, and runs these tests",
    "docs/api.md / Export / 1": "a page that fetches model-viewer from another host",
    "docs/api.md / Export / 2": "its id is made up; tests/serving/routes/test_assets.py fetches every format",
    "docs/api.md / Keeping a result / 1": "its id is made up; tests/serving/routes/test_assets.py keeps results",
    "docs/bentoml.md / For people who know BentoML / 1": "in tests/package/test_wheel.py",
    "docs/bentoml.md / Depend on it / 1": "in test_depends.py",
    **{f"docs/clients.md / {part}": "run by tests/api" for part in ("Python / 1", "Python / 2", "Python / 3")},
    **{f"docs/clients.md / TypeScript / {number}": "run by tests/api" for number in (1, 2)},
    "docs/container.md / The container / 1": DOCKER,
    "docs/container.md / The container / 2": DOCKER,
    "docs/operating.md / Dashboard, alerts, and all of it on one machine / 1": DOCKER,
    "docs/operating.md / Traces / 1": "needs a collector; tests/serving/telemetry/test_traces.py has the spans",
    "docs/operating.md / Does it keep its promises here? / 1": "sends 20 photos; test_validate.py sends fewer",
    "docs/sam3d.md / Install and start / 1": GPU,
    "docs/scenes.md / The list / 1": "an example; tests/photo/objects/test_items.py reads such lists",
    "docs/usage.md / A bare `bentoml serve` / 1": "starts what all tests here have started, and does not end",
    "docs/usage.md / From the command line / 2": "lines for shells; tests/cli/test_session.py asks for completions",
    "docs/usage.md / As a package / 1": "in tests/package/test_wheel.py",
    "docs/usage.md / In your own program / 2": GPU,
    "deploy/kubernetes/README.md / sam3d-bento on Kubernetes / 1": CLUSTER,
    "deploy/kubernetes/README.md / sam3d-bento on Kubernetes / 2": CLUSTER,
    "deploy/kubernetes/README.md / More than one pod: where the results lie / 1": "an example of a file's content",
    "deploy/kubernetes/README.md / More than one pod: where the results lie / 2": CLUSTER,
    "deploy/runpod/README.md / A pod / 1": DOCKER,
    "deploy/runpod/README.md / A pod / 2": "needs an account at RunPod",
    "deploy/runpod/README.md / A serverless endpoint / 1": DOCKER,
    "deploy/runpod/README.md / A serverless endpoint / 2": "needs an account at RunPod",
    "deploy/runpod/README.md / A serverless endpoint / 3": "needs an account at RunPod",
    "deploy/runpod/README.md / Output / 1": "an example of an answer",
}
RUN = {
    "README.md / Use it / 1",
    "README.md / Use it / 2",
    "docs/exporter.md / Levels of detail / 1",
    "docs/masks.md / Masks: which object is meant / 1",
    "docs/robots.md / Collision shapes and robots / 1",
    "docs/settings.md / Keys / 1",
    "docs/settings.md / Keys / 2",
    "docs/true-size.md / From a depth camera / 1",
    "docs/true-size.md / The pose / 1",
    "docs/true-size.md / You know the size / 1",
    "docs/usage.md / curl / 1",
    "docs/usage.md / From Python / 1",
    "docs/usage.md / Jobs / 1",
    "docs/usage.md / Jobs / 2",
    "docs/usage.md / From the command line / 1",
    "docs/usage.md / In your own program / 1",
}


def test_every_snippet_is_run_here_or_listed_with_the_reason_why_not():
    assert RUN | set(NOT_RUN) == set(SNIPPETS)
    assert not RUN & set(NOT_RUN)


@pytest.fixture
def folder(tmp_path, coffee):
    """A folder with the files that the snippets name."""
    (tmp_path / "photos").mkdir()
    for name in ("cup.jpg", "photos/a.jpg", "photos/b.jpg"):
        Image.open(coffee).convert("RGB").save(tmp_path / name)
    shutil.copyfile(MUG, tmp_path / "mug.jpg")  # what the first line of each page fetches from the service
    # `.venv/bin/sam3d-bento` is this very package, wherever the environment's own installation points to.
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    program = tmp_path / ".venv" / "bin" / "sam3d-bento"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={PROJECT} exec {sys.executable} -m sam3d_bento.cli "$@"\n')
    program.chmod(0o755)
    return tmp_path


def run(command, folder, **environment):
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"SAM3D_ENGINE": "preview", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shell(text, folder, **environment):
    return run(["bash", "-euc", text], folder, **environment)


def snippet(name, server=None):
    found = SNIPPETS[name]
    text = {SHELL: found.commands, PYTHON: found.text}[found.language]
    return text.replace(SERVICE, server.url) if server else text


def faces(path):
    return len(trimesh.load_mesh(io.BytesIO(path.read_bytes()), file_type="glb").faces)


def assert_95_mm_on_the_floor(path):
    low, high = trimesh.load_mesh(path).bounds[:, 1]
    assert low == 0
    assert high == pytest.approx(0.095, abs=1e-6)


needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")


def test_every_line_for_curl_fails_when_the_service_refuses():
    """Without the option, the JSON of an error would lie in a file named model.glb, and the status would be 0."""
    lines = [line for found in SNIPPETS.values() if found.language == SHELL for line in found.commands.splitlines()]
    calls = [call for line in lines for call in re.findall(r"\bcurl\b.*?(?=$|[|;)])", line)]
    assert len(calls) > 10
    assert [call for call in calls if "--fail-with-body" not in call] == []


@pytest.mark.docs
@needs_curl
def test_the_first_lines_for_curl(server, folder):
    (folder / "mug.jpg").unlink()
    shell(snippet("README.md / Use it / 1", server), folder)
    assert (folder / "mug.jpg").read_bytes() == MUG.read_bytes()
    assert faces(folder / "mug.glb") > 1000


@pytest.mark.docs
@needs_curl
def test_a_refused_photo_is_an_exit_status_with_the_reason_in_the_file(server, folder):
    (folder / "mug.jpg").write_text("no photo")
    line = snippet("README.md / Use it / 1", server).splitlines()[1]
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 22  # what curl calls an HTTP error
    assert b'"code"' in (folder / "mug.glb").read_bytes()


@pytest.mark.docs
@pytest.mark.parametrize(
    ("name", "written"), [("README.md / Use it / 2", "mug.glb"), ("docs/usage.md / From Python / 1", "model.glb")]
)
def test_bentomls_client(server, folder, name, written):
    answer = run([sys.executable, "-c", snippet(name, server)], folder)
    assert answer.split()[0] == "preview"
    assert faces(folder / written) > 1000


@pytest.mark.docs
@needs_curl
def test_a_prompt_over_http_and_on_the_command_line(server, folder):
    shell(snippet("docs/masks.md / Masks: which object is meant / 1", server), folder)
    assert '"source":"prompt"' in (folder / "headers.txt").read_text()
    for name in ("mug-mask.png", "clicked.png"):
        mask = np.asarray(Image.open(folder / name))
        assert mask[300, 280] == 255, "the mug"
        assert not mask[[20, 20, 620, 620], [20, 620, 20, 620]].any(), "the table"


@pytest.mark.docs
@needs_curl
def test_all_lines_for_curl(server, folder):
    answer = shell(snippet("docs/usage.md / curl / 1", server), folder)
    assert '"seed":7' in answer.replace(" ", "")
    assert Image.open(folder / "mask.png").size == Image.open(MUG).size
    assert faces(folder / "model.glb") > 1000


@pytest.mark.docs
@needs_curl
def test_a_body_and_a_hull(server, folder):
    shell(snippet("docs/robots.md / Collision shapes and robots / 1", server), folder)
    body = zipfile.ZipFile(folder / "mug.urdf.zip")
    assert {"mug.urdf", "visual.obj", "collision_00.obj"} <= set(body.namelist())
    assert set(trimesh.load_scene(folder / "mug-with-hull.glb").graph.nodes_geometry) == {"mug", "UCX_mug_00"}


@pytest.mark.docs
@needs_curl
def test_levels_of_detail(server, folder):
    shell(snippet("docs/exporter.md / Levels of detail / 1", server), folder)
    first, *further = zipfile.ZipFile(folder / "mug.lods.zip").namelist()
    assert first == "manifest.json"
    assert further[:2] == ["mug_lod0.glb", "mug_lod1.glb"]


@pytest.mark.docs
@needs_curl
def test_a_job_from_the_shell(server, folder):
    answer = shell(snippet("docs/usage.md / Jobs / 1", server), folder)
    assert "event: progress" in answer
    assert '"stage":"export"' in answer
    assert answer.splitlines()[-3] == "event: done"
    assert faces(folder / "model.glb") > 1000
    assert Image.open(folder / "model.webp").size == (512, 512)
    assert (folder / "model.zip").read_bytes().startswith(b"PK")
    assert_95_mm_on_the_floor(folder / "cup.glb")


@pytest.mark.docs
def test_a_job_from_python(server, folder):
    answer = run([sys.executable, "-c", snippet("docs/usage.md / Jobs / 2", server)], folder)
    assert "running export" in answer
    assert "done None 100%" in answer
    assert faces(folder / "model.glb") > 1000


@pytest.mark.docs
@needs_curl
def test_the_true_size_of_a_can(server, folder):
    """The mug of the page is a can of 95 mm."""
    scene = can()
    (folder / "mug.jpg").write_bytes(scene.photo_file)
    (folder / "mug_mm.png").write_bytes(scene.png(scene.depth))
    for name in ("From a depth camera", "You know the size"):
        shell(snippet(f"docs/true-size.md / {name} / 1", server).replace("520,520,240,180", scene.intrinsics), folder)
    low, high = trimesh.load_mesh(folder / "mug.glb").bounds[:, 1]
    assert low == 0
    assert high == pytest.approx(HEIGHT_METRES, rel=0.05)
    assert_95_mm_on_the_floor(folder / "mug-95mm.glb")
    seen = run([sys.executable, "-c", snippet("docs/true-size.md / The pose / 1")], folder).split()
    assert np.array(seen, float) == pytest.approx(middle_of(scene.mask), abs=6)


def middle_of(mask):
    """The middle (x, y) of the box around a mask, in pixels."""
    row, column = np.nonzero(mask)
    return (column.min() + column.max() + 1) / 2, (row.min() + row.max() + 1) / 2


@pytest.mark.docs
def test_the_command_line(server, folder):
    lines = snippet("docs/usage.md / From the command line / 1").replace("http://gpu.example:8000", server.url)
    shell(lines, folder)
    for name in ("a", "b", "cup"):
        assert faces(folder / "models" / f"{name}.glb") > 1000
        assert Image.open(folder / "models" / f"{name}.webp").size == (512, 512)
    assert faces(folder / "cup-small.glb") <= 5000
    assert faces(folder / "cup.glb") > 1000, "through pipes"
    assert trimesh.load_mesh(folder / "cup.obj").visual.material.image.size == (1024, 1024)
    assert trimesh.load_mesh(folder / "cup.stl").extents.max() == pytest.approx(120, rel=0.01), "millimetres"
    assert_95_mm_on_the_floor(folder / "cup-95mm.glb")
    assert Image.open(folder / "mask.png").size == (600, 400)


@pytest.mark.docs
@needs_curl
def test_keys(start_server, folder):
    setting_up, *calls = snippet("docs/settings.md / Keys / 1").splitlines()
    shell(setting_up, folder)
    guarded = start_server(api_keys_file=folder / "keys")
    guarded.wait_until(200)
    shell("\n".join(calls).replace(SERVICE, guarded.url), folder)
    assert faces(folder / "model.glb") > 1000
    client = snippet("docs/settings.md / Keys / 2", guarded)
    program = f"from pathlib import Path\nimport bentoml\n{client}print(client.inference(image=Path('mug.jpg')).suffix)"
    assert run([sys.executable, "-c", program], folder).strip() == ".glb"


PROGRAM = """
import asyncio
from pathlib import Path

async def main():
{body}
    print(path.suffix)
    service.stop()

asyncio.run(main())
"""


@pytest.mark.docs
def test_the_service_in_a_program_of_ones_own(folder):
    lines = snippet("docs/usage.md / In your own program / 1")
    program = PROGRAM.format(body="\n".join(f"    {line}" for line in lines.splitlines()))
    own = {"PYTHONPATH": str(PROJECT), "SAM3D_WORK_DIR": str(folder / "w"), "SAM3D_OUTPUT_DIR": str(folder / "o")}
    answer = run([sys.executable, "-c", program], folder, BENTOML_DO_NOT_TRACK="True", **own)
    assert answer.strip() == ".glb"
