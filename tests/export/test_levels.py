from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sam3d_bento.export import Export, to_glb
from sam3d_bento.export.glb.read import read_glb
from sam3d_bento.export.levels import packed_levels, to_levels
from sam3d_bento.options import Options
from tests.support.export_meshes import blob, painted, sphere

OPTIONS = Options(texture_size=512, target_faces=4000, name="stool")


@pytest.fixture(scope="module")
def levels() -> list[Export]:
    return to_levels(painted(blob(130)), OPTIONS, {"seed": 7}, 3)


def test_each_level_has_a_quarter_of_the_faces_and_half_the_texture(levels: list[Export]) -> None:
    meshes = [read_glb(level.glb) for level in levels]
    faces = [len(mesh.faces) for mesh in meshes]
    assert 0.95 * 4000 < faces[0] <= 4000
    assert all(0.9 * finer / 4 < coarser <= finer / 4 for finer, coarser in itertools.pairwise(faces))
    assert [len(mesh.image) for mesh in meshes] == [512, 256, 256], "and never less than 256 pixels"
    assert [mesh.name for mesh in meshes] == ["stool_lod0", "stool_lod1", "stool_lod2"]


def test_the_first_level_is_what_a_single_file_is(levels: list[Export]) -> None:
    single, first = read_glb(to_glb(painted(blob(130)), OPTIONS, {}).glb), read_glb(levels[0].glb)
    assert np.array_equal(single.positions, first.positions)
    assert np.array_equal(single.image, first.image)


def test_each_level_says_how_far_it_deviates(levels: list[Export]) -> None:
    found = [level.extras["deviation"] for level in levels]
    assert found == sorted(found)
    assert 0 < found[0] < found[-1] < 0.05


def test_the_archive_has_a_file_for_each_level_and_a_manifest_that_tells_them_apart(
    levels: list[Export], assert_flawless: Callable[[bytes], None]
) -> None:
    archive = zipfile.ZipFile(io.BytesIO(packed_levels(levels, "stool")))
    files = ["stool_lod0.glb", "stool_lod1.glb", "stool_lod2.glb"]
    assert archive.namelist() == ["manifest.json", *files]
    manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
    assert [entry["file"] for entry in manifest["levels"]] == files
    for entry, level in zip(manifest["levels"], levels, strict=True):
        assert archive.read(entry["file"]) == level.glb
        assert [entry[key] for key in ("faces", "deviation")] == [level.extras[key] for key in ("faces", "deviation")]
        assert_flawless(level.glb)


@pytest.mark.slow
def test_with_a_deviation_each_level_keeps_four_times_that_of_the_one_before() -> None:
    options = Options(texture_size=512, max_deviation=0.002)
    levels = to_levels(painted(blob(130)), options, {}, 3)
    assert len(levels) == 3
    for number, level in enumerate(levels):
        assert level.extras["deviation"] <= 0.002 * 4**number
        assert "warnings" not in level.extras or not level.extras["warnings"]


def test_there_is_no_level_of_hardly_any_faces() -> None:
    levels = to_levels(painted(sphere(16)), Options(texture_size=512, target_faces=1000), {}, 4)
    assert [level.extras["faces"] for level in levels] == [960, 240]
