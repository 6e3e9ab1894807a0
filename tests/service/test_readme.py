"""The README's way to use jobs, run as it is printed: the shell's lines and the Python client."""

import io
import re
import shutil
import subprocess
import sys

import pytest
import trimesh
from PIL import Image

pytestmark = pytest.mark.server

HERE = "http://127.0.0.1:8000"


@pytest.fixture
def block(project):
    """The code block of a language that follows the words **Jobs** in the README."""
    section = (project / "README.md").read_text().split("**Jobs**: the same work", 1)[1]

    def find(language):
        return re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)[1]

    return find


@pytest.fixture
def folder(tmp_path, coffee):
    Image.open(coffee).convert("RGB").save(tmp_path / "photo.jpg")
    return tmp_path


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_the_lines_for_the_shell(server, block, folder):
    lines = [line.removeprefix("$ ") for line in block("console").splitlines() if line.startswith("$ ")]
    said = run(["bash", "-euc", "\n".join(lines).replace(HERE, server.url)], folder)
    assert "event: progress" in said
    assert '"stage":"export"' in said
    assert said.splitlines()[-3] == "event: done"
    assert len(trimesh.load_mesh(folder / "model.glb").faces) > 1000
    assert Image.open(folder / "model.webp").size == (512, 512)
    assert (folder / "model.zip").read_bytes().startswith(b"PK")


def test_the_python_client(server, block, folder):
    said = run([sys.executable, "-c", block("python").replace(HERE, server.url)], folder)
    assert "running export" in said
    assert "done None 100%" in said
    assert trimesh.load_mesh(io.BytesIO((folder / "model.glb").read_bytes()), file_type="glb").faces.any()
