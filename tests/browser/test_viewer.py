"""The viewer, on the page of a result: how the model looks, where it is seen from, pictures and films of it."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.support.studio_results import make_result, make_scene, open_result

pytestmark = [pytest.mark.browser, pytest.mark.server]

RED, BLUE = (200, 40, 40), (40, 60, 200)
BOX = (150, 150, 360, 360)

COUNT_FRAMES = """
  const request = window.requestAnimationFrame.bind(window);
  window.frames_ = 0;
  window.plainFrame = request;
  window.requestAnimationFrame = (draw) => request((now) => { window.frames_ += 1; draw(now); });
"""
WAIT_FRAMES = """(count) => new Promise((done) => {
  const step = () => (count-- ? plainFrame(step) : done(window.frames_));
  step();
})"""


@pytest.fixture(scope="module")
def box(server, drawing):
    return make_result(server, drawing((BOX, RED)), height="0.2")


@pytest.fixture(scope="module")
def unsized(server, drawing):
    return make_result(server, drawing((BOX, RED)))


@pytest.fixture(scope="module")
def scene(server, drawing):
    boxes = {"red one": (60, 160, 220, 320), "blue one": (300, 190, 430, 320)}
    photo = drawing((boxes["red one"], RED), (boxes["blue one"], BLUE))
    return make_scene(server, photo, boxes)


def stage(studio):
    """What the viewer shows, without the ring of the focus around it."""
    return studio.picture("#model-canvas")[12:-12, 12:-12]


def red(picture):
    """Which pixels are red: (H, W)."""
    return picture[..., 0] - picture[..., 2] > 50


def test_each_look_differs_and_the_light_leaves_the_colours_as_they_are(visit, server, unsized):
    studio = open_result(visit, server, unsized)
    looks = {}
    for look in ("lit", "unlit", "normals", "wireframe", "uv", "texture"):
        studio.page.select_option("#look", look)
        looks[look] = studio.picture("#stage")
    for one, other in itertools.combinations(looks, 2):
        assert np.abs(looks[one] - looks[other]).mean() > 0.2, (one, other)
    both = red(looks["lit"]) & red(looks["unlit"])
    lit, unlit = (((looks[look][both] / 255) ** 2.2).mean(0) for look in ("lit", "unlit"))  # from sRGB
    assert lit.sum() / unlit.sum() == pytest.approx(1, abs=0.3)
    assert lit / lit.sum() == pytest.approx(unlit / unlit.sum(), abs=0.05), "the hue is that of the texture"
    studio.page.select_option("#look", "lit")
    assert np.abs(studio.picture("#stage") - looks["lit"]).mean() < 0.5


def test_the_view_is_turned_and_zoomed_by_buttons_and_by_keys(visit, server, unsized):
    studio = open_result(visit, server, unsized)
    canvas = studio.page.locator("#model-canvas")
    first = stage(studio)
    size = red(first).sum()
    studio.page.click("#zoom-out")
    assert red(stage(studio)).sum() < 0.9 * size
    canvas.press("+")
    canvas.press("=")
    assert red(stage(studio)).sum() > 1.1 * size
    for key in ("ArrowLeft", "ArrowUp"):
        before = stage(studio)
        canvas.press(key)
        assert np.abs(stage(studio) - before).mean() > 0.2, key
    canvas.press("0")
    assert np.abs(stage(studio) - first).mean() < 0.5
    studio.page.select_option("#background", "black")
    assert studio.picture("#stage")[8, 60].tolist() == [0, 0, 0]


def test_nothing_is_drawn_while_nothing_changes(visit, server, unsized):
    studio = visit(server.url)
    studio.page.add_init_script(COUNT_FRAMES)
    studio.page.goto(f"{server.url}/m/{unsized['id']}")
    studio.wait_for_model()
    studio.page.wait_for_selector("#download")
    studio.page.evaluate(WAIT_FRAMES, 60)  # the first frames, and those of the page's own layout
    at_rest = studio.page.evaluate(WAIT_FRAMES, 1)
    assert studio.page.evaluate(WAIT_FRAMES, 30) == at_rest
    studio.page.click("#rotate")
    assert studio.page.evaluate(WAIT_FRAMES, 30) > at_rest + 5
    studio.page.click("#rotate")


def test_the_model_stands_in_a_shadow(visit, server, unsized):
    studio = open_result(visit, server, unsized)
    studio.page.select_option("#background", "white")
    picture = stage(studio)
    rows, _ = np.nonzero(red(picture))
    grey = (np.ptp(picture, axis=-1) < 12) & (picture.max(-1) < 225)
    assert grey[rows.max() - 60 :].sum() > 100, "at its foot the white ground is darker"
    assert not grey[: rows.min()].any(), "above it is not"


def test_a_model_of_known_size_shows_its_dimensions_and_a_grid(visit, server, box, unsized):
    studio = open_result(visit, server, box)
    measures = studio.page.locator("#measures")
    expect(measures).to_contain_text("× 20 cm ×")
    expect(measures).to_contain_text("grid")
    assert studio.page.get_attribute("#grid", "aria-pressed") == "true"
    with_grid = stage(studio)
    studio.page.click("#grid")
    assert np.abs(stage(studio) - with_grid).mean() > 0.2
    expect(measures).not_to_contain_text("grid")
    other = open_result(visit, server, unsized)
    expect(other.page.locator("#measures")).to_be_hidden()
    assert other.page.get_attribute("#grid", "aria-pressed") == "false"


def test_from_the_photos_camera_the_model_covers_what_it_covers_in_the_photo(visit, server, box):
    studio = open_result(visit, server, box)
    studio.page.click("#photo-camera")
    assert studio.page.get_attribute("#photo-camera", "aria-pressed") == "true"
    seen = red(stage(studio))
    height, width = seen.shape
    side = min(height, width)
    square = seen[(height - side) // 2 :, (width - side) // 2 :][:side, :side]
    rows, columns = (np.arange(side) + 0.5) * 512 / side, (np.arange(side) + 0.5) * 512 / side
    wanted = (rows[:, None] > 150) & (rows[:, None] < 360) & (columns > 150) & (columns < 360)
    assert (square & wanted).sum() / (square | wanted).sum() > 0.9
    studio.page.locator("#model-canvas").press("ArrowLeft")
    assert studio.page.get_attribute("#photo-camera", "aria-pressed") == "false", "turning leaves it"


def test_a_picture_is_saved_before_the_chosen_ground(visit, server, unsized):
    studio = open_result(visit, server, unsized)
    pictures = {}
    for background in ("page", "white"):
        studio.page.select_option("#background", background)
        with studio.page.expect_download() as download:
            studio.page.click("#screenshot")
        assert download.value.suggested_filename == "box.png"
        pictures[background] = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGBA"))
    assert pictures["page"][0, 0, 3] == 0, "transparent"
    assert pictures["white"][0, 0].tolist() == [255, 255, 255, 255]
    assert red(pictures["page"].astype(float)).mean() > 0.05


def test_one_turn_is_filmed_and_filming_can_be_stopped(visit, server, unsized):
    studio = open_result(visit, server, unsized)
    with studio.page.expect_download() as download:
        studio.page.click("#turntable")
        expect(studio.page.locator("#view-status")).to_contain_text("Filming")
    film = download.value.path().read_bytes()
    assert download.value.suggested_filename == "box.webm"
    assert film[:4] == b"\x1a\x45\xdf\xa3", "EBML, as in WebM"
    assert len(film) > 10_000
    expect(studio.page.locator("#view-status")).to_have_text("The film is saved.")
    studio.page.click("#turntable")
    studio.page.click("#turntable")
    expect(studio.page.locator("#turntable")).to_have_attribute("aria-pressed", "false")
    expect(studio.page.locator("#view-status")).to_have_text("")


def test_a_browser_without_recording_says_so(visit, server, unsized):
    studio = visit(server.url)
    studio.page.add_init_script("delete window.MediaRecorder")
    studio.page.goto(f"{server.url}/m/{unsized['id']}")
    studio.wait_for_model()
    studio.page.click("#turntable")
    expect(studio.page.locator("#view-status")).to_contain_text("records no films")


def test_the_viewer_fills_the_screen_and_goes_back(visit, server, unsized):
    studio = open_result(visit, server, unsized)
    before = studio.page.locator("#stage").bounding_box()
    studio.page.click("#fullscreen")
    studio.page.wait_for_function("document.fullscreenElement !== null")
    expect(studio.page.locator("#fullscreen")).to_have_attribute("aria-pressed", "true")
    assert studio.page.locator("#stage").bounding_box()["width"] > before["width"] + 100
    studio.page.click("#fullscreen")
    studio.page.wait_for_function("document.fullscreenElement === null")
    expect(studio.page.locator("#fullscreen")).to_have_attribute("aria-pressed", "false")


def test_objects_of_a_scene_are_listed_hidden_marked_and_looked_at(visit, server, scene):
    studio = open_result(visit, server, scene)
    page = studio.page
    names = page.locator("#nodes button[aria-pressed]")
    expect(names).to_have_text(["red one", "blue one"])
    blue = lambda picture: picture[..., 2] - picture[..., 0] > 50  # noqa: E731
    whole = stage(studio)
    assert red(whole).any()
    assert blue(whole).any()
    page.get_by_label("Show blue one").uncheck()
    assert not blue(stage(studio)).any()
    assert red(stage(studio)).any()
    page.get_by_label("Show blue one").check()
    page.get_by_label("Look at blue one").click()
    assert blue(stage(studio)).sum() > 1.3 * blue(whole).sum()
    before = stage(studio)
    names.nth(1).click()
    assert np.abs(stage(studio) - before).mean() > 0.02, "its box is drawn"
    expect(names.nth(1)).to_have_attribute("aria-pressed", "true")
    page.click("#photo-camera")
    seen = stage(studio)
    assert red(seen).any()
    assert blue(seen).any()


def test_all_tools_are_large_enough_for_a_finger_and_fit_on_a_phone(visit, server, box):
    studio = open_result(visit, server, box, width=390, height=844, has_touch=True, is_mobile=True)
    page = studio.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing to scroll sideways"
    for tool in page.locator("#view-tools button:visible, #view-tools select").all():
        size = tool.bounding_box()
        assert min(size["width"], size["height"]) >= 44
    assert page.locator("#stage").bounding_box()["y"] < 200, "the viewer is first"
    page.tap("#zoom-in")
    page.tap("#grid")
    expect(page.locator("#grid")).to_have_attribute("aria-pressed", "false")
