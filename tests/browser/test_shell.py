"""What surrounds photo and model in the studio: its states, what is ordered, and the results of this browser."""

import httpx
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.server]

RED = (200, 40, 40)
SQUARE = ((150, 150, 360, 360), RED)

TARGET = 44  # CSS pixels of the smallest thing that is pressed, each way

# Visible controls that cannot be used.
DISABLED = (
    "() => [...document.querySelectorAll(':disabled, [aria-disabled=true]')].filter((e) => e.checkVisibility()).length"
)
# Sizes of all visible controls. A file field is pressed by its label, a radio button by its card or its segment.
SIZES = """() => [...document.querySelectorAll("button, select, summary, footer a, h1 a, input, label.button")]
  .filter((e) => e.checkVisibility() && e.type !== "file" && e.type !== "range" && e.type !== "checkbox")
  .map((e) => [e.id || e.textContent.trim() || e.name, e.getBoundingClientRect()])
  .map(([name, { width, height }]) => [name, width, height])"""


def small(page):
    return [(name, width, height) for name, width, height in page.evaluate(SIZES) if min(width, height) < TARGET - 0.5]


@pytest.mark.parametrize("width", [390, 820, 1920])
def test_before_there_is_a_photo_nothing_is_shown_that_cannot_be_used(visit, width):
    page = visit(width=width).page
    page.wait_for_selector("#service[data-state=ready]")
    assert page.evaluate(DISABLED) == 0
    assert small(page) == []
    for hidden in ("#order", "#view-tools", "#downloads", "#next-steps"):
        assert page.is_hidden(hidden)


def test_a_finger_hits_everything(visit, drawing):
    studio = visit(width=390, height=844, has_touch=True)
    page = studio.page
    studio.choose(drawing(SQUARE))
    studio.open_advanced()
    assert small(page) == []
    studio.make()
    studio.wait_for_model()
    assert small(page) == []


def test_on_a_phone_the_model_is_above_its_photo(visit, drawing):
    studio = visit(width=390, height=844)
    page = studio.page
    assert page.is_hidden("#stage"), "there is nothing to see yet"
    studio.choose(drawing(SQUARE))
    studio.make()
    studio.wait_for_model()
    assert page.locator("#stage").bounding_box()["y"] < page.locator("#photo-image").bounding_box()["y"]


def test_a_wide_screen_is_used(visit):
    page = visit(width=1920, height=1080).page
    boxes = [page.locator(f".{name}-panel").bounding_box() for name in ("photo", "model", "recent")]
    assert boxes[0]["x"] < 40
    assert boxes[2]["x"] + boxes[2]["width"] > 1880
    assert boxes[1]["width"] > 1000


def test_the_page_says_at_once_that_the_service_is_away(visit, drawing):
    studio = visit(failing=["ERR_FAILED", "ERR_CONNECTION"])
    page = studio.page
    page.wait_for_selector("#service[data-state=ready]")
    page.route("**/api/**", lambda route: route.abort())
    page.route("**/health", lambda route: route.abort())
    page.set_input_files("#photo-file", {"name": "a.png", "mimeType": "image/png", "buffer": drawing(SQUARE)})
    page.wait_for_selector("#service[data-state=unreachable]")
    page.unroute("**/health")
    page.wait_for_selector("#service[data-state=ready]")


def test_choices_are_kept_between_visits_and_can_be_undone(visit, server, drawing):
    studio = visit()
    page = studio.page
    studio.choose(drawing(SQUARE))
    page.check("#purposes [value=game]")
    studio.open_advanced()
    page.select_option("#option-shape", "lathe")
    page.fill("#tall", "9.5")
    page.locator("#tall").blur()
    page.reload()
    studio.choose(drawing(SQUARE), options=None)
    assert page.is_checked("#purposes [value=game]")
    assert page.input_value("#tall") == "9.5"
    studio.open_advanced()
    assert page.input_value("#option-shape") == "lathe"
    assert page.input_value("#option-target_faces") == "5000"
    page.click("#options-reset")
    assert page.is_checked("#purposes [value=none]")
    assert page.input_value("#option-shape") == "auto"
    assert page.input_value("#option-target_faces") == "40000"
    assert page.input_value("#tall") == ""
    page.reload()
    studio.choose(drawing(SQUARE), options=None)
    assert page.is_checked("#purposes [value=none]")


