"""The Dockerfiles and the files that belong to them, as far as reading them tells; tests/container builds them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import PROJECT

DOCKERFILES = ["Dockerfile.base", "deploy/runpod/Dockerfile"]
BASE = (PROJECT / "Dockerfile.base").read_text()


def pins(name):
    """Package ► version, of a requirements file; of several lines for a package the one for Python 3.11."""
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)(.*)", (PROJECT / "requirements" / name).read_text(), re.MULTILINE)
    return {package: version for package, version, condition in lines if ">= '3.12'" not in condition}


@pytest.mark.parametrize("name", DOCKERFILES)
def test_hadolint_finds_nothing(name):
    program = Path(sys.executable).with_name("hadolint")
    run = subprocess.run([program, name], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_every_exception_from_hadolint_has_its_reason():
    rules = re.findall(r"^  - (\w+)(.*)", (PROJECT / ".hadolint.yaml").read_text(), re.MULTILINE)
    ignored = re.findall(r"# hadolint ignore=(\w+)(.*)", BASE)
    assert all(re.fullmatch(r"  # .{20,}", reason) for _, reason in rules + ignored), rules + ignored


def test_the_context_that_is_sent_to_the_builder_is_what_the_dockerfiles_copy():
    kept = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for name in DOCKERFILES:
        for line in re.findall(r"^COPY ((?:\\\n|.)*)", (PROJECT / name).read_text(), re.MULTILINE):
            if "--from" not in line:
                copied |= {Path(word).parts[0] for word in line.replace("\\\n", " ").split()[:-1]}
    assert kept == copied


def test_packages_that_fetch_the_weights_are_pinned_as_in_the_requirements():
    assert {"click", "pydantic", "rich"} <= pins("image-weights.txt").keys()
    assert pins("image-weights.txt").items() <= pins("core.txt").items()


def test_torch_is_the_build_for_the_cuda_of_the_image():
    (image,) = re.findall(r"^ARG BASE_IMAGE=nvidia/cuda:(\d+)\.(\d+)", BASE, re.MULTILINE)
    torch = pins("torch-cu121.txt") | pins("cuda-cu121.txt")
    assert torch["torch"].endswith("+cu" + "".join(image))
    assert torch["torchvision"].endswith("+cu" + "".join(image))
    assert torch["nvidia-cuda-runtime-cu12"].startswith(".".join(image))


def test_what_torch_imports_is_installed_with_it_or_by_the_requirements_of_upstream():
    """Its layer is installed with --no-deps, so that no other package of it moves when one of ours does."""
    torch = pins("torch-cu121.txt") | pins("cuda-cu121.txt")
    # torch 2.5.1, "Requires-Dist"
    needs = {"filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions", "triton"}
    assert needs <= torch.keys() | pins("upstream.txt").keys()


def test_no_token_can_reach_the_stage_that_becomes_the_image():
    stages = re.split(r"^FROM ", BASE, flags=re.MULTILINE)[1:]
    (weights,) = [stage for stage in stages if " AS weights\n" in stage]
    others = [stage for stage in stages if stage is not weights]
    assert "HF_TOKEN" in weights
    assert "id=hf_token" in weights
    assert not any("hf_token" in stage.lower() for stage in others)
    assert not re.search(r"^ENV.*HF_TOKEN", BASE, re.MULTILINE)
