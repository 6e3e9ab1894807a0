"""The project as a package: a wheel that is whole, and that works in an empty folder."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath

import httpx
import pytest
import trimesh
from PIL import Image

import sam3d_bento
from sam3d_bento.cli.launch import free_port
from sam3d_bento.weights.sets import SETS
from tests.package.conftest import tracked
from tests.support import processes
from tests.support.places import COFFEE
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.package

SMALL = {"target_faces": "1000", "texture_size": "512"}


@pytest.fixture
def folder(tmp_path):
    """An empty folder but for a photo."""
    Image.open(COFFEE).convert("RGB").save(tmp_path / "photo.jpg")
    return tmp_path


@pytest.fixture
def run(environment, folder, variables):
    """A factory of finished commands of the environment, run in the folder."""

    def finished(program, *arguments, cwd=folder, **more):
        command = [environment / program, *arguments]
        return subprocess.run(command, cwd=cwd, env=variables | more, capture_output=True, text=True, check=False)

    return finished


@pytest.fixture
def serve(environment, folder, variables, tmp_path):
    """A factory of services that a program of the environment serves; the address of each, when it is ready."""
    started = []

    def address(*command, **more):
        port = free_port()
        own = {"SAM3D_WORK_DIR": str(tmp_path / "work"), "SAM3D_OUTPUT_DIR": str(tmp_path / "outputs")}
        arguments = [environment / command[0], *command[1:], "--host", "127.0.0.1", "--port", str(port)]
        log = (tmp_path / "log").open("ab")
        process = processes.start(arguments, cwd=folder, env=variables | own | more, stdout=log, stderr=log)
        started.append(process)
        url = f"http://127.0.0.1:{port}"

        def ready():
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                return httpx.get(f"{url}/health", timeout=PATIENCE).status_code == 200
            except httpx.TransportError:
                return False

        until(ready)
        return url

    yield address
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def reconstruct(url, photo):
    answer = httpx.post(f"{url}/api/inference", files={"image": photo.read_bytes()}, data=SMALL, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    return len(trimesh.load_mesh(io.BytesIO(answer.content), file_type="glb").faces)


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel):
    packed = {PurePosixPath(name) for name in zipfile.ZipFile(wheel).namelist()}
    described = {name for name in packed if name.parts[0].endswith(".dist-info")}
    assert packed - described == {PurePosixPath(path) for path in tracked() if path.parts[0] == "sam3d_bento"}
    assert {name.name for name in described} >= {"METADATA", "RECORD", "LICENSE", "entry_points.txt"}


def test_the_same_sources_make_the_same_wheel_byte_for_byte(build, wheel):
    umask = os.umask(0o077)
    try:
        again = build()
    finally:
        os.umask(umask)
    assert again.name == wheel.name == f"sam3d_bento-{sam3d_bento.__version__}-py3-none-any.whl"
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def test_the_installed_package_is_the_wheels(run, folder):
    where = run("python", "-c", "import sam3d_bento; print(sam3d_bento.__file__)").stdout
    assert "site-packages" in where
    assert run("sam3d-bento", "--version").stdout.split()[-1] == sam3d_bento.__version__
    assert [path.name for path in folder.iterdir()] == ["photo.jpg"]


def test_a_photo_becomes_a_model_in_an_empty_folder(run, folder, mask_model):
    done = run("sam3d-bento", "generate", "photo.jpg", "-o", "models", "--target-faces", "1000")
    assert done.returncode == 0, done.stderr
    assert len(trimesh.load_mesh(folder / "models" / "photo.glb").faces) <= 1000


def test_the_first_run_says_how_the_mask_model_is_fetched(run, tmp_path):
    done = run("sam3d-bento", "generate", "photo.jpg", "-o", "models", SAM3D_MASK_DIR=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "sam3d-bento weights fetch --set mask" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert "mask" in SETS


def test_the_service_serves_from_an_empty_folder_with_its_studio(serve, folder, mask_model):
    url = serve("sam3d-bento", "serve")
    assert reconstruct(url, folder / "photo.jpg") <= 1000
    page = httpx.get(f"{url}/").text
    assert "</title>" in page
    for path in tracked():
        if path.is_relative_to("sam3d_bento/serving/web") and path.suffix in (".js", ".css"):
            name = path.relative_to("sam3d_bento/serving/web").as_posix()
            assert httpx.get(f"{url}/studio/{name}").status_code == 200, name


def test_a_bento_is_built_in_an_empty_folder_and_serves(run, serve, folder, tmp_path_factory, mask_model):
    empty, store = tmp_path_factory.mktemp("empty"), str(tmp_path_factory.mktemp("bentos"))
    own = {"BENTOML_HOME": store, "BENTOML_DO_NOT_TRACK": "True"}
    built = run("bentoml", "build", "sam3d_bento.service:Sam3D", "--output", "tag", cwd=empty, **own)
    assert built.returncode == 0, built.stderr
    url = serve("bentoml", "serve", "sam3d:latest", **own)
    assert reconstruct(url, folder / "photo.jpg") <= 1000


def test_an_unusable_setting_is_an_error_of_the_start_and_not_of_the_import(run):
    bad = {"SAM3D_QUEUE_LIMIT": "many"}
    imported = run("python", "-c", "from sam3d_bento import Sam3D; print(Sam3D.name)", **bad)
    assert (imported.returncode, imported.stdout.strip()) == (0, "sam3d"), imported.stderr
    for command in (("sam3d-bento", "serve"), ("bentoml", "serve", "sam3d_bento.service:Sam3D")):
        served = run(*command, "--port", str(free_port()), **bad)
        assert served.returncode != 0
        assert "SAM3D_QUEUE_LIMIT" in served.stderr + served.stdout


def test_uvx_runs_the_command_from_the_wheel(wheel, folder, variables, mask_model):
    uvx = Path(sys.executable).with_name("uvx")
    command = [
        uvx,
        "-q",
        "--from",
        wheel,
        "sam3d-bento",
        "generate",
        "photo.jpg",
        "-o",
        "models",
        "--target-faces",
        "1000",
    ]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(trimesh.load_mesh(folder / "models" / "photo.glb").faces) <= 1000
