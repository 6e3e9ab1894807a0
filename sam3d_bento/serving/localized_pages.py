"""Fill the pages of the folder web/pages/ with texts in the visitor's language, and with the visitor's colours.

The service does this, not the page's script, so that no visitor sees texts in another language, or a light page that
turns dark, while the script loads. The texts are in web/texts.json: by key and language. A page names the keys:
`data-text` for the content of an element, `data-text-label` and others (see `_FILLED`) for its attributes. The
element with the id `texts` receives all texts in the language, as JSON for web/common/texts.js.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

WEB = Path(__file__).parent / "web"

# The first one is for visitors who prefer none of them.
LANGUAGES = ("en", "de")
# `system`: as the visitor's system is.
THEMES = ("system", "light", "dark")

# Cookies in which web/common/preferences.js keeps what the visitor chose.
LANGUAGE_COOKIE = "sam3d-language"
THEME_COOKIE = "sam3d-theme"

# Attribute that each `data-text…` fills, by the end of its name.
_FILLED = {
    "-label": "aria-label",
    "-placeholder": "placeholder",
    "-roledescription": "aria-roledescription",
    "-title": "title",
}
_START_TAG = re.compile(r"<\w[^<>]*\sdata-text[^<>]*>")
_KEY = re.compile(r'\sdata-text(-\w+)?="([^"]+)"')
_ROOT = '<html lang="en">'
_TEXTS = '<script type="application/json" id="texts">'


@dataclass(frozen=True)
class LocalizedPage:
    """A page as it is sent. etag: changes with the content."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> LocalizedPage:
        """Return the page with this content."""
        return cls(content, f'W/"{hashlib.sha256(content).hexdigest()[:32]}"')

    def with_head(self, head: str) -> LocalizedPage:
        """Return the page with more HTML at the end of its head."""
        return self.of(self.content.replace(b"</head>", head.encode() + b"</head>", 1)) if head else self


def language_of(asked: str | None, kept: str | None, accepted: str) -> str:
    """Return the language of a page, one of LANGUAGES.

    asked: the address's `lang`. kept: the visitor's earlier choice. accepted: the header `Accept-Language`. The first
    of them that names a language of ours decides.
    """
    for choice in (asked, kept, *_by_preference(accepted)):
        if choice in LANGUAGES:
            return choice
    return LANGUAGES[0]


def _by_preference(accepted: str) -> list[str]:
    """Return the languages of an `Accept-Language` header (RFC 9110), the preferred one first, without regions."""
    weights: dict[str, float] = {}
    for entry in accepted.split(","):
        name, _, weight = entry.partition(";q=")
        try:
            value = float(weight or 1)
        except ValueError:
            value = 0.0
        if value > 0:
            weights.setdefault(name.strip().lower().partition("-")[0], value)
    return sorted(weights, key=lambda name: -weights[name])  # sorting is stable: equal weights keep their order


def theme_of(kept: str | None) -> str:
    """Return the choice of colours, one of THEMES. kept: the visitor's earlier choice."""
    return kept if kept in THEMES else THEMES[0]


@cache  # the files do not change while the service runs
def localized(name: str, language: str, theme: str) -> LocalizedPage:
    """Return a page of the folder web/pages/ with the texts and colours filled in."""
    texts = texts_in(language)
    page = (WEB / "pages" / name).read_text()
    page = page.replace(_ROOT, f'<html lang="{language}" data-theme="{theme}">', 1)
    page = _START_TAG.sub(lambda tag: _filled(tag.group(), texts), page)
    page = page.replace(_TEXTS, _TEXTS + json.dumps(texts, ensure_ascii=False).replace("<", r"\u003c"), 1)
    return LocalizedPage.of(page.encode())


def texts_in(language: str) -> dict[str, Any]:
    """Return the texts in a language by key. A text that depends on a number is a mapping, by plural category."""
    return {key: languages[language] for key, languages in json.loads((WEB / "texts.json").read_text()).items()}


def _filled(tag: str, texts: Mapping[str, str]) -> str:
    """Return a start tag with the attributes, and followed by the content, that it names."""
    attributes, content = "", ""
    for kind, key in _KEY.findall(tag):
        text = html.escape(texts[key])
        if kind:
            attributes += f' {_FILLED[kind]}="{text}"'
        else:
            content = text
    return f"{tag[:-1]}{attributes}>{content}"
