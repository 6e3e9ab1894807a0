from pathlib import Path

import click
import pytest

from sam3d_bento.cli.generation import photos
from sam3d_bento.cli.generation.photos import DASH, plan


@pytest.fixture
def shop(tmp_path):
    """A folder with photos and with other files."""
    for name in (
        "cup.jpg",
        "TEA.JPEG",
        "notes.txt",
        ".hidden.jpg",
        "red/cup.jpg",
        "red/dark/cup.v2.png",
        ".thumbnails/cup.jpg",
        "models/cup.webp",
        "models/cup.glb",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def planned(*given, output=Path("out"), formats=("glb",), name=None, recursive=False):
    return plan(given, output, formats, name, recursive=recursive)


def names(tasks, shop):
    return {str(task.photo.relative_to(shop)): str(task.file("glb")) for task in tasks}


def test_a_folder_stands_for_its_photos(shop):
    assert names(planned(shop), shop) == {"TEA.JPEG": "out/TEA.glb", "cup.jpg": "out/cup.glb"}


def test_recursive_takes_subfolders_with_their_names_but_neither_hidden_ones_nor_results(shop):
    expected = {
        "TEA.JPEG": "out/TEA.glb",
        "cup.jpg": "out/cup.glb",
        "red/cup.jpg": "out/red/cup.glb",
        "red/dark/cup.v2.png": "out/red/dark/cup.v2.glb",
    }
    assert names(planned(shop, recursive=True), shop) == expected
    beside = {photo: str(shop / "models" / result.removeprefix("out/")) for photo, result in expected.items()}
    assert names(planned(shop, recursive=True, output=shop / "models"), shop) == beside
    (shop / "models" / "cup.jpg").touch()
    assert names(planned(shop, recursive=True, output=shop / "models"), shop) == beside, "the results' own folder"


def test_results_may_lie_beside_their_photos_and_their_pictures_are_no_photos(shop):
    (shop / "cup.webp").touch()
    (shop / "cup.glb").touch()
    assert set(names(planned(shop, output=shop), shop)) == {"TEA.JPEG", "cup.jpg"}


def test_photos_of_one_name_in_different_folders_that_are_given_together_are_both_named(shop):
    with pytest.raises(click.UsageError) as refusal:
        planned(shop / "cup.jpg", shop / "red" / "cup.jpg")
    assert str(shop / "cup.jpg") in refusal.value.message
    assert str(shop / "red" / "cup.jpg") in refusal.value.message
    (shop / "cup.png").touch()
    with pytest.raises(click.UsageError, match=r"cup\.jpg and .*cup\.png"):
        planned(shop)


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ([DASH, DASH], {}, "same name"),
        ([DASH, DASH], {"output": DASH}, "standard output takes one result"),
        ([DASH], {"output": DASH, "formats": ("glb", "stl")}, "one --format"),
        ([Path("a.jpg"), Path("b.jpg")], {"name": "cup"}, "--name needs a single photo"),
        ([Path("a.jpg"), Path("b.jpg")], {"output": Path("cup.glb")}, "cup.glb takes one result"),
        ([Path("a.jpg")], {"output": Path("cup.glb"), "formats": ("stl",)}, "not that of --format stl"),
        ([Path("a.jpg")], {"output": Path("cup.obj")}, "cup.obj.zip"),
        ([Path("x/cup.webp")], {"output": Path("x")}, "overwrite x/cup.webp"),
    ],
)
def test_what_does_not_go_together_is_said(given, options, said):
    with pytest.raises(click.UsageError) as refusal:
        planned(*given, **options)
    assert said in refusal.value.message


def test_an_empty_folder_says_how_to_reach_its_subfolders(tmp_path):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "cup.jpg").touch()
    with pytest.raises(click.UsageError, match="--recursive"):
        planned(tmp_path)
    assert len(planned(tmp_path, recursive=True)) == 1


def test_standard_input_has_the_name_that_it_is_given(tmp_path):
    assert planned(DASH)[0].file("glb") == Path("out/object.glb")
    assert planned(DASH, name="чашка")[0].file("usdz") == Path("out/чашка.usdz")
    assert planned(DASH, output=tmp_path / "cup.splats.ply", formats=("ply-splats",))[0].base == tmp_path / "cup"


def test_a_format_comes_from_the_suffix_of_a_file_but_not_from_that_of_a_folder(tmp_path):
    assert photos.default_formats(tmp_path / "x.obj.zip") == ("obj",)
    assert photos.default_formats(tmp_path / "models") == ("glb",)
    (tmp_path / "x.stl").mkdir()
    assert photos.default_formats(tmp_path / "x.stl") == ("glb",)


def test_a_message_shows_no_control_character_of_a_file_name():
    assert photos.printable(Path("a\x1b[2Jb\n\udcff.jpg")) == "a\ufffd[2Jb\ufffd\ufffd.jpg"
