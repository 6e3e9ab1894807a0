"""Several objects of one photo: they are collected in the studio and become one scene."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.test_photo import BLUE, LARGER, RED, SHARE_OF_SMALLER, SMALLER, point

pytestmark = [pytest.mark.browser, pytest.mark.server]


@pytest.fixture
def two(drawing):
    return drawing((LARGER, RED), (SMALLER, BLUE))


def test_objects_are_collected_and_become_a_scene(visit, server, two):
    studio = visit()
    page = studio.page
    studio.choose(two)
    rows = page.locator("#objects > li")
    expect(rows).to_have_count(0)
    page.click("#add-object")
    expect(rows).to_have_count(2)
    assert page.is_disabled("#add-object"), "the new one is still to be chosen"
    assert "Click the next object" in page.inner_text("#mask-status")
    point(studio, 385, 265)
    rows.nth(0).locator("input").fill("plate")
    rows.nth(1).locator("input").fill("blue cup")
    colours = page.locator(".swatch").evaluate_all("(swatches) => swatches.map((swatch) => swatch.style.background)")
    assert len(set(colours)) == 2
    job = studio.make()
    expect(page.locator(".object-state").last).to_have_text(re.compile(r"^(Waits|\d+%|Ready)$"))
    studio.wait_for_model()
    report = httpx.get(f"{server.url}/api/jobs/{job}").json()["report"]
    assert [entry["name"] for entry in report["objects"]] == ["plate", "blue cup"]
    assert report["objects"][1]["mask"]["coverage"] == pytest.approx(SHARE_OF_SMALLER, abs=0.01)


def test_an_object_is_edited_by_a_click_on_it_and_removed_and_brought_back(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    larger = studio.coverage()
    page.click("#add-object")
    point(studio, 385, 265)
    rows = page.locator("#objects > li")
    expect(rows.nth(1)).to_have_attribute("data-active", "true")
    point(studio, 140, 260)
    expect(rows.nth(0)).to_have_attribute("data-active", "true")
    assert studio.coverage() == larger, "a click on another object chooses that object"
    rows.nth(1).get_by_role("button").last.click()
    expect(rows).to_have_count(0)
    page.click("#undo")
    expect(rows).to_have_count(2)
    page.click("#undo")
    page.click("#undo")
    expect(rows).to_have_count(0)
    assert studio.coverage() == larger


def test_a_scene_is_collected_by_keyboard_alone(visit, two):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    studio.tab_to("add-object")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "mask-canvas"
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector("#make:enabled")
    expect(page.locator("#objects > li")).to_have_count(2)
    assert studio.coverage() == pytest.approx(SHARE_OF_SMALLER, abs=0.01)


def test_a_mask_of_ones_own_is_that_of_the_object_that_is_edited(visit, two, drawing):
    studio = visit()
    page = studio.page
    studio.choose(two, options=None)
    page.click("#add-object")
    wish = drawing(((256, 0, 512, 512), (255, 255, 255)), ground=(0, 0, 0))
    page.set_input_files("#mask-file", {"name": "mask.png", "mimeType": "image/png", "buffer": wish})
    expect(page.locator("#mask-status")).to_contain_text("Your mask will be used")
    assert studio.coverage() == 0.5
    expect(page.locator("#objects > li")).to_have_count(2)
    page.click("#undo")
    expect(page.locator("#mask-status")).to_contain_text("Click the next object")
