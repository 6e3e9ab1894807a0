"""How the page of a result is served. What it does is tested in a browser (tests/browser)."""

import asyncio
import html
import re

import pytest

from sam3d_bento.serving.request_context import backend
from tests.serving.routes.test_studio import policy
from tests.support import finished

KEY = "the-key-of-the-tests-0123456789"


@pytest.fixture
def http(serve, tmp_path):
    (tmp_path / "keys").write_text(f"{KEY}\n")
    return serve(api_keys_file=tmp_path / "keys")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_result_has_a_page_that_needs_no_key(http, method):
    asset_id = asyncio.run(backend().assets.put(finished.glb()))
    page = http.request(method, f"/m/{asset_id}", headers={"Accept-Language": "de"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-language"] == "de"
    assert policy(page.headers["content-security-policy"]) == policy(http.get("/").headers["content-security-policy"])


def test_a_link_is_previewed_by_the_name_and_the_picture_of_the_result(http):
    name = 'a "chair" & <b>'
    asset_id = asyncio.run(
        backend().assets.put(finished.glb(options=finished.OPTIONS.model_copy(update={"name": name})))
    )
    found = dict(re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', http.get(f"/m/{asset_id}").text))
    assert html.unescape(found["title"]) == asyncio.run(backend().assets.name(asset_id))
    assert found["url"].endswith(f"/m/{asset_id}")
    assert http.get(found["image"]).headers["content-type"] == "image/webp"
    assert "<b>" not in found["title"]


def test_a_page_that_the_browser_has_still_says_that_the_result_is_gone(http):
    asset_id = asyncio.run(backend().assets.put(finished.glb()))
    known = {"If-None-Match": http.get(f"/m/{asset_id}").headers["etag"]}
    assert http.get(f"/m/{asset_id}", headers=known).status_code == 304
    asyncio.run(backend().assets.delete(asset_id))
    gone = http.get(f"/m/{asset_id}", headers=known)
    assert gone.status_code == 404
    assert "</html>" in gone.text
    assert "og:title" not in gone.text


@pytest.mark.parametrize("asset_id", ["0" * 32, "cut-off", "%00"])
def test_without_a_result_the_page_says_so_with_status_404(http, asset_id):
    page = http.get(f"/m/{asset_id}")
    assert page.status_code == 404


def test_all_that_the_page_names_is_there(http):
    page = http.get(f"/m/{'0' * 32}").text
    named = re.findall(r'(?:src|href)="\.\./([^"]+)"', page)
    assert len(named) >= 7
    assert [path for path in named if http.get(f"/{path}").status_code != 200] == []
    assert not re.search(r"(src|href)=\"(https?:)?//", page)


def test_it_answers_to_reading_alone(http):
    assert http.post(f"/m/{'0' * 32}", headers={"X-API-Key": KEY}).status_code == 405
