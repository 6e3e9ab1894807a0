"""Several photos at once: a card for each, and a zip of all models."""

import io
import zipfile

import pytest
import trimesh
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.server]

RED = (200, 40, 40)


def photos(drawing, *names):
    """Files for the picker, each a photo of one object."""
    picture = drawing(((150, 150, 360, 360), RED))
    return [{"name": name, "mimeType": "image/png", "buffer": picture} for name in names]


def add(page, files):
    page.set_input_files("#photo-file", files)
    expect(page.locator(".batch-card")).to_have_count(len(files))


def states(page):
    return page.locator(".batch-card").evaluate_all("(cards) => cards.map((card) => card.dataset.state)")


def wait_for_all(page, state="done"):
    page.wait_for_function(
        "(state) => [...document.querySelectorAll('.batch-card')].every((card) => card.dataset.state === state)",
        arg=state,
    )


def test_several_photos_become_models_and_one_zip(visit, drawing):
    studio = visit()
    page = studio.page
    add(page, photos(drawing, "cup.png", "chair.png", "cup.png"))
    expect(page.locator("#make")).to_contain_text("3")
    assert states(page) == ["ready"] * 3
    page.click("#make")
    expect(page.locator(".batch-card progress:visible").first).to_be_visible()
    wait_for_all(page)
    expect(page.locator("#batch-summary")).to_contain_text("3 ready")
    with page.expect_download() as download:
        page.click("#batch-zip")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert sorted(archive.namelist()) == ["chair.glb", "cup 2.glb", "cup.glb"]
        assert archive.testzip() is None
        for name in archive.namelist():
            assert len(trimesh.load_mesh(io.BytesIO(archive.read(name)), file_type="glb").faces) >= 12
    expect(page.locator("#recent .result")).to_have_count(3)
    page.locator(".batch-card").nth(1).get_by_role("button", name="Show").click()
    studio.wait_for_model()


def test_a_photo_that_fails_does_not_hold_up_the_others_and_is_tried_again_or_chosen_by_hand(visit, drawing):
    studio = visit()
    page = studio.page
    wall = {"name": "wall.png", "mimeType": "image/png", "buffer": drawing()}
    add(page, [*photos(drawing, "cup.png"), wall])
    page.click("#make")
    page.wait_for_selector(".batch-card[data-state=done]")
    failed = page.locator(".batch-card[data-state=failed]")
    expect(failed).to_contain_text("wall.png")
    failed.get_by_role("button", name="Try again").click()
    expect(failed).to_contain_text("wall.png")
    failed.get_by_role("button", name="Choose the object").click()
    expect(page.locator("#photo-frame")).to_be_visible()
    page.click("#other-photo:has-text('Back to the batch')")
    expect(page.locator(".batch-card")).to_contain_text("cup.png")


def test_a_batch_is_cancelled_card_by_card_and_as_a_whole(visit, drawing):
    studio = visit()
    page = studio.page
    add(page, photos(drawing, "a.png", "b.png", "c.png"))
    page.click("#make")
    page.locator(".batch-card").nth(2).get_by_role("button", name="Cancel").click()
    expect(page.locator(".batch-card").nth(2)).to_have_attribute("data-state", "cancelled")
    page.click("#batch-stop")
    page.wait_for_selector("#batch-stop:not(:visible)", state="attached")
    assert set(states(page)) <= {"cancelled", "done"}
    for _ in range(3):
        page.locator(".batch-card").first.get_by_role("button", name="Remove").click()
    expect(page.locator("#intake")).to_be_visible()


@pytest.fixture
def crowded_page(visit, start_server, drawing):
    """The page of a service that queues one job, after a batch of four photos was sent."""
    server = start_server(queue_limit=1)
    server.wait_until(200)
    studio = visit(server.url, failing=["429"])
    page = studio.page
    add(page, photos(drawing, *(f"{number}.png" for number in range(4))))
    page.click("#make")
    return page


def test_a_full_queue_is_waited_for_by_the_batch(crowded_page):
    page = crowded_page
    expect(page.locator(".batch-card[data-state=waiting]").first).to_contain_text("The queue is full; next try in")
    wait_for_all(page)


def test_a_reload_finds_the_jobs_and_sends_what_was_not_sent(crowded_page):
    page = crowded_page
    page.wait_for_selector(".batch-card[data-state=waiting]")
    page.reload()
    expect(page.locator(".batch-card")).to_have_count(4)
    wait_for_all(page)
    assert [name.inner_text() for name in page.locator(".batch-card strong").all()] == [f"{n}.png" for n in range(4)]


def test_a_folder_stands_for_the_photos_in_it(visit, drawing, tmp_path):
    (tmp_path / "shoot" / "inner").mkdir(parents=True)
    for path in ("shoot/b.png", "shoot/a.png", "shoot/inner/c.png"):
        (tmp_path / path).write_bytes(drawing(((150, 150, 360, 360), RED)))
    (tmp_path / "shoot" / "notes.txt").write_text("no photo")
    page = visit().page
    box = page.locator("#intake").bounding_box()
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(tmp_path / "shoot")], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": box["x"] + 50, "y": box["y"] + 50, "data": data})
    names = page.locator(".batch-card strong")
    expect(names).to_have_text(["a.png", "b.png", "c.png"])


def test_what_is_no_photo_is_left_out_of_a_batch_and_that_is_said(visit, drawing):
    page = visit().page
    notes = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no photo"}
    page.set_input_files("#photo-file", [*photos(drawing, "a.png", "b.png"), notes])
    expect(page.locator(".batch-card")).to_have_count(2)
    expect(page.locator("#batch-status")).to_contain_text("left out")


def test_a_batch_on_a_phone_is_not_wider_than_the_phone(visit, drawing):
    page = visit(width=390, height=844, has_touch=True, is_mobile=True).page
    add(page, photos(drawing, "a photo with a name that is longer than a card on a phone is wide.png", "b.png"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#make").bounding_box()
    assert box["y"] + box["height"] <= 844 or page.evaluate("window.scrollY") == 0
