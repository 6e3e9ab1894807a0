"""The wheel as `make dist` builds it, and a fresh environment into which nothing else was installed."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support.places import PROJECT


def tracked():
    """What git has of this project, as paths below it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True).stdout
    return [Path(os.fsdecode(name)) for name in listed.split(b"\0") if name]


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """A factory of wheels, each built from a copy of the project."""

    def make_dist():
        copy = tmp_path_factory.mktemp("project")
        for path in tracked():
            (copy / path.parent).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / path, copy / path)
        # What the environment of the tests has installed is up to date for this.
        ready = [f"--assume-old={sys.prefix}/{mark}" for mark in (".uv", ".core")]
        subprocess.run(["make", "-s", "dist", f"VENV={sys.prefix}", *ready], cwd=copy, check=True)
        (wheel,) = (copy / "dist").glob("*.whl")
        return wheel

    return make_dist


@pytest.fixture(scope="session")
def wheel(build):
    return build()


@pytest.fixture(scope="session")
def environment(tmp_path_factory, wheel):
    """The folder of the programs of an environment that has the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)  # `bentoml build` installs uv with it
    install = [
        "pip",
        "install",
        "-q",
        "--compile-bytecode",
        "--only-binary",
        ":all:",
        "--python",
        folder / "bin" / "python",
        wheel,
    ]
    subprocess.run([sys.executable, "-m", "uv", *install], check=True)
    return folder / "bin"


@pytest.fixture
def variables():
    """The environment variables of a user: nothing of this project's source is on Python's path."""
    foreign = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PROMETHEUS_MULTIPROC_DIR")
    own = {name: value for name, value in os.environ.items() if name not in foreign}
    return own | {"SAM3D_ENGINE": "preview"}
