import html
import json
import re

import pytest

from sam3d_bento.serving import localized_pages
from sam3d_bento.serving.localized_pages import LANGUAGE_COOKIE, LANGUAGES, THEME_COOKIE, WEB, language_of, theme_of

CATALOGUE = json.loads((WEB / "texts.json").read_text())
CHOOSE = CATALOGUE["photo.choose"]
PAGES = ("docs.html", "index.html", "result.html")


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "language"),
    [
        (None, None, "", "en"),
        (None, None, "de", "de"),
        (None, None, "de-AT,en;q=0.8", "de"),
        (None, None, "fr, en;q=0.5, de;q=0.9", "de"),
        (None, None, "fr;q=1, ja", "en"),
        (None, None, "de;q=0, en;q=0.1", "en"),
        (None, None, "*", "en"),
        (None, None, "de;q=x,,;q=", "en"),
        (None, "de", "en", "de"),
        (None, "kl", "de", "de"),
        ("en", "de", "de", "en"),
        ("kl", "de", "en", "de"),
        ("", "", "de", "de"),
    ],
)
def test_the_address_decides_on_the_language_then_the_earlier_choice_then_the_browser(asked, kept, accepted, language):
    assert language_of(asked, kept, accepted) == language


@pytest.mark.parametrize(
    ("kept", "theme"), [(None, "system"), ("dark", "dark"), ("light", "light"), ('"><b>', "system")]
)
def test_the_colours_are_those_that_were_chosen(kept, theme):
    assert theme_of(kept) == theme


def test_a_page_comes_in_the_language_of_its_visitor(serve):
    http = serve()
    page = http.get("/", headers={"Accept-Language": "de-DE"})
    assert page.text.startswith('<!doctype html>\n<html lang="de" data-theme="system">')
    assert CHOOSE["de"] in page.text
    assert page.headers["content-language"] == "de"
    assert {"accept-language", "cookie"} <= {name.strip().lower() for name in page.headers["vary"].split(",")}
    english = http.get("/?lang=en", headers={"Accept-Language": "de-DE"})
    assert '<html lang="en"' in english.text
    assert f">{CHOOSE['en']}<" in english.text
    kept = http.get("/", headers={"Cookie": f"{LANGUAGE_COOKIE}=de; {THEME_COOKIE}=dark"})
    assert '<html lang="de" data-theme="dark">' in kept.text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_one_head_that_is_complete(name, language):
    page = localized_pages.localized(name, language, "system").content.decode()
    assert page.startswith(f'<!doctype html>\n<html lang="{language}" data-theme="system">')
    for part in ("<head>", "<title>", 'name="viewport"', 'name="color-scheme"', 'rel="icon"', '<script type="module"'):
        assert page.count(part) == 1
    assert not re.search(r"<title>\s*<|{{|{%", page)


def test_a_page_is_compressed_and_sent_again_only_in_another_language(serve):
    http = serve()
    first = http.get("/", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    known = {"If-None-Match": first.headers["etag"]}
    again = http.get("/", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert http.get("/?lang=de", headers=known).status_code == 200


def test_a_text_with_markup_stays_text(monkeypatch):
    hostile = '</script><b title="x">&\''
    monkeypatch.setattr(localized_pages, "texts_in", lambda _: dict.fromkeys(CATALOGUE, hostile))
    page = localized_pages.localized("index.html", "de", "dark").content.decode()
    assert page.count("<b ") == 0
    assert page.count("</script>") == page.count("<script ")
    embedded = page.partition('id="texts">')[2].partition("</script>")[0]
    assert json.loads(embedded) == dict.fromkeys(CATALOGUE, hostile)
    labelled = re.search(r'<select id="language" aria-label="([^"]*)"', page)
    assert html.unescape(labelled[1]) == hostile
