import hashlib
import json
import subprocess
import sys
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


def test_what_is_missing_or_truncated_is_named_with_the_size_it_should_have(complete: Path) -> None:
    (complete / "ss_generator.ckpt").unlink()
    (complete / "slat_decoder_gs.ckpt").write_bytes(bytes(12))
    assert refusal(complete) == (
        "The SAM 3D checkpoints in SAM3D_CHECKPOINT_DIR are incomplete: "
        "ss_generator.ckpt is missing (6,690,136,964 bytes); "
        "slat_decoder_gs.ckpt has 12 bytes; it should have 171,476,155."
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
