"""Downloads by purpose, with their sizes, in the studio and on the page of a result."""

import io
import zipfile

import httpx
import pytest
import trimesh
from playwright.sync_api import expect

from tests.support.studio_results import make_result, make_scene, open_result

pytestmark = [pytest.mark.browser, pytest.mark.server]

RED, BLUE = (200, 40, 40), (40, 60, 200)
BOX = (150, 150, 360, 360)


@pytest.fixture
def result(server, drawing):
    return make_result(server, drawing((BOX, RED)))


def download(studio, selector):
    with studio.page.expect_download() as saved:
        studio.page.click(selector)
    return saved.value


def open_menu(studio):
    studio.page.click("#download-menu summary")
    return studio


def purposes(page):
    return page.locator(".purposes-list strong").all_inner_texts()


def test_purposes_and_formats_are_those_that_the_result_can_give(visit, server, drawing, result):
    studio = open_menu(open_result(visit, server, result))
    assert purposes(studio.page) == ["Web page", "Game", "3D print", "Robot"], "no splats with the preview engine"
    given = httpx.get(f"{server.url}/api/assets/{result['id']}").json()["files"]
    assert studio.page.locator("#download-menu .single [data-format]").count() == len(given)
    boxes = {"red": (60, 160, 220, 320), "blue": (300, 190, 430, 320)}
    scene = make_scene(server, drawing((boxes["red"], RED), (boxes["blue"], BLUE)), boxes)
    assert purposes(open_menu(open_result(visit, server, scene)).page) == ["Web page", "Game", "3D print"]


def test_sizes_are_exact_for_what_is_made_and_about_for_what_is_not(visit, server, result):
    studio = open_menu(open_result(visit, server, result))
    assert f"{result['bytes'] / 1e6:.2f} MB" in studio.page.inner_text("#download").replace("\u00a0", " ") or (
        result["bytes"] < 100_000
    )
    stl = studio.page.locator(".single [data-format=stl]")
    assert "about" in stl.inner_text()
    saved = download(studio, ".single [data-format=stl]")
    size = saved.path().stat().st_size
    studio.page.reload()
    studio.wait_for_model()
    open_menu(studio)
    expect(stl).to_contain_text(f"{-(-size // 1000)}")
    assert "about" not in stl.inner_text()


def test_for_the_web_there_is_one_zip(visit, server, result):
    studio = open_menu(open_result(visit, server, result))
    saved = download(studio, ".purposes-list [data-format=web]")
    assert saved.suggested_filename == "box.web.zip"
    names = zipfile.ZipFile(saved.path()).namelist()
    assert names == ["index.html", "box.glb", "box.usdz", "box.webp"]
    expect(studio.page.locator("#download-status")).to_contain_text("ZIP,")


def test_for_a_game_the_model_stands_on_its_pivot(visit, server, result):
    studio = open_menu(open_result(visit, server, result))
    saved = download(studio, ".purposes-list [data-format=glb]")
    content = saved.path().read_bytes()
    if zipfile.is_zipfile(io.BytesIO(content)):  # with levels of detail
        archive = zipfile.ZipFile(io.BytesIO(content))
        content = archive.read(next(name for name in archive.namelist() if name.endswith(".glb")))
    mesh = trimesh.load_mesh(io.BytesIO(content), file_type="glb")
    assert mesh.bounds[0][1] == pytest.approx(0, abs=1e-3)


def test_a_robot_needs_a_height_and_gets_it(visit, server, result):
    studio = open_menu(open_result(visit, server, result))
    page = studio.page
    page.click(".purposes-list [data-format=urdf]")
    expect(page.locator("#download-status")).to_contain_text("how tall")
    assert page.evaluate("document.activeElement.id") == "tall"
    page.keyboard.type("25")
    saved = download(studio, ".purposes-list [data-format=urdf]")
    archive = zipfile.ZipFile(saved.path())
    mesh = trimesh.load_mesh(io.BytesIO(archive.read("visual.obj")), file_type="obj")
    assert mesh.extents[2] == pytest.approx(0.25, rel=1e-3)


def test_the_menu_is_used_by_keyboard_alone(visit, server, result):
    studio = open_result(visit, server, result)
    page = studio.page
    studio.tab_to("download")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#download-menu")).to_have_attribute("open", "")
    page.keyboard.press("Tab")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "box.web.zip"


def test_the_model_is_had_in_other_formats_and_is_called_like_its_photo(visit, drawing, tmp_path):
    studio = visit()
    page = studio.page
    photo = tmp_path / "красный стул.png"
    photo.write_bytes(drawing((BOX, RED)))
    studio.choose(photo)
    studio.make()
    studio.wait_for_model()
    open_menu(studio)
    saved = download(studio, ".single [data-format=stl]")
    assert saved.suggested_filename == "красный стул.stl"
    assert "красный стул" in page.inner_text("#recent")
    stl = trimesh.load_mesh(saved.path(), file_type="stl")
    assert f"{len(stl.faces):,}" in page.inner_text("#facts")


def test_a_download_has_the_options_of_its_format_and_the_height_in_centimetres(visit, drawing):
    studio = visit()
    page = studio.page
    studio.choose(drawing((BOX, RED)))
    studio.make()
    studio.wait_for_model()
    open_menu(studio)
    assert trimesh.load_mesh(download(studio, "#download").path(), file_type="glb").extents.max() == pytest.approx(
        1, rel=0.02
    )
    page.click("text=Download options")
    page.select_option("#option-up", "y")
    page.fill("#tall", "25")
    page.select_option("#option-collision", "hull")
    stl = trimesh.load_mesh(download(studio, ".single [data-format=stl]").path(), file_type="stl")
    assert stl.extents[1] == pytest.approx(250, rel=1e-4)
    for name in ("ply", "usdz", "urdf", "3mf"):
        assert download(studio, f".single [data-format='{name}']").path().stat().st_size > 0
    glb = download(studio, "#download").path()
    scene = trimesh.load_scene(glb, file_type="glb")
    assert any(node.startswith("UCX_") for node in scene.graph.nodes_geometry)
    assert trimesh.load_mesh(glb, file_type="glb").extents[1] == pytest.approx(0.25, abs=1e-6)
