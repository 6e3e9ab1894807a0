import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sam3d_bento.engines.sam3d.loading import checkpoints
from sam3d_bento.errors import NotReady
from sam3d_bento.weights.sets import SETS

FILES = [file for file in SETS["sam3d"].files if not file.optional]


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """A folder with files of the right names and sizes: holes, so that 13 GB take no room."""
    for file in FILES:
        path = tmp_path / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as hole:
            hole.truncate(file.size)
    return tmp_path


def refusal(directory: Path) -> str:
    with pytest.raises(NotReady) as raised:
        checkpoints.check(directory)
    assert str(directory) not in raised.value.detail, "a client sees this sentence"
    return raised.value.detail


def test_files_of_the_right_sizes_pass(complete: Path) -> None:
    checkpoints.check(complete)


def test_missing_or_truncated_file_is_named_with_its_expected_size(complete: Path) -> None:
    (complete / "ss_generator.ckpt").unlink()
    (complete / "slat_decoder_gs.ckpt").write_bytes(bytes(12))
    assert refusal(complete) == (
        "The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR are incomplete: "
        "ss_generator.ckpt is missing (6,690,136,964 bytes); "
        "slat_decoder_gs.ckpt has 12 bytes instead of 171,476,155."
    )


def test_the_code_of_dinov2_belongs_to_it(complete: Path) -> None:
    (complete / "dinov2" / "hubconf.py").unlink()
    assert refusal(complete).endswith("are incomplete: dinov2/hubconf.py is missing (930 bytes).")


def test_the_decoder_that_the_engine_never_loads_may_be_absent_or_wrong(complete: Path) -> None:
    assert not (complete / "slat_decoder_gs_4.ckpt").exists()
    (complete / "slat_decoder_gs_4.yaml").write_bytes(b"another")
    checkpoints.check(complete)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_of_many_missing_files_the_first_are_named_and_the_others_counted(tmp_path: Path, name: str) -> None:
    said = refusal(tmp_path / name)
    assert [file.name for file in FILES if f"{file.name} is missing" in said] == [file.name for file in FILES[:3]]
    assert f"and {len(FILES) - 3} more" in said


def test_a_folder_with_its_own_manifest_is_judged_by_it(tmp_path: Path) -> None:
    tiny = {"size": 4, "sha256": hashlib.sha256(b"tiny").hexdigest()}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": {"pipeline.yaml": tiny}}))
    assert refusal(tmp_path).endswith("are incomplete: pipeline.yaml is missing (4 bytes).")
    (tmp_path / "pipeline.yaml").write_bytes(b"tiny")
    checkpoints.check(tmp_path)


@pytest.mark.parametrize("content", ["no JSON", '{"files": {"../x": {"size": 1, "sha256": ""}}}'])
def test_a_manifest_that_cannot_be_used_is_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    assert "manifest.json cannot be used" in refusal(tmp_path)


def test_a_folder_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    assert "SAM3D_CHECKPOINT_DIR cannot be read" in refusal(tmp_path)


def test_the_check_needs_no_torch() -> None:
    program = "import sys, sam3d_bento.engines.sam3d.loading.checkpoints; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def with_manifest(directory: Path, files: dict[str, bytes]) -> Path:
    """Write the files, and a manifest that lists them."""
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    listed = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()} for name, content in files.items()
    }
    (directory / "manifest.json").write_text(json.dumps({"files": listed}))
    return directory


OWN = {"pipeline.yaml": b"a: 1\n", "sub/other.yml": b"b: 2\n", "dinov2/hubconf.py": b"x = 1\n", "model.ckpt": b"123"}


def test_configurations_and_code_as_listed_are_used(tmp_path: Path) -> None:
    checkpoints.check_configurations(with_manifest(tmp_path, OWN))


