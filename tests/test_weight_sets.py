import hashlib
import json
from pathlib import Path, PurePosixPath

import pytest

from sam3d_bento.settings import Settings
from sam3d_bento.weight_sets import SETS, find
from sam3d_bento.weight_sources import Url, WeightsError, Wheel

SHA256 = hashlib.sha256(b"tiny").hexdigest()


def test_the_sets_are_well_formed():
    for weight_set in SETS.values():
        names = [file.name for file in weight_set.files]
        assert len(set(names)) == len(names)
        for name in (*names, *weight_set.present):
            assert not PurePosixPath(name).is_absolute()
            assert ".." not in name
        for file in weight_set.files:
            assert file.size > 0
            assert file.licence
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.sources or weight_set.elsewhere, "whoever lacks it is told where it is had"
            for source in file.sources:
                assert not isinstance(source, Url) or source.url.startswith("https://")
                assert not isinstance(source, Wheel) or "==" in source.requirement


def test_each_set_lies_where_its_setting_says():
    settings = Settings.from_environ({"SAM3D_MASK_DIR": "/masks", "SAM3D_CHECKPOINT_DIR": "/checkpoints"})
    folders = {name: weight_set.folder(settings) for name, weight_set in SETS.items()}
    assert folders == {"mask": Path("/masks"), "sam3d": Path("/checkpoints")}


def manifest(folder, content):
    (folder / "manifest.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


def test_sam_3d_is_the_built_in_set_where_no_manifest_lies(tmp_path):
    assert find("sam3d", tmp_path) is SETS["sam3d"]
    assert find("sam3d", tmp_path / "nowhere") is SETS["sam3d"]


def test_a_manifest_lists_files_by_size_and_hash(tmp_path):
    found = find("sam3d", manifest(tmp_path, {"files": {"a/b.pt": {"size": 4, "sha256": SHA256.upper()}}}))
    (file,) = found.files
    assert (file.name, file.size, file.sha256) == ("a/b.pt", 4, SHA256)
    assert found.present == ()


def test_the_mask_models_folder_takes_no_manifest(tmp_path):
    assert find("mask", manifest(tmp_path, {"files": {"a": {"size": 4, "sha256": SHA256}}})) is SETS["mask"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "JSON"),
        (b"\xff\xfe{", "JSON"),
        ([], "object"),
        ({}, "files"),
        ({"files": {}}, "files"),
        ({"files": ["a"]}, "files"),
        ({"files": {"a": 4}}, "files: a"),
        ({"files": {"a": {"size": 4}}}, "sha256"),
        ({"files": {"a": {"size": "4", "sha256": SHA256}}}, "size"),
        ({"files": {"a": {"size": True, "sha256": SHA256}}}, "size"),
        ({"files": {"a": {"size": -1, "sha256": SHA256}}}, "size"),
        ({"files": {"a": {"size": 4, "sha256": "x" * 64}}}, "sha256"),
        *(
            ({"files": {name: {"size": 4, "sha256": SHA256}}}, "inside the folder")
            for name in ("/etc/passwd", "../a", "a/../../b", "..", "", ".", "a\0b")
        ),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused_with_the_reason(tmp_path, content, reason):
    with pytest.raises(WeightsError, match=rf"manifest\.json cannot be used.*{reason}") as refusal:
        find("sam3d", manifest(tmp_path, content))
    assert str(tmp_path) not in str(refusal.value)