def test_a_choice_that_this_version_does_not_know_is_forgotten(visit, drawing):
    studio = visit()
    page = studio.page
    page.evaluate(
        """localStorage.setItem("sam3d-choices", '{"shape": "teapot", "purpose": "moon", "target_faces": "x"}')"""
    )
    page.reload()
    studio.choose(drawing(SQUARE), options=None)
    studio.open_advanced()
    assert page.input_value("#option-shape") == "auto"
    studio.make()
    studio.wait_for_model()


def test_options_that_the_engine_ignores_are_not_shown(visit, server, drawing):
    studio = visit()
    page = studio.page
    ignored = httpx.get(f"{server.url}/api/options").json()["engine"]["facts"]["ignores"]
    assert "seed" in ignored
    studio.choose(drawing(SQUARE))
    studio.open_advanced()
    assert page.is_visible("#option-shape")
    for name in ignored:
        assert page.locator(f"#option-{name}").count() == 0


def test_a_wrong_value_among_the_folded_options_is_shown(visit, drawing):
    studio = visit()
    page = studio.page
    studio.choose(drawing(SQUARE), options=None)
    studio.open_advanced()
    page.fill("#option-target_faces", "5")
    page.click("#advanced-summary")
    page.click("#make")
    expect(page.locator("#option-target_faces")).to_be_visible()
    assert page.evaluate("document.activeElement.id") == "option-target_faces"


def test_a_shape_that_was_nearly_chosen_is_offered(visit, server, coffee):
    """The coffee in its cup is nearly round."""
    studio = visit()
    page = studio.page
    studio.choose(coffee)
    studio.make()
    studio.wait_for_model()
    expect(page.locator("#suggestion")).to_have_text("Looks round: try that")
    with page.expect_response(lambda answer: answer.url.endswith("/api/jobs")) as answer:
        page.click("#suggestion")
    studio.page.wait_for_selector("#progress:visible")
    studio.wait_for_model()
    report = httpx.get(f"{server.url}/api/jobs/{answer.value.json()['id']}").json()["report"]
    assert report["options"]["shape"] == "lathe"
    expect(page.locator("#suggestion")).to_be_hidden()
    studio.open_advanced()
    assert page.input_value("#option-shape") == "auto", "it was for this run alone"


def test_a_result_has_a_card_with_its_name_and_its_time_and_can_be_deleted(visit, server, drawing, tmp_path):
    studio = visit()
    page = studio.page
    photo = tmp_path / "red square.png"
    photo.write_bytes(drawing(SQUARE))
    studio.choose(photo)
    job = studio.make()
    studio.wait_for_model()
    asset = httpx.get(f"{server.url}/api/jobs/{job}").json()["report"]["id"]
    card = page.locator("#recent li")
    expect(card).to_contain_text("red square")
    expect(card).to_contain_text("minutes left")
    studio.tab_to("download")
    page.get_by_role("button", name="Delete red square").click()
    page.get_by_role("button", name="Keep it").click()
    assert httpx.head(f"{server.url}/api/assets/{asset}.glb").status_code == 200
    page.get_by_role("button", name="Delete red square").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#recent-empty")).to_be_visible()
    expect(page.locator("#toast")).to_have_text("Deleted.")
    assert httpx.head(f"{server.url}/api/assets/{asset}.glb").status_code == 404


MOST_BYTES = 900_000  # of page and code before the first frame, as they are sent: some seconds on a slow phone


def test_the_page_and_its_viewer_are_small(visit, drawing):
    studio = visit()
    page = studio.page
    sent = {}

    def count(request):
        path = request.url.removeprefix(studio.url)
        if path.split("?")[0] in ("", "/") or (path.startswith("/studio/") and not path.endswith(".glb")):
            sent[path] = request.sizes()["responseBodySize"]

    page.on("requestfinished", count)
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")  # as at the first visit
    page.reload()
    studio.choose(drawing(SQUARE))
    studio.make()
    studio.wait_for_model()
    assert "/studio/vendor/three.js" in sent
    assert 100_000 < sum(sent.values()) < MOST_BYTES, sorted(sent.items(), key=lambda item: -item[1])
