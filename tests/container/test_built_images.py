"""What is in the images, layer by layer, and what is not: no token, no compiler, nothing that moves without need."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.container


def layers(images, tag):
    """The digests of the image's layers, the lowest first."""
    return images.inspect(tag)["Docker"]["rootfs"]["diff_ids"]


def found_in(folder, needle):
    """The files, of an image's layers or configuration, that hold the bytes."""
    run = subprocess.run(
        ["grep", "--recursive", "--binary", "--text", "--files-with-matches", "--fixed-strings", needle, str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stderr
    return run.stdout.split()


@pytest.fixture(scope="module")
def with_argument(images, base, build_base, token):
    """The tag of a base that was built with the token as a build argument, all its weights fetched anew."""
    tag = "localhost/sam3d-bento-base:argument"
    build_base(tag, HF_TOKEN=token, downloads="more-downloads")
    return tag


def test_a_secret_token_fetches_the_gated_files_and_is_in_no_layer_and_no_configuration(
    images, base, hub, token, tmp_path
):
    tag, output = base
    with images.root_of(tag) as root:
        hf = root / "app" / "checkpoints" / "hf"
        for name in ("pipeline.yaml", "ss_generator.ckpt", "slat_generator.ckpt", "slat_decoder_gs_4.ckpt"):
            assert (hf / name).read_bytes() == hub.files[name], "without the token it would not be there"
    assert token not in output
    exported = images.export(tag, tmp_path)
    assert found_in(exported, "small stand-in for ss_generator.ckpt"), "the search finds what is there"
    assert found_in(exported, token) == []
    assert token not in json.dumps(images.inspect(tag))


def test_a_token_as_build_argument_is_in_the_discarded_stage_only(images, with_argument, hub, token, tmp_path):
    with images.root_of(with_argument) as root:
        assert (root / "app/checkpoints/hf/ss_generator.ckpt").read_bytes() == hub.files["ss_generator.ckpt"]
    exported = images.export(with_argument, tmp_path)
    assert found_in(exported, token) == []
    assert token not in json.dumps(images.inspect(with_argument))
    assert not [line for line in images.config(with_argument)["Env"] if line.startswith("HF_TOKEN")]


def test_the_same_weights_make_the_same_layers_however_they_were_fetched(images, base, with_argument):
    assert layers(images, base[0]) == layers(images, with_argument), "a registry takes no layer twice"


def test_the_base_holds_no_compiler_and_no_git(images, base):
    with images.root_of(base[0]) as root:
        places = ("usr/bin", "usr/local/bin", "app/.venv/bin", "opt")
        programs = {path.name for place in places for path in (root / place).rglob("*")}
    assert programs & {"python3.11", "sh"}
    assert not programs & {"gcc", "cc", "g++", "clang", "make", "nvcc", "git", "cargo"}


def test_a_change_of_code_moves_megabytes(images, base, service, build_bento, project, tmp_path):
    changed = tmp_path / "project"
    shutil.copytree(project, changed, ignore=shutil.ignore_patterns(".*", "__pycache__", "node_modules"))
    with (changed / "service.py").open("a") as file:
        file.write("\n# changed\n")
    bento, tag = build_bento(changed), "localhost/sam3d-bento:changed"
    images.build(bento, bento / "env" / "docker" / "Dockerfile", tag)
    below = len(layers(images, base[0]))
    before, after = layers(images, service), layers(images, tag)
    assert before[:below] == after[:below] == layers(images, base[0])
    new = {digest.removeprefix("sha256:") for digest in set(after) - set(before)}
    moved = [path for path in images.export(tag, tmp_path).rglob("*.tar") if path.stem in new]
    assert len(moved) == len(new) > 0
    # Not compressed: the code, its bytecode, the studio and the finished models of its samples.
    assert sum(path.stat().st_size for path in moved) < 15_000_000


def test_hadolint_finds_nothing_in_the_dockerfile_that_bentoml_writes(bento, project):
    program = Path(sys.executable).with_name("hadolint")
    command = [program, "--config", project / ".hadolint.yaml", bento / "env" / "docker" / "Dockerfile"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_the_image_says_how_it_is_run(images, service):
    config = images.config(service)
    assert config["User"] == "1034:1034", "a number: Kubernetes' runAsNonRoot does not look up names"
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    assert "/health" in " ".join(config["Healthcheck"]["Test"])
    environment = dict(item.split("=", 1) for item in config["Env"])
    assert environment["SAM3D_CHECKPOINT_DIR"] == "/app/checkpoints/hf"
    assert environment["SAM3D_OUTPUT_DIR"] == "/app/outputs"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert environment["BENTOML_DO_NOT_TRACK"] == "True"
    assert not [name for name in environment if any(word in name for word in ("TOKEN", "SECRET", "KEY", "PASSWORD"))]


def test_the_engine_of_the_released_image_is_sam3d(project):
    text = (project / "Dockerfile.base").read_text()
    assert {line for line in text.splitlines() if line.startswith("ARG ENGINE")} == {"ARG ENGINE=sam3d"}
    assert "SAM3D_ENGINE=${ENGINE}" in text


def test_nobody_but_root_can_change_what_runs(root):
    owned = [path for path in (root / "home/bentoml/bento").rglob("*") if path.stat().st_uid != 0]
    assert owned == []
    assert (root / "app/outputs").stat().st_uid == 1034
    unreadable = [path for path in (root / "app/checkpoints").rglob("*") if not path.stat().st_mode & 0o004]
    assert unreadable == []


def test_what_is_started_is_compiled(root):
    """Else every start from a read-only file system compiles thousands of files anew."""
    for package in (
        root / "home/bentoml/bento/src/sam3d_bento",
        next((root / "app/.venv/lib").glob("*/site-packages")) / "bentoml",
    ):
        sources = list(package.rglob("*.py"))
        compiled = {path.name.split(".")[0] for path in package.rglob("__pycache__/*.pyc")}
        assert len(sources) > 20
        assert {path.stem for path in sources} <= compiled
