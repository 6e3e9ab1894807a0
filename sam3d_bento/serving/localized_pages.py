"""Write the pages of the folder web/pages/ in the visitor's language, and with the visitor's choice of colours.

The service does this, not the page's script, so that no visitor sees texts in another language, or a light page that
turns dark, while the script loads. The pages are templates of Jinja; their head and header are in base.html. The texts
are in web/texts.json, by key and language. A page asks for one with `text('photo.choose')`. The element with the id
`texts` receives all texts in the language, as JSON for web/common/texts.js.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

WEB = Path(__file__).parent / "web"

# Languages by their codes. The first one is for visitors who prefer none of them.
LANGUAGES = {"en": "English", "de": "Deutsch"}
# `system`: as the visitor's system is.
THEMES = ("system", "light", "dark")

# Cookies in which web/common/preferences.js keeps what the visitor chose.
LANGUAGE_COOKIE = "sam3d-language"
THEME_COOKIE = "sam3d-theme"

_environment = Environment(
    loader=FileSystemLoader(WEB / "pages"),
    autoescape=True,
    auto_reload=False,  # the files do not change while the service runs
    keep_trailing_newline=True,
    lstrip_blocks=True,
    trim_blocks=True,
    undefined=StrictUndefined,
)
_environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # as UTF-8, umlauts are shorter


@dataclass(frozen=True)
class LocalizedPage:
    """A page as it is sent. etag: changes with the content."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes) -> LocalizedPage:
        """Return the page with this content."""
        return cls(content, f'W/"{hashlib.sha256(content).hexdigest()[:32]}"')


def language_of(asked: str | None, kept: str | None, accepted: str) -> str:
    """Return the language of a page, a code of LANGUAGES.

    asked: the address's `lang`. kept: the visitor's earlier choice. accepted: the header `Accept-Language`. The first
    of them that names a language of ours decides.
    """
    for choice in (asked, kept, *_by_preference(accepted)):
        if choice in LANGUAGES:
            return choice
    return next(iter(LANGUAGES))


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


def localized(name: str, language: str, theme: str, preview: Mapping[str, str] | None = None) -> LocalizedPage:
    """Return a page of the folder web/pages/ with the texts and colours filled in.

    preview: what programs that preview links show, by property of the Open Graph protocol (ogp.me).
    """
    texts = texts_in(language)
    page = _environment.get_template(name).render(
        language=language,
        languages=LANGUAGES,
        preview=preview or {},
        text=texts.__getitem__,
        texts=texts,
        theme=theme,
    )
    return LocalizedPage.of(page.encode())


@cache  # the file does not change while the service runs
def texts_in(language: str) -> dict[str, Any]:
    """Return the texts in a language by key. A text that depends on a number is a mapping, by plural category."""
    return {key: languages[language] for key, languages in json.loads((WEB / "texts.json").read_text()).items()}
