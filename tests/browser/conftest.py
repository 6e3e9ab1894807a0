"""Headless Chromium, and the studio of a real service with the preview engine in it."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright

from tests.support import chromium
from tests.support.places import COFFEE, PROJECT
from tests.support.server_process import PATIENCE

AXE = PROJECT / "tools" / "browser"
expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="session", name="chromium")
def chromium_browser():
    with sync_playwright() as playwright:
        browser = chromium.launch(playwright)
        if browser is None:
            pytest.skip("there is no Chromium here")
        yield browser
        browser.close()


class Studio:
    """One browser's view of the studio, and what a person does there. Remembers what went wrong behind the scenes."""

    def __init__(self, page, url):
        self.page = page
        self.url = url
        self.requested = []
        self.errors = []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("request", lambda request: self.requested.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)

    def _note(self, message):
        """Note whatever the console says, but what WebGL without a GPU says of its own slowness."""
        if "GL Driver Message" not in message.text:
            self.errors.append(message.text)

    def open(self):
        self.page.goto(self.url)
        return self

    def choose(self, photo, options=("512", "1000")):
        """Pick a photo (a path, or PNG bytes), wait for its mask, and make the run a short one."""
        payload = photo if isinstance(photo, Path) else {"name": "photo.png", "mimeType": "image/png", "buffer": photo}
        self.page.set_input_files("#photo-file", payload)
        self.page.wait_for_selector("#make:enabled")
        if options:
            self.open_advanced()
            self.page.select_option("#option-texture_size", options[0])
            self.page.fill("#option-target_faces", options[1])
            self.page.evaluate("document.getElementById('advanced').open = false")
            self.page.evaluate("scrollTo(0, 0)")  # the options lie below the photo

    def open_advanced(self):
        self.page.evaluate("document.getElementById('advanced').open = true")

    def make(self):
        """Press the button; the id of the job."""
        with self.page.expect_response(lambda answer: answer.url.endswith("/api/jobs")) as answer:
            self.page.click("#make")
        return answer.value.json()["id"]

    def wait_for_model(self):
        self.page.wait_for_selector("#view-tools:enabled")
        self.page.wait_for_selector("#model-canvas:visible")

    def coverage(self):
        """What the page says that the mask covers, 0..1."""
        text = self.page.inner_text("#mask-status")
        return float(text.split("covers ")[1].split("%")[0]) / 100

    def picture(self, selector):
        """How an element looks: (H, W, 3)."""
        self.page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        return np.asarray(Image.open(io.BytesIO(self.page.locator(selector).screenshot())).convert("RGB"), float)

    def tab_to(self, identity):
        """Reach an element as somebody without a mouse does."""
        for _ in range(60):
            if self.page.evaluate("document.activeElement.id") == identity:
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"the keyboard does not reach #{identity}")


@pytest.fixture
def visit(chromium, server):
    """A factory of studios in fresh browser profiles. At the end: no error, and no request to another host."""
    studios = []

    def start(url=server.url, width=1280, height=900, scheme="light", failing=(), store=None, **context):
        """failing: parts of the console's messages that this test brings about (the browser logs each 4xx and 5xx).
        store: the one other host that may be asked."""
        profile = chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **context)
        studio = Studio(profile.new_page(), url)
        studios.append((studio, failing, (url, f"blob:{url}", *filter(None, [store]))))
        return studio.open()

    yield start
    for studio, failing, allowed in studios:
        studio.page.context.close()
        assert [error for error in studio.errors if not any(part in error for part in failing)] == []
        assert [url for url in studio.requested if not url.startswith(allowed)] == []


@pytest.fixture(scope="session")
def coffee():
    return COFFEE


@pytest.fixture(scope="session")
def drawing():
    """A factory of pictures: boxes (left, top, right, bottom) in a colour on grey, 512 x 512, as PNG bytes."""

    def draw(*boxes, ground=(150, 150, 145)):
        picture = Image.new("RGB", (512, 512), ground)
        for box, colour in boxes:
            picture.paste(colour, box)
        file = io.BytesIO()
        picture.save(file, "PNG")
        return file.getvalue()

    return draw


@pytest.fixture(scope="session")
def axe():
    """The source of axe-core, which finds what people with impairments stumble over."""
    if not (AXE / "node_modules").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=AXE, check=True, capture_output=True)
    return (AXE / "node_modules" / "axe-core" / "axe.min.js").read_text()
