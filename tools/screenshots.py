"""`make screenshots`: show each state of the studio on a desktop, a tablet and a phone, in light and dark.

Needs Chromium. The pictures are written to build/screenshots, and those of DOCUMENTED to docs/ as well with `--docs`.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from sam3d_bento.cli import local_service
from tests.support import chromium

FOLDER = Path(__file__).parents[1]
OUTPUT = FOLDER / "build" / "screenshots"
DOCS = FOLDER / "docs"
SAMPLES = FOLDER / "sam3d_bento" / "serving" / "web" / "samples"

# Width and height of the window, in CSS pixels.
VIEWS = {"desktop": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}
THEMES = ("light", "dark")
# Pictures of the documentation: view, theme and state.
DOCUMENTED = {
    "studio.webp": ("desktop", "light", "result"),
    "studio-dark.webp": ("desktop", "dark", "scene-result"),
    "studio-phone.webp": ("phone", "light", "result"),
}
DOCUMENTED_QUALITY = 85  # of WebP, from 0 to 100: a quarter of the PNG, and no difference to be seen
PART_PIXELS = 640  # side of a sample in the photo of two objects
START_SECONDS = 120
WAIT_MILLISECONDS = 120_000  # longest wait for a model, on a busy machine
SETTLE_MILLISECONDS = 1200  # until pictures have come and movements have ended

Walk = Callable[[Page], Iterator[str]]


def first_minute(page: Page) -> Iterator[str]:
    """Open the studio, then a sample."""
    yield "empty"
    page.click("#sample-lighthouse")
    wait_for_model(page)
    yield "sample"


def one_photo(page: Page) -> Iterator[str]:
    """Make the model of one photo, look at its downloads and its page, and at the page of a result that is gone."""
    choose(page, "mug.jpg")
    yield "photo"
    page.click("#advanced-summary")
    page.locator("#options").scroll_into_view_if_needed()
    yield "options"
    page.click("#advanced-summary")
    page.click("#make")
    page.wait_for_selector("#progress-stages [data-state=done]")
    yield "running"
    wait_for_model(page)
    page.evaluate("scrollTo(0, 0)")
    yield "result"
    page.click("#download-menu summary")
    page.locator("#download-menu").scroll_into_view_if_needed()
    yield "downloads"
    page.click("#open-page")
    wait_for_model(page)
    yield "page"
    page.goto(f"{page.url.rpartition('/')[0]}/{'0' * 32}")
    page.wait_for_selector("#gone:visible")
    yield "gone"


def scene(page: Page) -> Iterator[str]:
    """Collect two objects of one photo, and make them."""
    page.set_input_files("#photo-file", {"name": "shelf.jpg", "mimeType": "image/jpeg", "buffer": side_by_side()})
    page.wait_for_selector("#make:enabled", timeout=WAIT_MILLISECONDS)
    point(page, 0.25)
    page.click("#add-object")
    point(page, 0.75)
    yield "scene"
    page.click("#make")
    wait_for_model(page)
    page.evaluate("scrollTo(0, 0)")
    yield "scene-result"


def point(page: Page, across: float) -> None:
    """Click the photo at half its height, and wait for what that chooses. across: share of its width."""
    page.evaluate("scrollTo(0, 0)")
    box = page.locator("#mask-canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + across * box["width"], box["y"] + box["height"] / 2)
    page.wait_for_selector("#make:enabled", timeout=WAIT_MILLISECONDS)


def side_by_side() -> bytes:
    """Return two samples beside each other, as a JPEG."""
    left, right = (Image.open(SAMPLES / name).resize((PART_PIXELS, PART_PIXELS)) for name in ("duck.jpg", "mug.jpg"))
    picture = Image.new("RGB", (2 * PART_PIXELS, PART_PIXELS))
    picture.paste(left, (0, 0))
    picture.paste(right, (PART_PIXELS, 0))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92)
    return file.getvalue()


def batch(page: Page) -> Iterator[str]:
    """Make the models of several photos."""
    page.set_input_files("#photo-file", [SAMPLES / f"{name}.jpg" for name in ("duck", "mug", "rocket", "crate")])
    page.wait_for_selector("#make:enabled", timeout=WAIT_MILLISECONDS)
    page.click("#make")
    page.wait_for_timeout(5 * SETTLE_MILLISECONDS)
    yield "batch"


def problems(page: Page) -> Iterator[str]:
    """Send what is no photo, and lose the service."""
    page.set_input_files("#photo-file", {"name": "notes.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"})
    page.wait_for_selector("#photo-problem:visible")
    yield "problem"
    page.route("**/health", lambda route: route.abort())
    page.evaluate("dispatchEvent(new Event('offline'))")
    page.wait_for_selector("#service[data-state=unreachable]")
    yield "away"


def key(page: Page) -> Iterator[str]:
    """Ask for a key, as a service with keys does."""
    refusal = '{"code": "unauthorized"}'
    page.route(
        "**/api/**", lambda route: route.fulfill(status=401, body=refusal, content_type="application/problem+json")
    )
    page.reload()
    page.wait_for_selector("#key-form:visible")
    yield "key"


WALKS: tuple[Walk, ...] = (first_minute, one_photo, scene, batch, problems, key)


def choose(page: Page, sample: str) -> None:
    page.set_input_files("#photo-file", SAMPLES / sample)
    page.wait_for_selector("#make:enabled", timeout=WAIT_MILLISECONDS)


def wait_for_model(page: Page) -> None:
    page.wait_for_selector("#view-tools:enabled", timeout=WAIT_MILLISECONDS)


@contextmanager
def studio(browser: Browser, url: str, view: str, theme: str) -> Iterator[Page]:
    """Open the studio in a browser profile of its own."""
    width, height = VIEWS[view]
    scheme = "dark" if theme == "dark" else "light"
    profile = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=view == "phone"
    )
    page = profile.new_page()
    page.goto(url)
    page.wait_for_selector("#service[data-state=ready]")
    yield page
    profile.close()


def save(page: Page, view: str, theme: str, state: str, *, documented: bool) -> None:
    """Write the picture of a state."""
    page.wait_for_timeout(SETTLE_MILLISECONDS)
    picture = page.screenshot()
    (OUTPUT / f"{view}-{theme}-{state}.png").write_bytes(picture)
    for name, shown in DOCUMENTED.items():
        if documented and shown == (view, theme, state):
            Image.open(io.BytesIO(picture)).convert("RGB").save(DOCS / name, quality=DOCUMENTED_QUALITY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="write the pictures of the documentation as well")
    parser.add_argument("--walks", nargs="+", choices=[walk.__name__ for walk in WALKS], help="only these")
    parser.add_argument("--views", nargs="+", choices=VIEWS, default=list(VIEWS), help="only these sizes")
    given = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    walks = [walk for walk in WALKS if given.walks is None or walk.__name__ in given.walks]
    with local_service.started() as service, sync_playwright() as playwright:
        service.wait_until_ready(START_SECONDS)
        browser = chromium.launch(playwright)
        if browser is None:
            raise SystemExit("There is no Chromium here.")
        for view in given.views:
            for theme in THEMES:
                for walk in walks:
                    with studio(browser, service.url, view, theme) as page:
                        for state in walk(page):
                            save(page, view, theme, state, documented=given.docs)
                print(f"{view}, {theme}: done")
        browser.close()
    print(OUTPUT.relative_to(FOLDER))


if __name__ == "__main__":
    main()
