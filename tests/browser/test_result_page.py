"""The page of a result, /m/{id}: for whoever sent the photo, and for whoever got the link."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from sam3d_bento.serving.localized_pages import LANGUAGES, WEB
from tests.browser.conftest import AXE
from tests.browser.test_accessibility import violations
from tests.support.studio_results import make_result, open_result

pytestmark = [pytest.mark.browser, pytest.mark.server]

CATALOGUE = json.loads((WEB / "texts.json").read_text())
RED = (200, 40, 40)
BOX = (150, 150, 360, 360)
KEY = "the-key-of-this-test-0123"
KEEP_BYTES = 10_000  # one result of the tests, not two

# Reads the QR code of the page as a phone does: from pixels.
READ_CODE = """async () => {
  const svg = document.getElementById("qr");
  const copy = svg.cloneNode(true);
  copy.setAttribute("xmlns", svg.namespaceURI);
  copy.setAttribute("width", 400);
  copy.setAttribute("height", 400);
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 400;
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, 400, 400);
  context.drawImage(image, 0, 0);
  return jsQR(context.getImageData(0, 0, 400, 400).data, 400, 400).data;
}"""

# Whether the browser keeps so many photos.
COUNT_PHOTOS = """(wanted) => new Promise((counted) => {
  const opened = indexedDB.open("sam3d-photos", 1);
  opened.onsuccess = () => {
    const count = opened.result.transaction("photos").objectStore("photos").count();
    count.onsuccess = () => counted(count.result === wanted);
    opened.result.close();
  };
})"""


@pytest.fixture(scope="module")
def result(server, drawing):
    return make_result(server, drawing((BOX, RED)), seed="7")


@pytest.fixture(scope="module")
def keeping(start_server, tmp_path_factory):
    """A service with keys that keeps one result of this size, not two."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"{KEY}\n")
    server = start_server(api_keys_file=keys, keep_max_bytes=KEEP_BYTES, keep_reconstructions=False)
    server.wait_until(200)
    return server


def test_a_link_shows_the_model_alone_and_again_after_a_reload(visit, server, result):
    studio = open_result(visit, server, result)
    page = studio.page
    assert page.title() == "box · sam3d-bento"
    assert page.inner_text("#name") == "box"
    expect(page.locator("#photo")).to_be_hidden()
    page.reload()
    studio.wait_for_model()
    page.click("text=Details")
    assert "7" in page.inner_text("#facts").split(), "the seed"
    assert "thickness and the back are guessed" in page.inner_text("#warnings")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_details_are_in_words_and_the_whole_report_is_a_file(visit, server, result, language):
    studio = open_result(visit, server, result, locale=language)
    page = studio.page
    page.get_by_text(CATALOGUE["result.details"][language], exact=True).click()
    names = page.locator("#about .fact dt").all_inner_texts()
    values = page.locator("#used-options dd").all_inner_texts()
    assert CATALOGUE["option.target_faces"][language] in names
    assert CATALOGUE["option.texture_format.value.png"][language] in values
    assert CATALOGUE["result.no"][language] in values
    with page.expect_download() as download:
        page.click("#report")
    assert download.value.suggested_filename == "box.json"
    report = json.loads(Path(download.value.path()).read_text())
    assert (report["seed"], report["options"]["texture_format"]) == (7, "png")
    assert [name for name in names + values if "_" in name] == [], "names of fields"


def test_who_sent_the_photo_sees_it_beside_the_model_until_the_result_is_deleted(visit, drawing):
    studio = visit(failing=["404"])
    page = studio.page
    studio.choose(drawing((BOX, RED)))
    studio.make()
    studio.wait_for_model()
    page.click("#open-page")
    studio.wait_for_model()
    address = page.url
    assert page.evaluate(COUNT_PHOTOS, 1), "the photo of the job is that of the result"
    page.wait_for_selector("#photo-picture:visible")
    assert page.locator("#photo-picture").evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 512
    page.click("#compare")
    expect(page.locator("#compare-slider")).to_be_focused()
    half = studio.picture("#stage")
    page.keyboard.press("End")
    photo = studio.picture("#stage")
    page.keyboard.press("Home")
    model = studio.picture("#stage")
    middle = half.shape[1] // 2
    grey = (np.abs(photo - (150, 150, 145)).max(-1) < 12).mean()
    assert grey > 0.2, "the ground of the photo"
    assert np.abs(half[:, : middle - 60] - photo[:, : middle - 60]).mean() < 2, "the photo is on the left"
    assert np.abs(half[:, middle + 60 :] - model[:, middle + 60 :]).mean() < 2, "the model is on the right"
    red = [(picture[..., 0] - picture[..., 2] > 50) for picture in (photo, model)]
    assert (red[0] & red[1]).sum() / (red[0] | red[1]).sum() > 0.9, "they lie one on the other"
    box = page.locator("#compare-slider").bounding_box()
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.5 * box["height"])
    assert float(page.input_value("#compare-slider")) == pytest.approx(75, abs=4)
    page.click("#reset-view")
    expect(page.locator("#compare-slider")).to_be_hidden()

    page.go_back()
    page.click("#recent .forget")
    page.click("#recent .confirm .primary")
    expect(page.locator("#recent .forget")).to_have_count(0)
    page.wait_for_function(COUNT_PHOTOS, arg=0)
    page.goto(address)
    page.wait_for_selector("#gone:visible")


