"""What a person points at in the photo: by mouse, keyboard and touch."""

import io
import json
import re

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from sam3d_bento.serving.localized_pages import LANGUAGES
from tests.support.places import COFFEE

pytestmark = [pytest.mark.browser, pytest.mark.server]

RED, BLUE, GREEN = (200, 40, 40), (40, 60, 200), (30, 140, 60)
SIDE = 512  # pixels of a drawing
LARGER, SMALLER = (40, 160, 240, 360), (320, 200, 450, 330)  # boxes of a drawing: left, top, right, bottom
SHARE_OF_SMALLER = 130 * 130 / SIDE**2


@pytest.fixture
def two(drawing):
    """A drawing of two objects, of which the service finds the larger by itself."""
    return drawing((LARGER, RED), (SMALLER, BLUE))


def place(page, x, y, side=SIDE):
    """Where in the window a pixel of the photo is. side: of the photo, or its width and height."""
    width, height = side if isinstance(side, tuple) else (side, side)
    box = page.locator("#mask-canvas").bounding_box()
    return box["x"] + x * box["width"] / width, box["y"] + y * box["height"] / height


def point(studio, x, y, *modifiers, side=SIDE):
    """Click a pixel of the photo, and wait until the answer is shown. side: as of `place`."""
    page = studio.page
    for key in modifiers:
        page.keyboard.down(key)
    page.mouse.click(*place(page, x, y, side))
    for key in modifiers:
        page.keyboard.up(key)
    wait_for_answer(page)


def wait_for_answer(page):
    expect(page.locator("#photo-frame")).not_to_have_attribute("data-state", "asking")


# Notes what the page sends in forms: name, and text or file.
NOTE_FIELDS = """() => {
  const { append } = FormData.prototype;
  window.sent = [];
  FormData.prototype.append = function (name, value, ...rest) {
    window.sent.push({ name, value });
    append.call(this, name, value, ...rest);
  };
}"""


def sent(page, name):
    """The texts that the page has sent in the fields of this name, after NOTE_FIELDS."""
    wanted = "(name) => window.sent.filter((field) => field.name === name).map((field) => field.value)"
    return page.evaluate(wanted, name)


def drag(page, start, end, button="left"):
    page.mouse.move(*place(page, *start))
    page.mouse.down(button=button)
    page.mouse.move(*place(page, *end), steps=5)
    page.mouse.up(button=button)


def test_a_click_chooses_the_object_that_is_meant(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    assert "the others are orange" in page.inner_text("#mask-status")
    found = studio.coverage()
    point(studio, 385, 265)
    assert "Chosen by you" in page.inner_text("#mask-status")
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01), "this one, and not the other"
    expect(page.locator("#marks .mark")).to_have_count(1)
    page.click("#undo")
    assert studio.coverage() == found
    page.click("#redo")
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    page.click("#mask-reset")
    page.wait_for_selector("#undo:disabled")
    assert studio.coverage() == found


def test_shift_and_a_click_adds_and_alt_and_a_click_takes_away(visit, two):
    studio = visit()
    studio.choose(two, options=None)
    larger = studio.coverage()
    point(studio, 385, 265, "Shift")
    both = studio.coverage()
    assert both == pytest.approx(larger + SHARE_OF_SMALLER, abs=0.01)
    point(studio, 140, 260, "Alt")
    assert studio.coverage() == pytest.approx(both - larger, abs=0.002)


def test_what_hangs_together_is_cut_where_a_click_takes_away(visit, drawing):
    studio = visit()
    page = studio.page
    dumbbell = ((60, 200, 220, 360), (220, 265, 300, 295), (300, 200, 460, 360))
    studio.choose(drawing(*((box, RED) for box in dumbbell)), options=None)
    whole = studio.coverage()
    page.check("input[value=remove]", force=True)
    page.evaluate(NOTE_FIELDS)
    point(studio, 380, 280)
    (points,) = sent(page, "points")
    x, y, inside = map(float, points.split(","))
    assert (x, y, inside) == (pytest.approx(380, abs=2), pytest.approx(280, abs=2), 0)
    assert 0.3 * whole < studio.coverage() < 0.7 * whole, "about the half that is nearer to the click has gone"
    expect(page.locator("#marks .outside")).to_have_count(1)


