"""The first minute: finished models of the samples, without a run and without a key."""

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.server]


def test_a_sample_opens_finished_and_is_made_anew_by_a_click(visit):
    studio = visit()
    page = studio.page
    pictures = page.locator("#samples button img")
    expect(pictures).to_have_count(6)
    for picture in pictures.all():
        picture.evaluate("(picture) => picture.decode()")
    page.click("#sample-duck")
    page.wait_for_selector("#model-canvas:visible")
    assert [url for url in studio.requested if "/api/jobs" in url or "/api/mask" in url] == []
    seen = studio.picture("#stage")
    page.click("#sample-close")
    page.click("#sample-mug")
    page.wait_for_selector("#sample-title:has-text('Mug')")
    expect(page.locator("#model-canvas")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert abs(studio.picture("#stage") - seen).mean() > 1, "another model"
    page.click("#sample-make")
    page.wait_for_selector("#make:enabled")
    assert 0.1 < studio.coverage() < 0.5


def test_samples_open_without_a_key(visit, start_server, tmp_path):
    (tmp_path / "keys").write_text("the-key-of-this-test-0123\n")
    server = start_server(api_keys_file=tmp_path / "keys")
    server.wait_until(200)
    studio = visit(server.url, failing=["401"])
    studio.page.click("#sample-crate")
    studio.page.wait_for_selector("#model-canvas:visible")


def test_the_page_works_without_the_samples(visit):
    studio = visit(failing=["404"])
    page = studio.page
    page.route("**/samples.json", lambda route: route.fulfill(status=404))
    page.reload()
    expect(page.locator("#samples-title")).to_be_hidden()
    expect(page.locator("#intake label[for=photo-file]")).to_be_visible()
