"""What a person does in the studio, in a real browser against a real service."""

import httpx
import numpy as np
import pytest
import trimesh
from playwright.sync_api import expect

from tests.support.depth_scenes import HEIGHT_METRES, RADIUS_METRES, can, npy, npz

pytestmark = [pytest.mark.browser, pytest.mark.server]

RED, BLUE = (200, 40, 40), (40, 60, 200)


def test_a_photo_becomes_a_model(visit, server, coffee):
    studio = visit()
    page = studio.page
    empty = studio.picture("#stage")
    studio.choose(coffee)
    assert "found in the photo" in page.inner_text("#mask-status")
    found = studio.coverage()
    assert 0.3 < found < 0.6

    page.check("input[value=brush]", force=True)
    box = page.locator("#mask-canvas").bounding_box()
    page.mouse.move(box["x"] + 15, box["y"] + 30)
    page.mouse.down()
    with page.expect_response("**/api/mask") as checked:  # what the service says of the correction
        page.mouse.move(box["x"] + 60, box["y"] + 40, steps=4)
        page.mouse.up()
    assert float(checked.value.headers["x-mask-coverage"]) == pytest.approx(studio.coverage(), abs=0.001)
    assert studio.coverage() > found + 0.003

    job = studio.make()
    page.wait_for_selector("#progress:visible")
    expect(page.locator("#progress-stages [data-state=now]")).to_have_count(1)
    studio.wait_for_model()
    report = httpx.get(f"{server.url}/api/jobs/{job}").json()["report"]
    assert report["mask"]["source"] == "upload", "the corrected mask was used"
    facts = page.inner_text("#facts")
    assert f"{report['faces']:,}" in facts
    assert str(report["seed"]) in facts
    assert "thickness and the back are guessed" in page.inner_text("#warnings")

    seen = studio.picture("#stage")
    assert np.abs(seen - empty).mean() > 3
    assert (np.ptp(seen.reshape(-1, 3), axis=0) > 100).all(), "a picture, not a surface of one colour"

    with page.expect_download() as download:
        page.click("#download")
    stored = httpx.get(f"{server.url}/api/assets/{report['id']}.glb").content
    assert download.value.suggested_filename == f"{report['name']}.glb"
    assert download.value.path().read_bytes() == stored
    assert stored[:4] == b"glTF"


def test_a_mask_of_ones_own(visit, drawing):
    studio = visit(failing=["400"])
    page = studio.page
    studio.choose(drawing(((150, 150, 360, 360), RED)), options=None)
    wish = drawing(((0, 0, 256, 512), (255, 255, 255)), ground=(0, 0, 0))
    page.set_input_files("#mask-file", {"name": "mask.png", "mimeType": "image/png", "buffer": wish})
    expect(page.locator("#mask-status")).to_contain_text("Your mask will be used")
    assert studio.coverage() == 0.5
    page.set_input_files("#mask-file", {"name": "mask.gif", "mimeType": "image/gif", "buffer": b"GIF89a broken"})
    page.wait_for_selector("#photo-problem:visible")
    assert studio.coverage() == 0.5, "the one before is kept"


def test_a_run_is_cancelled(visit, server, coffee):
    studio = visit()
    studio.choose(coffee, options=None)
    job = studio.make()
    studio.page.click("#cancel")
    studio.page.wait_for_selector("#model-empty:visible")
    expect(studio.page.locator("#model-empty")).to_contain_text("Cancelled")
    studio.page.wait_for_selector("#make:enabled")
    assert httpx.get(f"{server.url}/api/jobs/{job}").json()["state"] == "cancelled"


