"""`bentoml build` on a machine without torch, and the main job from the built bento."""

import importlib.util
import os
import subprocess
import sys

import httpx
import pytest

pytestmark = [pytest.mark.server, pytest.mark.package]


def test_the_built_bento_does_the_main_job(start_server, disc, project, tmp_path, monkeypatch):
    assert importlib.util.find_spec("torch") is None, "the default install has no torch"
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentos"))
    build = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag", str(project)],
        env=os.environ | {"BENTOML_DO_NOT_TRACK": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert build.returncode == 0, build.stderr
    bento = next((tmp_path / "bentos" / "bentos" / "sam3d").iterdir())
    shipped = {path.relative_to(bento / "src").parts[0] for path in (bento / "src").rglob("*") if path.is_file()}
    assert shipped <= {"service.py", "sam3d_bento", "README.md", "LICENSE", "bentofile.yaml", "requirements"}, shipped
    server = start_server("sam3d:latest", place=tmp_path)
    server.wait_until(200)
    answer = httpx.post(
        f"{server.url}/api/inference",
        files={"image": disc((220, 30, 30))},
        data={"target_faces": "1000", "texture_size": "512"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"glTF")
    server.stop()
