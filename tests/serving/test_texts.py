"""The studio's texts: complete in each language, and nowhere but in web/texts.json."""

import json
import re
from html.parser import HTMLParser
from typing import get_args

import pytest

from sam3d_bento import errors
from sam3d_bento.formats import FormatOptions
from sam3d_bento.options import PRESETS, USED_VALUES, Options, listed_values
from sam3d_bento.reconstruction import MaskSource
from sam3d_bento.serving.localized_pages import LANGUAGES, WEB
from sam3d_bento.settings import EngineName
from sam3d_bento.submission import STAGES
from sam3d_bento.warning_codes import WarningCode

CATALOGUE = json.loads((WEB / "texts.json").read_text())
PAGES = sorted(WEB.glob("pages/*.html"))
SCRIPTS = sorted(script for script in WEB.glob("*/*.js") if script.parent.name != "vendor")

# Plural forms that `Intl.PluralRules` knows for our languages.
PLURAL_FORMS = {"one", "other"}
# Attributes that are read out or shown.
SPOKEN = {"aria-label", "aria-roledescription", "alt", "placeholder", "title"}

WORDS = re.compile(r"[^\W\d_]{2}")
COMMENTS = re.compile(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", re.DOTALL)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
# What a template takes from elsewhere, and the keys that it names.
TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
NAMED = re.compile(r"\btext\('([^']+)'\)")
# A call with a whole key, or with the beginning of one.
CALL = re.compile(r"\btext(?:Or)?\(\s*(?:\"([^\"]+)\"|`([^`$]+)(\$\{)?)")


def forms(entry):
    """The sentences of an entry in one language."""
    return [entry] if isinstance(entry, str) else list(entry.values())


def placeholders(sentence):
    return set(re.findall(r"\{(\w+)\}", sentence))


def code_of(script):
    return COMMENTS.sub("", script.read_text())


def faults(languages):
    """What is wrong with an entry of the catalogue."""
    if list(languages) != list(LANGUAGES):
        return "not one text for each language, in their order"
    sentences = [sentence for entry in languages.values() for sentence in forms(entry)]
    if not all(sentence.strip() for sentence in sentences):
        return "an empty text"
    if len({frozenset(placeholders(sentence)) for sentence in sentences}) > 1:
        return "texts with different placeholders"
    plural = [entry for entry in languages.values() if not isinstance(entry, str)]
    if any(set(entry) != PLURAL_FORMS or "count" not in placeholders(entry["other"]) for entry in plural):
        return "plural forms that are not `one` and `other` with {count}"
    return None


def test_a_text_is_there_in_each_language_with_the_same_placeholders():
    found = {key: faults(languages) for key, languages in CATALOGUE.items()}
    assert {key: fault for key, fault in found.items() if fault} == {}


def test_the_catalogue_has_one_key_a_line_in_alphabetical_order():
    lines = (WEB / "texts.json").read_text().splitlines()
    assert [line.split('"')[1] for line in lines[1:-1]] == sorted(CATALOGUE)


class Reader(HTMLParser):
    """Notes words that stand in a page itself."""

    # Their content is no text, or in the language that it names.
    SILENT = ("script", "style")

    def __init__(self):
        super().__init__()
        self.words, self.silent = [], None

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.words += [text for name, text in attributes if name in SPOKEN and WORDS.search(text or "")]
        if tag in self.SILENT or (tag != "html" and "lang" in given):
            self.silent = tag

    def handle_endtag(self, tag):
        if tag == self.silent:
            self.silent = None

    def handle_data(self, data):
        if self.silent is None and WORDS.search(data):
            self.words.append(data)


def own_words(page):
    reader = Reader()
    reader.feed(TEMPLATE.sub("", page.read_text()))
    return reader.words


def keys_of_pages():
    return {key for page in PAGES for key in NAMED.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_no_text_of_its_own(page):
    assert own_words(page) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_has_no_text_of_its_own(script):
    code = code_of(script)
    literals = [double or template for double, template in LITERAL.findall(code)]
    assert [text for text in literals if re.match(r"[A-Z][^\W\d_]*,? [^\W\d_]", text)] == [], "a sentence"
    shown = re.findall(r"(?:textContent|title|alt|placeholder|ariaLabel)(?::| =) ?[\"`]([^\"`]*)", code)
    shown += re.findall(r"(?:announce|showPause)\([\"`]([^\"`]*)", code)
    shown += re.findall(r"setAttribute\(\"aria-label\", [\"`]([^\"`]*)", code)
    assert [text for text in shown if WORDS.search(re.sub(r"\$\{[^}]*", "", text))] == []


def used():
    """The keys that pages and scripts name, and the beginnings of keys that scripts complete."""
    keys, beginnings = keys_of_pages(), set()
    for code in map(code_of, SCRIPTS):
        keys |= {literal for literal, _ in LITERAL.findall(code) if literal in CATALOGUE}
        for whole, beginning, goes_on in CALL.findall(code):
            (beginnings if goes_on else keys).add(whole or beginning)
    return keys, beginnings


def test_every_text_that_is_named_is_there_and_every_text_there_is_named():
    keys, beginnings = used()
    assert keys <= set(CATALOGUE)
    assert [beginning for beginning in beginnings if not any(key.startswith(beginning) for key in CATALOGUE)] == []
    assert [key for key in CATALOGUE if key not in keys and not key.startswith(tuple(beginnings))] == []


def test_the_texts_in_pages_have_no_placeholders_and_no_forms():
    for key in keys_of_pages():
        for entry in CATALOGUE[key].values():
            assert isinstance(entry, str)
            assert not placeholders(entry)


def codes(*prefixes):
    """What stands behind a prefix in keys, without parts of it."""
    return {
        key.removeprefix(prefix).partition(".")[0] for prefix in prefixes for key in CATALOGUE if key.startswith(prefix)
    }


def test_every_error_of_the_service_has_a_title_and_a_sentence():
    for code in errors.by_code():
        assert {f"problem.{code}.title", f"problem.{code}.text"} <= set(CATALOGUE)


def test_every_warning_has_a_sentence_and_no_other_has():
    assert codes("warning.") == set(WarningCode)
    assert codes("mask.warning.") <= set(WarningCode)


def test_every_option_that_the_studio_offers_has_its_words():
    """The page shows what it does not know as the API names it, in English."""
    elsewhere = re.search(r"const ELSEWHERE = (\[.*\]);", (WEB / "run" / "options_form.js").read_text())
    offered = (Options.model_fields.keys() | FormatOptions.model_fields.keys()) - set(json.loads(elsewhere[1]))
    for name in offered:
        model = Options if name in Options.model_fields else FormatOptions
        values = listed_values(model.model_fields[name].annotation) or ()
        words = [value for value in values if isinstance(value, str)]
        keys = {f"option.{name}", f"option.{name}.help"} | {f"option.{name}.value.{word}" for word in words}
        assert keys <= set(CATALOGUE), name


def test_every_option_that_a_report_has_has_its_words():
    for name in Options().model_dump(exclude=set(USED_VALUES)):
        assert {f"option.{name}", f"result.option.{name}"} & set(CATALOGUE), name
        for value in listed_values(Options.model_fields[name].annotation) or ():
            is_plain = isinstance(value, bool | int)  # "yes", "no", or the number
            assert is_plain or f"option.{name}.value.{value}" in CATALOGUE, name


def test_every_fact_of_a_result_has_its_words():
    """The page shows what it does not know as the report names it."""
    assert {f"result.engine.{name}" for name in get_args(EngineName)} <= set(CATALOGUE)
    assert {f"result.mask.{source}" for source in get_args(MaskSource)} <= set(CATALOGUE)


def test_every_preset_has_its_words():
    for name in ["none", *PRESETS]:
        assert {f"preset.{name}", f"preset.{name}.help"} <= set(CATALOGUE)


def test_every_stage_of_a_run_has_its_words():
    assert set(STAGES) <= codes("progress.")