def test_a_box_is_drawn_around_the_object(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    page.evaluate(NOTE_FIELDS)
    drag(page, (305, 185), (465, 345))
    wait_for_answer(page)
    (box,) = sent(page, "box")
    assert [float(number) for number in box.split(",")] == pytest.approx([305, 185, 465, 345], abs=2)
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    expect(page.locator("#marks .box-mark")).to_have_count(1)


def test_a_click_beside_everything_says_that_nothing_is_there(visit, two):
    studio = visit(failing=["422"])
    page = studio.page
    studio.choose(two, options=None)
    before = studio.coverage()
    page.check("input[value=remove]", force=True)
    point(studio, 500, 20)
    expect(page.locator("#mask-status")).to_contain_text("Nothing is chosen there")
    page.check("input[value=choose]", force=True)
    answer = {"status": 422, "content_type": "application/problem+json", "body": json.dumps(NO_OBJECT)}
    page.route("**/api/mask", lambda route: route.fulfill(**answer))
    point(studio, 500, 20)
    expect(page.locator("#mask-status")).to_contain_text("Nothing was found there")
    assert page.is_hidden("#photo-problem")
    page.unroute("**/api/mask")
    page.click("#undo", force=True)
    page.wait_for_selector("#make:enabled")
    point(studio, 385, 265)
    page.click("#undo")
    assert studio.coverage() == before, "the mask was kept"


# What the service answers where it finds nothing. Where that is depends on the mask model.
NO_OBJECT = {"title": "No object was found", "status": 422, "code": "no_object", "detail": "No object was found there."}


@pytest.fixture(scope="module")
def ambiguous(server):
    """A place of the coffee photo that may mean several things, and the coverage of each."""
    for x, y in ((300, 200), (250, 180), (330, 230), (180, 200), (400, 250)):
        with server.client() as client:
            files = {"image": COFFEE.read_bytes()}
            answer = client.post("/api/mask", files=files, data={"points": f"{x},{y},1"})
        if answer.status_code == 200:
            report = json.loads(answer.headers["X-Mask-Report"])
            if len(report["candidates"]) > 1:
                return (x, y), report
    pytest.fail("no place of the photo has several candidates")


def test_what_a_click_may_mean_is_offered_and_chosen_by_click_or_key(visit, ambiguous):
    (x, y), report = ambiguous
    studio = visit()
    page = studio.page
    studio.choose(COFFEE, options=None)
    with Image.open(COFFEE) as photo:
        page.mouse.click(*place(page, x, y, photo.size))
    wait_for_answer(page)
    chips = page.locator("#candidate-list button")
    expect(chips).to_have_count(len(report["candidates"]))
    expect(page.locator("#candidate-list [aria-pressed=true]")).to_have_text(re.compile(rf"^{report['candidate'] + 1}"))
    others = [index for index in range(len(report["candidates"])) if index != report["candidate"]]
    chips.nth(others[0]).click()
    wait_for_answer(page)
    assert studio.coverage() == pytest.approx(report["candidates"][others[0]]["coverage"], abs=0.02)
    page.focus("#mask-canvas")
    page.keyboard.press(str(report["candidate"] + 1))
    wait_for_answer(page)
    assert studio.coverage() == pytest.approx(report["candidates"][report["candidate"]]["coverage"], abs=0.02)
    page.click("#undo")
    expect(chips.nth(others[0])).to_have_attribute("aria-pressed", "true")


def test_the_object_is_chosen_without_a_mouse(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    page.focus("#mask-canvas")
    for _ in range(12):  # a step is a fiftieth of the photo
        page.keyboard.press("ArrowRight")
    expect(page.locator("#brush-ring")).to_be_visible()
    page.keyboard.press("Enter")
    wait_for_answer(page)
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    page.keyboard.press("Control+z")
    assert studio.coverage() != pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    page.keyboard.press("Control+y")
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    for _ in range(5):
        page.keyboard.press("+")
    canvas, frame = (page.locator(name).bounding_box() for name in ("#mask-canvas", "#photo-frame"))
    assert canvas["width"] > 2 * frame["height"]
    ring = page.locator("#brush-ring").bounding_box()
    assert frame["x"] <= ring["x"] + ring["width"] / 2 <= frame["x"] + frame["width"], "the cursor stays in view"
    page.keyboard.press("0")
    assert page.inner_text("#photo-zoom-reset") == "100%"


def test_a_box_is_drawn_ended_and_cancelled_without_a_mouse(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    found = studio.coverage()
    page.evaluate(NOTE_FIELDS)
    page.focus("#mask-canvas")
    help_line, box = page.locator("#mask-help"), page.locator("#marks .box-mark")
    usual = help_line.inner_text()
    # The cursor begins in the middle, at 256; a step is a fiftieth of the photo, with Shift a tenth.
    for key in ("Shift+ArrowRight", "Shift+ArrowUp", "ArrowUp", "b"):
        page.keyboard.press(key)
    expect(help_line).to_contain_text("B or Enter ends it, Esc cancels it")
    expect(page.locator("#announcer")).to_have_text(help_line.inner_text())
    for key in 3 * ["Shift+ArrowRight", "Shift+ArrowDown"]:
        page.keyboard.press(key)
    expect(box).to_be_visible()
    expect(page.locator("#announcer")).to_have_text("154 × 154 px")
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    expect(help_line).to_have_text(usual)
    assert (studio.coverage(), sent(page, "box")) == (found, [])

    page.keyboard.press("b")
    for key in 3 * ["Shift+ArrowLeft", "Shift+ArrowUp"]:
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    wait_for_answer(page)
    (asked,) = sent(page, "box")
    assert [float(number) for number in asked.split(",")] == pytest.approx([307.2, 194.6, 460.8, 348.2], abs=0.1)
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    expect(help_line).to_have_text(usual)
    page.keyboard.press("b")
    page.keyboard.press("b")
    assert len(sent(page, "box")) == 1, "a box without an area is none"
    page.keyboard.press("b")
    page.keyboard.press("Tab")
    expect(help_line).to_have_text(usual)


def test_a_photo_that_is_zoomed_and_moved_is_pointed_at_where_it_is_seen(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    at = place(page, 385, 265)
    page.mouse.move(*at)
    page.mouse.wheel(0, -600)
    expect(page.locator("#photo-zoom-reset")).not_to_have_text("100%")
    assert place(page, 385, 265) == pytest.approx(at, abs=3), "what is under the mouse stays there"
    page.keyboard.down("Space")
    drag(page, (385, 265), (365, 255))
    page.keyboard.up("Space")
    moved = place(page, 385, 265)
    assert np.hypot(*np.subtract(moved, at)) > 10
    drag(page, (385, 265), (395, 270), button="middle")
    assert np.hypot(*np.subtract(place(page, 385, 265), moved)) > 5
    point(studio, 385, 265)
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    page.click("#photo-zoom-reset")
    expect(page.locator("#photo-zoom-reset")).to_have_text("100%")


def test_only_the_last_of_quick_clicks_counts(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    held = []
    page.route("**/api/mask", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/api/mask"):
        page.mouse.click(*place(page, 385, 265))
    expect(page.locator(".mark.pending")).to_have_count(1)
    with page.expect_event("requestfailed") as failed:
        page.mouse.click(*place(page, 140, 260))
    wait_for_answer(page)
    assert failed.value == held[0].request, "the first click is not waited for"
    assert studio.coverage() == pytest.approx(200 * 200 / SIDE**2, abs=0.01)


def test_a_click_before_the_object_is_found_says_what_is_meant(visit, two):
    studio = visit()
    page = studio.page
    held = []
    page.route("**/api/mask", lambda route: route.continue_() if held else held.append(route))
    page.set_input_files("#photo-file", {"name": "two.png", "mimeType": "image/png", "buffer": two})
    expect(page.locator("#mask-status")).to_contain_text("You can click it already")
    page.wait_for_selector("#mask-tools:enabled")
    page.mouse.click(*place(page, 385, 265))
    page.wait_for_selector("#make:enabled")
    assert len(held) == 1, "what the service looks for by itself is not waited for"
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)


def test_the_brush_shows_its_size_and_paints_and_erases(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    found = studio.coverage()
    page.check("input[value=brush]", force=True)
    page.mouse.move(*place(page, 280, 80))
    ring = page.locator("#brush-ring")
    pixels = int(ring.get_attribute("data-size").split()[0])
    scale = page.locator("#mask-canvas").bounding_box()["width"] / SIDE
    assert ring.bounding_box()["width"] == pytest.approx(pixels * scale, abs=2)
    drag(page, (280, 80), (340, 80))
    painted = studio.coverage()
    assert painted - found == pytest.approx((60 * pixels + np.pi * pixels**2 / 4) / SIDE**2, abs=0.003)
    page.check("#erase")
    drag(page, (280, 80), (340, 80))
    assert studio.coverage() == pytest.approx(found, abs=0.001)
    page.focus("#mask-canvas")
    page.keyboard.press("]")
    page.mouse.move(*place(page, 281, 80))
    assert int(ring.get_attribute("data-size").split()[0]) > pixels


def test_a_large_photo_is_pointed_at_in_a_small_copy_and_masked_at_its_own_size(visit, server, two):
    file = io.BytesIO()
    with Image.open(io.BytesIO(two)) as small:
        small.resize((2600, 2600), Image.Resampling.NEAREST).save(file, "JPEG", quality=90)
    studio = visit()
    page = studio.page
    page.set_input_files("#photo-file", {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()})
    page.wait_for_selector("#make:enabled")
    encodes = metric(server, "sam3d_prompt_encodes_total")
    page.evaluate(NOTE_FIELDS)
    for x, y in ((385, 265), (140, 260), (385, 265)):
        point(studio, x, y)
    assert page.evaluate(SIZES, "image") == [[1024, 1024]] * 3, "the copy"
    assert metric(server, "sam3d_prompt_encodes_total") == encodes + 1, "all clicks are on the same bytes"
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    studio.make()
    assert page.evaluate(SIZES, "mask") == [[2600, 2600]]
    page.click("#cancel")


# The sizes of the pictures that the page has sent in the fields of a name, after NOTE_FIELDS.
SIZES = """(name) => Promise.all(window.sent.filter((field) => field.name === name).map(async ({ value }) => {
  const { width, height } = await createImageBitmap(value);
  return [width, height];
}))"""


def metric(server, name):
    text = httpx.get(f"{server.url}/metrics").text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


@pytest.fixture
def phone(visit):
    return visit(width=390, height=844, has_touch=True, is_mobile=True)


def touch(session, kind, *fingers):
    """Put fingers on the page as the system does. session: of Chromium's protocol. fingers: places in the window."""
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
    session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [390, 375, 360])
def test_on_a_phone_the_tools_are_one_row_with_undo_and_redo(visit, two, width, language):
    studio = visit(width=width, height=844, has_touch=True, is_mobile=True, locale=language)
    page = studio.page
    studio.choose(two, options=None)
    tools, undo, redo = (page.locator(name).bounding_box() for name in (".mask-bar .segmented", "#undo", "#redo"))
    assert {box["y"] for box in (undo, redo)} == {tools["y"]}
    assert redo["x"] + redo["width"] <= width


def test_on_a_phone_a_tap_chooses_and_two_fingers_zoom(phone, two):
    page = phone.page
    phone.choose(two, options=None)
    page.locator("#photo-frame").scroll_into_view_if_needed()
    page.touchscreen.tap(*place(page, 385, 265))
    wait_for_answer(page)
    chosen = phone.coverage()
    assert chosen == pytest.approx(SHARE_OF_SMALLER, abs=0.01)
    x, y = place(page, 256, 256)
    session = page.context.new_cdp_session(page)
    touch(session, "touchStart", (x - 20, y))
    touch(session, "touchStart", (x - 20, y), (x + 20, y))
    for step in (30, 45, 60):
        touch(session, "touchMove", (x - step, y), (x + step, y))
    touch(session, "touchEnd")
    expect(page.locator("#photo-zoom-reset")).not_to_have_text("100%")
    assert phone.coverage() == chosen, "a pinch chooses nothing"


def test_on_a_phone_the_button_stays_within_reach_and_a_camera_is_offered(phone, two):
    page = phone.page
    assert page.get_attribute("#camera-file", "capture") == "environment"
    expect(page.locator("label[for=camera-file]")).to_be_visible()
    phone.choose(two, options=None)
    page.locator("#photo-frame").scroll_into_view_if_needed()
    box = page.locator("#make").bounding_box()
    assert box["y"] + box["height"] <= 844, "below the photo, without scrolling"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