@pytest.mark.parametrize("address", ["0" * 32, "no-id", "0" * 31])
def test_a_result_that_is_gone_is_said_to_be_gone(visit, server, address):
    studio = visit(failing=["404"])
    page = studio.page
    assert page.goto(f"{server.url}/m/{address}").status == 404
    page.wait_for_selector("#gone:visible")
    expect(page.locator("#result")).to_be_hidden()
    page.click("#gone a")
    page.wait_for_selector("#photo-file", state="attached")


def test_a_result_says_how_long_it_lives_and_when_its_time_is_over(visit, server, result):
    studio = open_result(visit, server, result)
    page = studio.page
    expect(page.locator("#life")).to_contain_text("minutes left")
    expect(page.locator("#keep")).to_be_hidden()
    address = f"{server.url}/api/assets/{result['id']}"
    soon = httpx.get(address).json() | {"expires_in_seconds": 2}
    page.route(address, lambda route: route.fulfill(json=soon))
    page.reload()
    page.wait_for_selector("#gone:visible")


def test_a_result_is_kept_with_a_key_within_the_quota(visit, keeping, drawing):
    report, other = (make_result(keeping, drawing((BOX, RED)), key=KEY) for _ in "ab")
    assert report["bytes"] < KEEP_BYTES < report["bytes"] + other["bytes"]
    studio = open_result(visit, keeping, report, failing=["401", "409"])
    page = studio.page
    page.click("#keep")
    page.fill("#key", KEY)
    page.press("#key", "Enter")
    expect(page.locator("#keep")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#life")).to_contain_text("It is kept")
    described = f"{keeping.url}/api/assets/{report['id']}"
    assert httpx.get(described).json()["kept"] is True, "it needs no key to be read"

    page.goto(f"{keeping.url}/m/{other['id']}")
    studio.wait_for_model()
    page.click("#keep")
    expect(page.locator("#keep-status")).to_contain_text("Delete one of them")
    expect(page.locator("#keep")).to_have_attribute("aria-pressed", "false")

    page.goto(f"{keeping.url}/m/{report['id']}")
    studio.wait_for_model()
    studio.tab_to("keep")
    page.keyboard.press("Enter")
    expect(page.locator("#keep")).to_have_attribute("aria-pressed", "false")
    assert httpx.get(described).json()["kept"] is False


def test_the_code_and_the_copied_texts_lead_to_the_result(visit, server, result, axe):
    studio = open_result(visit, server, result, permissions=["clipboard-read", "clipboard-write"])
    page = studio.page
    address = f"{server.url}/m/{result['id']}"
    page.evaluate((AXE / "node_modules" / "jsqr" / "dist" / "jsQR.js").read_text() + "; null")
    assert page.evaluate(READ_CODE) == address
    page.click("#copy-link")
    expect(page.locator("#share-status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == address
    page.click("text=Show it on your own page")
    page.click("#copy-embed")
    page.wait_for_function("navigator.clipboard.readText().then((words) => words.startsWith('<script'))")
    snippet = page.evaluate("navigator.clipboard.readText()")
    assert f'src="{result["url"]}"' in snippet
    assert 'alt="box"' in snippet
    for name in ("glb", "usdz", "webp"):
        assert httpx.head(result["url"].replace(".glb", f".{name}")).status_code == 200


def test_without_the_clipboard_the_link_can_be_copied_by_hand(visit, server, result):
    studio = visit()
    studio.page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    studio.page.goto(f"{server.url}/m/{result['id']}")
    studio.wait_for_model()
    studio.page.click("#copy-link")
    expect(studio.page.locator("#share-status")).to_have_text(f"{server.url}/m/{result['id']}")


ANDROID = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
AS_IPHONE = "DOMTokenList.prototype.supports = (token) => token === 'ar'"


def test_a_phone_offers_the_model_in_the_room(visit, server, result):
    desktop = open_result(visit, server, result)
    expect(desktop.page.locator("#ar")).to_be_hidden()
    android = open_result(visit, server, result, user_agent=ANDROID)
    link = android.page.get_attribute("#ar", "href")
    assert link.startswith("intent://arvr.google.com/scene-viewer/")
    assert httpx.QueryParams(link.partition("?")[2].partition("#")[0])["file"] == result["url"]
    iphone = visit()
    iphone.page.add_init_script(AS_IPHONE)
    iphone.page.goto(f"{server.url}/m/{result['id']}")
    iphone.wait_for_model()
    ar = iphone.page.locator("#ar")
    expect(ar).to_be_visible()
    assert ar.get_attribute("rel") == "ar"
    assert ar.get_attribute("href") == result["url"].replace(".glb", ".usdz")
    assert ar.locator("> :first-child").evaluate("(first) => first.tagName") == "IMG", "as Quick Look wants it"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_serious_fault(visit, server, result, axe, width, scheme):
    studio = open_result(visit, server, result, width=width, scheme=scheme, failing=["404"])
    page = studio.page
    page.click("#download-menu summary")
    page.click("text=Show it on your own page")
    page.click("text=Details")
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing to scroll sideways"
    page.goto(f"{server.url}/m/{'0' * 32}")
    page.wait_for_selector("#gone:visible")
    assert violations(page, axe) == []


def test_the_page_speaks_the_visitors_language(visit, server, result):
    studio = open_result(visit, server, result, locale="de-DE")
    assert studio.page.get_attribute("html", "lang") == "de"
    assert "Herunterladen" in studio.page.inner_text("#about")
