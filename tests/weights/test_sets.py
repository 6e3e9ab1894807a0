import hashlib
import json
from pathlib import Path, PurePosixPath

import pytest

from sam3d_bento.photo.mask_model import MODELS
from sam3d_bento.photo.prompts.sam import MOBILE_SAM
from sam3d_bento.settings import Settings
from sam3d_bento.weights import sets
from sam3d_bento.weights.part import WeightsError
from sam3d_bento.weights.sets import ALL, SETS, find, holding, places
from sam3d_bento.weights.sources import HubFile, Url, Wheel

SHA256 = hashlib.sha256(b"tiny").hexdigest()


def test_the_sets_are_well_formed():
    names = [file.name for weight_set in SETS.values() for file in weight_set.files]
    assert len(set(names)) == len(names), "a name tells which set a file belongs to"
    assert ALL not in SETS
    for weight_set in SETS.values():
        for file in weight_set.files:
            assert not PurePosixPath(file.name).is_absolute()
            assert ".." not in file.name
            assert file.size > 0
            assert file.licence
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.sources
            for source in file.sources:
                assert not isinstance(source, Url) or source.url.startswith("https://")
                assert not isinstance(source, Wheel) or "==" in source.requirement
                assert not isinstance(source, HubFile) or len(bytes.fromhex(source.revision)) == 20


def test_sam_3d_is_what_its_pipeline_names_with_the_depth_model_and_dinov2():
    files = {file.name: file for file in SETS["sam3d"].files}
    parts = (
        "ss_generator",
        "slat_generator",
        "ss_decoder",
        "slat_decoder_gs",
        "slat_decoder_gs_4",
        "slat_decoder_mesh",
    )
    gated = {"pipeline.yaml", *(f"{part}.{kind}" for part in parts for kind in ("yaml", "ckpt"))}
    assert {name for name, file in files.items() if getattr(file.sources[0], "gated", False)} == gated
    assert {name.split("/")[0] for name in files.keys() - gated} == {"moge", "dinov2"}
    assert {"dinov2/hubconf.py", "dinov2/LICENSE"} < files.keys()
    (source,) = files["ss_generator.ckpt"].sources
    assert str(source) == (
        "hf://facebook/sam-3d-objects@2e73555018d2741ccd486e56c24fac41155a1dc6/checkpoints/ss_generator.ckpt"
    )


def test_only_the_decoder_that_nothing_asks_for_is_optional():
    optional = [file.name for weight_set in SETS.values() for file in weight_set.files if file.optional]
    assert optional == ["slat_decoder_gs_4.yaml", "slat_decoder_gs_4.ckpt"]


def test_the_default_mask_model_is_small_and_each_other_set_of_one_names_its_model():
    assert [file.name for file in SETS["mask"].files] == [f"{Settings().mask_model}.onnx"]
    assert sum(file.size for file in SETS["mask"].files) < 5e6
    for name in SETS.keys() - {"mask", "sam3d", "size", "prompts"}:
        model = name.removeprefix("mask-")
        assert [file.name for file in SETS[name].files] == [f"{model}.onnx"]
        assert model in MODELS


def test_mobile_sam_is_an_extra_whose_files_are_members_of_one_archive():
    assert SETS["prompts"].optional(Settings(engine="sam3d"))
    files = SETS["prompts"].files
    assert len({(source.archive, source.size, source.sha256) for file in files for source in file.sources}) == 1
    assert [file.name for file in files] == list(MOBILE_SAM.files)
    assert {file.licence for file in files} == {"Apache-2.0"}


def test_the_size_model_is_an_extra_that_no_settings_need():
    assert sets.extras() == ["size", "prompts"]
    assert all("size" not in sets.in_use(Settings(engine=engine)) for engine in ("auto", "preview", "sam3d"))
    assert SETS["size"].optional(Settings(engine="sam3d"))
    (file,) = SETS["size"].files
    assert (file.name, file.licence) == ("moge-2-vits-normal/model.onnx", "MIT AND Apache-2.0")


def test_each_set_lies_where_its_setting_says(monkeypatch):
    monkeypatch.setenv("SAM3D_MASK_DIR", "/masks")
    monkeypatch.setenv("SAM3D_CHECKPOINT_DIR", "/checkpoints")
    monkeypatch.setenv("SAM3D_SIZE_DIR", "/sizes")
    monkeypatch.setenv("SAM3D_PROMPT_DIR", "/prompts")
    expected = {"mask": Path("/masks"), "mask-isnet-general-use": Path("/masks"), "size": Path("/sizes")}
    assert places(ALL, None) == expected | {"prompts": Path("/prompts"), "sam3d": Path("/checkpoints")}
    assert places("sam3d", None) == {"sam3d": Path("/checkpoints")}


def test_below_one_folder_each_set_has_its_place():
    assert places("sam3d", Path("/app")) == {"sam3d": Path("/app/hf")}
    assert set(places(ALL, Path("/app")).values()) == {
        Path("/app/hf"),
        Path("/app/mask"),
        Path("/app/size"),
        Path("/app/prompts"),
    }


def test_a_file_is_found_with_its_set():
    name, file = holding("isnet-general-use.onnx")
    assert (name, file.size, file.licence) == ("mask-isnet-general-use", 178_648_008, "Apache-2.0")
    assert holding("unknown.onnx") is None


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
