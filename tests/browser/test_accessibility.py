"""The studio without a mouse, and for people who see it otherwise or not at all."""

import numpy as np
import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.server]


def violations(page, axe):
    """What axe-core finds, as rule and place."""
    page.evaluate(axe)
    found = page.evaluate("axe.run()")["violations"]
    return [(fault["id"], node["target"], node["any"][:1]) for fault in found for node in fault["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_in_any_state(visit, axe, drawing, width, scheme):
    studio = visit(width=width, scheme=scheme, failing=["422", "ERR_FAILED"], reduced_motion="reduce")
    page = studio.page

    def check(state):
        assert violations(page, axe) == [], state
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing to scroll sideways"

    page.wait_for_selector("#service[data-state=ready]")
    check("empty")
    page.set_input_files("#photo-file", {"name": "wall.png", "mimeType": "image/png", "buffer": drawing()})
    page.wait_for_selector("#photo-problem:visible")
    check("problem")
    studio.choose(drawing(((150, 150, 360, 360), (200, 40, 40))))
    check("photo")
    studio.open_advanced()
    check("options")
    studio.make()
    page.click("#cancel")
    expect(page.locator("#model-empty")).to_contain_text("Cancelled")
    check("cancelled")
    studio.make()
    page.wait_for_selector("#progress:visible")
    check("running")
    studio.wait_for_model()
    check("result")
    page.click("#recent .forget")
    check("question before a deletion")
    page.route("**/health", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('offline'))")
    page.wait_for_selector("#service[data-state=unreachable]")
    check("service away")
    page.select_option("#theme", "light" if scheme == "dark" else "dark")
    check("the other colours")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_serious_fault_in_what_becomes_of_photos(visit, axe, drawing, width, scheme):
    """An open sample, several objects, the brush, and a batch with a card that failed."""
    studio = visit(width=width, scheme=scheme)
    page = studio.page
    page.click("#sample-crate")
    page.wait_for_selector("#model-canvas:visible")
    assert violations(page, axe) == []
    page.click("#sample-close")
    red, blue = ((40, 160, 240, 360), (200, 40, 40)), ((320, 200, 450, 330), (40, 60, 200))
    studio.choose(drawing(red, blue), options=None)
    page.click("#add-object")
    page.check("input[value=brush]", force=True)
    page.click("#mask-canvas", position={"x": 30, "y": 30})
    page.wait_for_selector("#objects > li:nth-child(2)")
    assert violations(page, axe) == []
    page.click("#other-photo")
    photos = [drawing(red), drawing()]
    files = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": photo} for n, photo in enumerate(photos)]
    page.set_input_files("#photo-file", files)
    assert violations(page, axe) == []
    page.click("#make")
    page.wait_for_selector(".batch-card[data-state=failed]")
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing to scroll sideways"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_question_for_a_key_is_for_everybody(visit, axe, start_server, tmp_path, scheme):
    (tmp_path / "keys").write_text("the-key-of-this-test-0123\n")
    server = start_server(api_keys_file=tmp_path / "keys")
    server.wait_until(200)
    studio = visit(server.url, width=360, scheme=scheme, failing=["401"])
    page = studio.page
    page.wait_for_selector("#key-form:visible")
    assert violations(page, axe) == []
    studio.tab_to("key")
    page.keyboard.type("not-the-key-of-this-test")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-refused:visible")
    assert violations(page, axe) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing to scroll sideways"
    studio.tab_to("key")
    page.keyboard.type("the-key-of-this-test-0123")
    page.keyboard.press("Enter")
    expect(page.locator("#key-form")).to_be_hidden()


def test_the_main_path_needs_no_mouse(visit):
    studio = visit()
    page = studio.page
    page.wait_for_selector("#service[data-state=ready]")
    studio.tab_to("sample-mug")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "sample-make"
    page.keyboard.press("Enter")
    page.wait_for_selector("#make:enabled")
    found = studio.coverage()
    assert page.evaluate("document.activeElement.id") == "mask-canvas"
    for _ in range(4):
        page.keyboard.press("Tab")  # over the buttons that zoom
    page.keyboard.press("ArrowLeft")  # from the first tool to the last, the brush
    assert page.is_checked("input[value=brush]")
    page.focus("#mask-canvas")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Enter")
    assert studio.coverage() > found
    page.keyboard.press("Control+z")
    assert studio.coverage() == found

    studio.tab_to("make")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "cancel"
    studio.wait_for_model()
    expect(page.locator("#announcer")).to_have_text("The model is ready.")
    assert page.evaluate("document.activeElement.id") == "model-canvas"
    before = studio.picture("#stage")
    page.keyboard.press("ArrowLeft")
    assert np.abs(studio.picture("#stage") - before).mean() > 0.2
    studio.tab_to("download")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.path().read_bytes()[:4] == b"glTF"


def test_reduced_motion_disables_animations(visit, drawing):
    studio = visit(reduced_motion="reduce")
    studio.choose(drawing(((150, 150, 360, 360), (200, 40, 40))))
    studio.make()
    studio.wait_for_model()
    before = studio.picture("#stage")
    studio.page.wait_for_timeout(500)
    assert np.array_equal(studio.picture("#stage"), before)