def test_a_file_that_is_no_photo_is_refused_in_words(visit):
    studio = visit(failing=["415"])
    page = studio.page
    page.set_input_files("#photo-file", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no photo"})
    page.wait_for_selector("#photo-problem:visible")
    assert "The format is not supported" in page.inner_text("#photo-problem")
    assert page.is_visible("#intake"), "another can be chosen"
    assert page.is_disabled("#make")


def test_a_photo_without_an_object_can_still_be_masked_by_hand(visit, drawing):
    studio = visit(failing=["422"])
    page = studio.page
    page.set_input_files("#photo-file", {"name": "wall.png", "mimeType": "image/png", "buffer": drawing()})
    page.wait_for_selector("#photo-problem:visible")
    assert "No object was found" in page.inner_text("#photo-problem")
    assert page.is_disabled("#make")
    page.check("input[value=brush]", force=True)
    page.click("#mask-canvas")
    page.wait_for_selector("#make:enabled")


def test_the_page_says_that_the_service_loads_and_then_that_it_is_ready(visit, start_server):
    server = start_server()
    server.wait_until(503)
    page = visit(server.url, failing=["503"]).page
    page.wait_for_selector("#service[data-state=starting]")
    page.wait_for_selector("#service[data-state=ready]")
    assert "thickness and back are guessed" in page.inner_text("#service")


def test_a_full_queue_is_waited_for(visit, start_server, coffee):
    server = start_server(queue_limit=1)
    server.wait_until(200)
    studio = visit(server.url, failing=["429"])
    studio.choose(coffee)
    with server.client() as client:
        photo = coffee.read_bytes()
        jobs = [client.post("/api/jobs", files={"image": photo}, data={"target_faces": "200000"}).json() for _ in "ab"]
        studio.page.click("#make")
        studio.page.wait_for_selector("#model-problem[data-code=busy]")
        assert "Next try in" in studio.page.inner_text("#model-problem")
        for job in reversed(jobs):
            client.delete(f"/api/jobs/{job['id']}")
    studio.wait_for_model()


def test_results_are_found_again_until_they_expire(visit, server, drawing):
    studio = visit(failing=["404"])
    page = studio.page
    studio.choose(drawing(((150, 150, 360, 360), RED)))
    job = studio.make()
    page.reload()  # the job goes on, and is followed again
    studio.wait_for_model()
    page.reload()
    page.wait_for_load_state("networkidle")
    thumbnail = page.locator("#recent img")
    thumbnail.scroll_into_view_if_needed()
    expect(thumbnail).to_have_js_property("complete", True)
    assert thumbnail.evaluate("(image) => image.naturalWidth") > 0
    page.click("#recent .result")
    studio.wait_for_model()
    asset = httpx.get(f"{server.url}/api/jobs/{job}").json()["report"]["id"]
    assert httpx.delete(f"{server.url}/api/assets/{asset}.glb").status_code == 204
    page.reload()
    page.wait_for_selector("#recent-empty:visible")


def test_another_seed_is_offered_only_for_results_of_an_engine_that_draws(visit, drawing):
    studio = visit()
    page = studio.page
    studio.choose(drawing(((150, 150, 360, 360), RED)))
    studio.make()
    studio.wait_for_model()
    assert page.is_hidden("#again")

    def as_if_seeded(route):
        route.fulfill(
            body=route.fetch().text().replace('"seeded":false', '"seeded":true'), content_type="text/event-stream"
        )

    page.route("**/api/jobs/*/events", as_if_seeded)
    studio.make()
    studio.wait_for_model()
    expect(page.locator("#again")).to_be_visible()
    with page.expect_request("**/api/jobs") as sent:
        page.click("#again")
    assert b'name="seed"' not in sent.value.post_data_buffer
    studio.wait_for_model()


def test_a_compressed_model_is_shown_too(visit, drawing):
    """Its decoder is WebAssembly, which the page's security policy must let pass."""
    studio = visit()
    page = studio.page
    studio.choose(drawing(((150, 150, 360, 360), RED)))
    studio.open_advanced()
    page.select_option("#option-compress", "true")
    page.select_option("#option-texture_format", "webp")
    studio.make()
    studio.wait_for_model()
    reds = studio.picture("#stage")
    assert (reds[..., 0] - reds[..., 2] > 60).mean() > 0.05


def test_nothing_moves_under_the_readers_eyes(visit, coffee):
    """Cumulative layout shift, as browsers measure it: below 0.1 is good, this page stays far below."""
    studio = visit()
    studio.page.evaluate(
        "window.shift = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())"
        " if (!entry.hadRecentInput) window.shift += entry.value; }).observe({ type: 'layout-shift', buffered: true })"
    )
    studio.choose(coffee)
    studio.make()
    studio.wait_for_model()
    assert studio.page.evaluate("window.shift") < 0.03


def test_a_key_is_asked_for_once_and_opens_the_studio(visit, start_server, drawing, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("the-key-of-this-test-0123\n")
    server = start_server(api_keys_file=keys)
    server.wait_until(200)
    studio = visit(server.url, failing=["401"])
    page = studio.page
    page.fill("#key", "not-the-key-of-this-test")
    page.press("#key", "Enter")
    page.wait_for_selector("#key-refused:visible")
    page.fill("#key", "the-key-of-this-test-0123")
    page.click("#key-form button")
    expect(page.locator("#key-form")).to_be_hidden()
    studio.choose(drawing(((150, 150, 360, 360), RED)))
    studio.make()
    studio.wait_for_model()
    with page.expect_download() as download:
        page.click("#download")
    assert download.value.path().read_bytes()[:4] == b"glTF"
    page.reload()
    expect(page.locator("#recent img")).to_have_count(1)
    page.wait_for_selector("#options >> css=select", state="attached")
    expect(page.locator("#key-form")).to_be_hidden()


@pytest.mark.parametrize("is_read", [True, False])
def test_heic_is_asked_for_only_where_the_service_reads_it(visit, server, is_read):
    """An iPhone that is not asked for HEIC sends a JPEG instead."""
    studio = visit()
    page = studio.page
    answer = httpx.get(f"{server.url}/api/options").json()
    assert "HEIC" in answer["formats"], "pillow-heif is in every installation"
    if not is_read:
        answer["formats"].remove("HEIC")
    page.route("**/api/options", lambda route: route.fulfill(json=answer))
    page.reload()
    limits = page.locator("#photo-limits")
    expect(limits).to_contain_text("up to 20 MB")
    kinds = page.get_attribute("#photo-file", "accept").split(",")
    assert ({".heic", ".heif"} <= set(kinds)) == (".heic" in kinds) == is_read
    assert ("HEIC is not read here" in limits.inner_text()) is not is_read


@pytest.fixture(scope="module")
def scene():
    return can(480, 360)


def choose_scene(studio, scene):
    studio.choose(scene.photo_file)
    mask = {"name": "mask.png", "mimeType": "image/png", "buffer": scene.mask_file}
    with studio.page.expect_response("**/api/mask"):
        studio.page.set_input_files("#mask-file", mask)
    expect(studio.page.locator("#mask-status")).to_contain_text("Your mask will be used")


def assert_true_size(page):
    with page.expect_download() as download:
        page.click("#download")
    extents = trimesh.load_mesh(download.value.path(), file_type="glb").extents
    assert extents[:2] == pytest.approx([2 * RADIUS_METRES, HEIGHT_METRES], rel=0.05)


def drop(page, selector, name, content):
    """Drop a file on an element, as a person does who drags it there."""
    page.evaluate(
        """([selector, name, bytes]) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], name));
            const place = document.querySelector(selector);
            for (const kind of ["dragover", "drop"])
                place.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
        }""",
        [selector, name, list(content)],
    )


def test_depth_that_is_dropped_gives_the_model_its_true_size(visit, scene):
    studio = visit()
    page = studio.page
    choose_scene(studio, scene)
    studio.open_advanced()
    drop(page, "#depth-drop", "can.png", scene.png(scene.depth))
    assert "can.png" in page.inner_text("#depth-status")
    assert page.is_visible("#photo-image"), "the photo is still the photo"
    page.fill("#intrinsics", scene.intrinsics.replace(",", ", "))
    studio.make()
    studio.wait_for_model()
    assert_true_size(page)


def test_depth_by_keyboard_alone_with_its_camera_in_the_archive(visit, scene, tmp_path):
    (tmp_path / "can.npz").write_bytes(npz(depth=scene.depth, intrinsics=np.array(scene.camera)))
    studio = visit()
    page = studio.page
    choose_scene(studio, scene)
    studio.tab_to("advanced-summary")
    page.keyboard.press("Enter")
    studio.tab_to("depth-file")
    for last in (False, True):
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(tmp_path / "can.npz")
        expect(page.locator("#depth-status")).to_contain_text("true size")
        if not last:
            studio.tab_to("depth-remove")
            page.keyboard.press("Enter")
            expect(page.locator("#depth-status")).to_have_text("Or drop it here.")
            assert page.evaluate("document.activeElement.id") == "depth-file"
    studio.tab_to("make")
    page.keyboard.press("Enter")
    studio.wait_for_model()
    assert_true_size(page)


def test_an_array_that_is_dropped_anywhere_is_depth_and_another_photo_forgets_it(visit, scene, drawing):
    studio = visit(failing=["400"])
    page = studio.page
    drop(page, "main", "can.npy", npy(scene.depth))
    expect(page.locator("#depth-status")).to_contain_text("can.npy")
    choose_scene(studio, scene)
    expect(page.locator("#depth-status")).to_contain_text("can.npy")
    studio.make()
    expect(page.locator("#model-problem")).to_contain_text("Send 'intrinsics' as fx,fy,cx,cy")
    drop(page, "main", "box.png", drawing(((150, 150, 360, 360), RED)))
    expect(page.locator("#depth-status")).to_have_text("Or drop it here.")


def test_depth_that_is_too_large_is_not_sent_and_the_page_says_what_to_do(visit, scene):
    studio = visit()
    page = studio.page
    page.wait_for_selector("#photo-limits:has-text('20 MB')")
    studio.open_advanced()
    page.set_input_files("#depth-file", {"name": "can.npy", "mimeType": "", "buffer": bytes(20_000_001)})
    expect(page.locator("#depth-status")).to_contain_text("Send float16 in a compressed .npz")
    assert page.is_hidden("#depth-remove")


def test_a_preset_fills_in_options_that_can_still_be_changed(visit, server, drawing):
    studio = visit()
    page = studio.page
    studio.choose(drawing(((150, 150, 360, 360), RED)))
    studio.open_advanced()
    page.check("#purposes [value=robot]")
    assert page.input_value("#option-texture_size") == "512"
    assert page.input_value("#option-target_faces") == "10000"
    page.check("#purposes [value=game]")
    page.fill("#option-target_faces", "1000")
    page.select_option("#option-texture_size", "1024")  # which is the default without a preset
    job = studio.make()
    studio.wait_for_model()
    used = httpx.get(f"{server.url}/api/jobs/{job}").json()["report"]["options"]
    assert (used["target_faces"], used["texture_size"], used["origin"]) == (1000, 1024, "bottom")
    page.check("#purposes [value=none]")
    assert page.input_value("#option-target_faces") == "40000"