@pytest.mark.parametrize("name", [name for name in OWN if not name.endswith(".ckpt")])
def test_a_configuration_or_code_of_the_same_size_and_another_content_is_named(tmp_path: Path, name: str) -> None:
    with_manifest(tmp_path, OWN)
    (tmp_path / name).write_bytes(OWN[name][::-1])
    checkpoints.check(tmp_path)
    with pytest.raises(NotReady, match=re.escape(f"{name} has the wrong content")):
        checkpoints.check_configurations(tmp_path)


def test_weights_are_not_read_at_a_start_nor_is_what_the_manifest_does_not_list(tmp_path: Path) -> None:
    with_manifest(tmp_path, OWN)
    (tmp_path / "model.ckpt").write_bytes(b"321")
    (tmp_path / "notes.yaml").write_bytes(b"not listed")
    checkpoints.check_configurations(tmp_path)


def test_without_a_manifest_of_its_own_a_folder_is_held_against_this_projects(complete: Path) -> None:
    with pytest.raises(NotReady, match=r"pipeline\.yaml has the wrong content"):
        checkpoints.check_configurations(complete)
    assert not checkpoints.is_released(complete, complete / "pipeline.yaml")


def test_a_released_file_is_known_by_its_name_and_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pipeline.yaml").write_bytes(b"released")
    (tmp_path / "other.yaml").write_bytes(b"released")
    pipeline = SETS["sam3d"].files[0]
    assert pipeline.name == "pipeline.yaml"
    released = replace(pipeline, sha256=hashlib.sha256(b"released").hexdigest())
    monkeypatch.setitem(SETS, "sam3d", replace(SETS["sam3d"], files=(released,)))
    assert checkpoints.is_released(tmp_path, tmp_path / "pipeline.yaml")
    assert not checkpoints.is_released(tmp_path, tmp_path / "other.yaml")
    (tmp_path / "pipeline.yaml").write_bytes(b"changed")
    assert not checkpoints.is_released(tmp_path, tmp_path / "pipeline.yaml")


def test_a_file_is_listed_by_its_content(tmp_path: Path) -> None:
    with_manifest(tmp_path, OWN)
    assert checkpoints.is_listed(tmp_path, tmp_path / "model.ckpt")
    (tmp_path / "model.ckpt").write_bytes(b"321")
    assert not checkpoints.is_listed(tmp_path, tmp_path / "model.ckpt")


def test_the_code_that_is_imported_is_what_is_listed_and_nothing_that_lies_beside_it(tmp_path: Path) -> None:
    with_manifest(tmp_path, OWN)
    (tmp_path / "dinov2" / "xformers").mkdir()
    (tmp_path / "dinov2" / "xformers" / "__init__.py").write_bytes(b"raise SystemExit('planted')")
    (tmp_path / "dinov2" / "__pycache__").mkdir()
    (tmp_path / "dinov2" / "__pycache__" / "hubconf.cpython-311.pyc").write_bytes(b"planted")
    with checkpoints.verified_code(tmp_path) as code:
        found = {path.relative_to(code).as_posix(): path.read_bytes() for path in code.rglob("*") if path.is_file()}
        assert found == {"dinov2/hubconf.py": b"x = 1\n"}
    assert not code.exists()


def test_code_that_changed_since_it_was_looked_at_is_not_imported(tmp_path: Path) -> None:
    with_manifest(tmp_path, OWN)
    (tmp_path / "dinov2" / "hubconf.py").write_bytes(b"x = 2\n")
    with pytest.raises(NotReady, match=r"hubconf\.py"), checkpoints.verified_code(tmp_path):
        pass


@pytest.mark.parametrize(
    ("name", "known"),
    [("dinov2", True), ("./dinov2", True), ("sub", False), ("../dinov2", False), ("sub/../dinov2", False), ("", False)],
)
def test_code_is_taken_from_a_folder_that_the_manifest_lists(tmp_path: Path, name: str, known: bool) -> None:
    with_manifest(tmp_path, OWN)
    assert checkpoints.is_code_folder(tmp_path, name) is known
    assert not checkpoints.is_code_folder(tmp_path, str(tmp_path / "dinov2"))
