"""`bentoml containerize`, as a person calls it, with buildah in the place of docker."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.container


def test_bentoml_containerize_builds_the_image_without_any_network(images, base, bento, tmp_path):
    """Everything that it installs is in the base; so nothing is asked of any registry."""
    storage = tmp_path / "storage.conf"
    places = f'graphroot = "{images.folder / "storage"}"\nrunroot = "{images.folder / "run"}"\n'
    storage.write_text(f'[storage]\ndriver = "overlay"\n{places}')
    environment = os.environ | {
        "BENTOML_HOME": str(bento.parents[2]),
        "BENTOML_DO_NOT_TRACK": "True",
        "CONTAINERS_STORAGE_CONF": str(storage),
        "BUILDAH_ISOLATION": "chroot",
        "BUILDAH_FORMAT": "docker",
    }
    command = [sys.executable, "-m", "bentoml", "containerize", "sam3d:latest", "--backend", "buildah"]
    run = subprocess.run(
        ["unshare", "--net", *command, "--image-tag", "localhost/sam3d-bento:containerized"],
        cwd="/",  # see docs/container.md
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    config = images.config("localhost/sam3d-bento:containerized")
    assert config["User"] == "1034:1034"
    assert "/health" in " ".join(config["Healthcheck"]["Test"])
