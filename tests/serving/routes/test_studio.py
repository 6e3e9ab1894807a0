"""How the studio's files are served. What the page does is tested in a browser (tests/browser)."""

import re

import pytest

from sam3d_bento.serving.routes import studio


@pytest.fixture
def http(shared_service):
    return shared_service[0]


def policy(text):
    """A Content-Security-Policy as {directive: its sources}."""
    return {name: sources for name, *sources in (directive.split() for directive in text.split(";"))}


def test_the_page_may_load_nothing_from_another_host(http):
    page = http.get("/")
    rules = policy(page.headers["content-security-policy"])
    assert rules["default-src"] == ["'none'"]
    local = {"'self'", "'none'", "'wasm-unsafe-eval'", "blob:", "data:"}
    assert {source for sources in rules.values() for source in sources} == local
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)


def test_all_that_the_page_names_is_there_with_its_type(http):
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    named = re.findall(r'(?:src|href)="(studio/[^"]+)"', http.get("/").text)
    assert len(named) >= 3
    for path in named:
        answer = http.get(f"/{path}")
        assert answer.status_code == 200, path
        assert answer.headers["content-type"].startswith(types[path.rpartition(".")[2]])
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_are_compressed_and_asked_for_again_only_when_they_changed(http):
    first = http.get("/studio/vendor/three.js", headers={"accept-encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["cache-control"] == "no-cache"
    again = http.get("/studio/vendor/three.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/studio/nowhere.js",
        "/studio/../studio.py",
        "/studio/%2e%2e/studio.py",
        "/studio/",
        "/studio/pages/index.html",
    ],
)
def test_nothing_else_is_served(http, path):
    answer = http.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_with_a_bucket_the_page_may_fetch_results_from_there_too():
    rules = policy(studio.content_security_policy("https://store.example:9000"))
    assert "https://store.example:9000" in rules["connect-src"]
    assert "https://store.example:9000" in rules["img-src"]
    assert rules["script-src"] == ["'self'", "'wasm-unsafe-eval'"]
