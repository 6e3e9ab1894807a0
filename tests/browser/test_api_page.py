"""The page of the API at /docs, as a person uses it. `visit` sees to it that nothing fails behind the scenes."""

import json

import pytest

from tests.support.places import COFFEE

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit, server):
    """The page, opened from the studio's footer."""
    studio = visit()
    studio.complaints = []
    studio.page.on("console", lambda message: studio.complaints.append(message.text))
    studio.page.click("footer >> text=API description")
    studio.page.wait_for_selector(".opblock")
    yield studio.page
    assert studio.complaints == []


def test_it_lists_every_operation_once(page, server):
    with server.client() as http:
        paths = http.get("/docs.json").json()["paths"]
    expected = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    shown = page.locator(".opblock").evaluate_all("(blocks) => blocks.map((block) => block.id.split('-').at(-1))")
    assert sorted(shown) == sorted(name for name in expected if not name.startswith("head"))
    assert page.locator(".errors-wrapper").count() == 0


def test_an_operation_can_be_opened_and_tried(page):
    page.click("#operations-Service-getHealth .opblock-summary-control")
    page.click("#operations-Service-getHealth .try-out__btn")
    page.click("#operations-Service-getHealth .execute")
    answer = page.locator("#operations-Service-getHealth .live-responses-table .response-col_description code").first
    assert json.loads(answer.inner_text())["status"] == "ready"


def test_a_photo_can_be_sent_from_the_page(page):
    operation = page.locator("#operations-Jobs-submitJob")
    operation.locator(".opblock-summary-control").click()
    operation.locator(".try-out__btn").click()
    operation.locator("input[type=file]").first.set_input_files(COFFEE)
    with page.expect_response(lambda answer: answer.url.endswith("/api/jobs")) as answer:
        operation.locator(".execute").click()
    assert answer.value.status == 202, answer.value.text()
    assert answer.value.json()["state"] in ("queued", "running")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colours_of_the_system(visit, server, scheme):
    page = visit(scheme=scheme).page
    page.goto(f"{server.url}/docs")
    page.wait_for_selector(".opblock")
    red, green, blue = page.evaluate(
        "getComputedStyle(document.querySelector('.info .title')).color.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert (red + green + blue > 3 * 128) == (scheme == "dark")
