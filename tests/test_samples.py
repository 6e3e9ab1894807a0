"""The sample photos: small, listed once, free to be passed on, and shown with their results."""

import io
import json
import re

import pytest
import trimesh
from PIL import Image

from sam3d_bento.cli import doctor
from tests.support.places import PROJECT
from tools import contact_sheet

SAMPLES = PROJECT / "sam3d_bento" / "serving" / "web" / "samples"
PICTURES = PROJECT / "docs" / "samples"
LISTED = json.loads((SAMPLES / "samples.json").read_text())
NAMES = [sample["file"].removesuffix(".jpg") for sample in LISTED]


def test_six_photos_are_listed_and_no_other_lies_there():
    assert len(NAMES) == 6
    files = {f"{name}.{suffix}" for name in NAMES for suffix in ("jpg", "glb")}
    assert {path.name for path in SAMPLES.iterdir()} == {"samples.json", *files}
    assert {path.name for path in PICTURES.iterdir()} == {"README.md", "sheet.jpg", "hero.jpg", "contact-sheet.jpg"}


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_and_its_result_are_small_and_whole(name):
    photo, glb = SAMPLES / f"{name}.jpg", SAMPLES / f"{name}.glb"
    assert photo.stat().st_size <= 150_000
    assert glb.stat().st_size <= 400_000
    with Image.open(photo) as picture:
        picture.load()
        assert min(picture.size) >= 256
    mesh = trimesh.load_mesh(io.BytesIO(glb.read_bytes()), file_type="glb")
    assert 12 <= len(mesh.faces) <= 6000, "a box is twelve"
    assert mesh.visual.material.baseColorTexture.size == (1024, 1024)


def test_the_page_of_the_samples_says_of_each_what_the_list_says():
    rows = re.findall(
        r"^\| \[(\w+)\]\(\S+/(\S+)\) \| \[.*?\]\((\S+)\) \| (.*) \| (.*) \|$",
        (PICTURES / "README.md").read_text(),
        re.M,
    )
    assert [(file, origin, licence) for _, file, _, origin, licence in rows] == [
        (sample["file"], sample["origin"], sample["licence"]) for sample in LISTED
    ]
    assert {sample["licence"] for sample in LISTED} <= {"CC0-1.0", "public domain"}


def test_the_contact_sheet_is_small_and_shows_twelve_photos_from_five_sides():
    sheet = PICTURES / "contact-sheet.jpg"
    assert sheet.stat().st_size < 400_000
    names = [*contact_sheet.REAL, *contact_sheet.RENDERED]
    assert len(names) == 12
    assert len(contact_sheet.REAL) == 6
    with Image.open(sheet) as picture:
        wide, high = (side // contact_sheet.VIEW_PIXELS for side in picture.size)
    assert (wide, high) == (contact_sheet.COLUMNS * (1 + len(contact_sheet.VIEWS)), len(names) / contact_sheet.COLUMNS)
    page = (PICTURES / "README.md").read_text()
    assert all(name in page.partition("Contact sheet")[2] for name in names)


def test_the_self_test_uses_one_of_them():
    assert PROJECT.joinpath("sam3d_bento", *doctor.SAMPLE).parent == SAMPLES
    assert doctor.SAMPLE[-1] in {sample["file"] for sample in LISTED}
