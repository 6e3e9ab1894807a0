"""The languages and the colours of the studio, as its visitors meet and choose them."""

import json

import pytest
from playwright.sync_api import expect

from sam3d_bento.serving.localized_pages import WEB

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
