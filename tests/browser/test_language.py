"""The languages and the colours of the studio, as its visitors meet and choose them."""

import json

import numpy as np
import pytest
from playwright.sync_api import expect

from sam3d_bento.serving.localized_pages import WEB
from tests.browser.test_photo import point

pytestmark = [pytest.mark.browser, pytest.mark.server]

CATALOGUE = json.loads((WEB / "texts.json").read_text())
CHOOSE = CATALOGUE["photo.choose"]


def test_the_studio_speaks_the_language_of_the_browser(visit):
    studio = visit(locale="de-DE", failing=["415"])
    page = studio.page
    assert page.get_attribute("html", "lang") == "de"
    assert page.inner_text("#intake label[for=photo-file]") == CHOOSE["de"]
    expect(page.locator("#service")).to_contain_text(CATALOGUE["engine.preview"]["de"])
    page.set_input_files("#photo-file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no photo"})
    page.wait_for_selector("#photo-problem:visible")
    assert CATALOGUE["problem.unsupported_media.title"]["de"] in page.inner_text("#photo-problem")


def test_a_language_that_is_chosen_stays(visit):
    studio = visit()
    page = studio.page
    assert page.inner_text("#intake label[for=photo-file]") == CHOOSE["en"]
    page.select_option("#language", "de")
    expect(page.locator("#intake label[for=photo-file]")).to_have_text(CHOOSE["de"])
    page.goto(studio.url)
    assert page.inner_text("#intake label[for=photo-file]") == CHOOSE["de"]
    page.goto(f"{studio.url}/?lang=en")
    assert page.inner_text("#intake label[for=photo-file]") == CHOOSE["en"]
    page.select_option("#language", "de")
    expect(page.locator("#intake label[for=photo-file]")).to_have_text(CHOOSE["de"])


def brightness(studio):
    return studio.picture("body").mean()


def test_colours_that_are_chosen_stay_and_need_no_script_to_come(visit):
    studio = visit(scheme="light")
    page = studio.page
    light = brightness(studio)
    page.select_option("#theme", "dark")
    assert brightness(studio) < light / 2
    page.route("**/*.js", lambda route: route.abort())
    page.reload()
    assert brightness(studio) < light / 2
    page.unroute("**/*.js")
    page.reload()
    page.select_option("#theme", "system")
    assert brightness(studio) == pytest.approx(light, rel=0.1)
    page.emulate_media(color_scheme="dark")
    assert brightness(studio) < light / 2
    studio.errors.clear()  # the scripts that were held back


def test_a_photo_and_what_is_chosen_in_it_stay_when_the_language_is_switched(visit, coffee):
    studio = visit()
    page = studio.page
    studio.choose(coffee, options=None)
    point(studio, 120, 330, side=(600, 400))  # the spoon
    page.click("#add-object")
    point(studio, 300, 200, side=(600, 400))  # the cup
    page.locator("#objects input").first.fill("spoon")
    page.click("label.card:has([value=print])")
    studio.open_advanced()
    for field, value in (("#tall", "12"), ("#option-target_faces", "3000")):
        page.fill(field, value)
        page.press(field, "Tab")  # a person leaves the field before the language is switched
    share = studio.coverage()
    chosen = studio.picture("#photo-frame")
    requests = len(studio.requested)

    for language in ("de", "en"):
        page.select_option("#language", language)
        expect(page.locator("html")).to_have_attribute("lang", language)
        page.wait_for_selector("#make:enabled")
        assert page.locator("#make").inner_text() == CATALOGUE["order.make"][language]
        names = page.locator("#objects input").evaluate_all("(inputs) => inputs.map((input) => input.value)")
        assert names == ["spoon", CATALOGUE["scene.object"][language].format(number=2)]
        assert page.locator(".mark.inside").count() == 1
        assert page.input_value("#tall") == "12"
        assert page.is_checked("[name=purpose][value=print]")
        assert page.input_value("#option-target_faces") == "3000"
        assert page.evaluate("document.activeElement.id") == "language"
    assert studio.coverage() == share
    assert np.abs(studio.picture("#photo-frame") - chosen).mean() < 1
    assert not [url for url in studio.requested[requests:] if "/api/mask" in url], "nothing is looked for anew"
    page.locator("#objects li").last.get_by_role("button").last.click()
    expect(page.locator("#objects > li")).to_have_count(0)


def test_a_model_and_its_run_stay_when_the_language_is_switched(visit, drawing):
    studio = visit()
    page = studio.page
    studio.choose(drawing(((40, 160, 240, 360), (200, 40, 40))))
    studio.make()
    page.select_option("#language", "de")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    studio.wait_for_model()
    page.wait_for_selector("#make:enabled")
    page.select_option("#language", "en")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    studio.wait_for_model()
    assert page.is_visible("#facts")
    page.wait_for_selector("#make:enabled")


def test_a_sample_stays_open_when_the_language_is_switched(visit):
    studio = visit()
    page = studio.page
    page.click("#sample-mug")
    studio.wait_for_model()
    page.select_option("#language", "de")
    name = CATALOGUE["photo.sample.mug"]["de"]
    expect(page.locator("#sample-title")).to_have_text(CATALOGUE["photo.sample.shown"]["de"].format(name=name))
    studio.wait_for_model()


def test_a_photo_whose_object_is_still_looked_for_is_looked_at_again_in_the_other_language(visit, coffee):
    studio = visit()
    page = studio.page
    page.route("**/api/mask", lambda _: None)  # the answer never comes
    page.set_input_files("#photo-file", coffee)
    page.wait_for_selector("#editor:visible")
    page.unroute("**/api/mask")
    page.select_option("#language", "de")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.wait_for_selector("#make:enabled")
    assert page.locator("#photo-image").evaluate("(image) => image.naturalWidth") == 600
