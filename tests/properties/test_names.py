"""Any text at all as a name: what tests/test_names.py shows with a few."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from sam3d_bento import names

pytestmark = pytest.mark.properties

ODD = [
    *' ./\\-_~:?*<>|"#%\t\n\0',
    "\u202e",
    "\u200d",
    "\u200c",
    "\u0301",
    "\u0338",
    "\ud800",
    "CON",
    "com1",
    "nul",
    "🪑",
    "é",
]
TEXT = some.text() | some.lists(some.sampled_from(ODD) | some.characters(), max_size=200).map("".join)


@settings(max_examples=5000, deadline=None)
@given(TEXT)
@example("con" + "\u200c" * 70 + "x")
def test_any_text_gives_a_clean_name(text):
    name = names.cleaned(text)
    assert names.cleaned(name) == name
    assert 1 <= len(name) <= names.MAX_CHARACTERS
    assert len(name.encode()) <= names.MAX_BYTES
    assert unicodedata.is_normalized("NFC", name)
    assert not set(name) & set('/\\<>:"|?*')
    assert name == name.strip(" .")
    assert name.partition(".")[0].strip().upper() not in {"CON", "PRN", "AUX", "NUL", "COM1", "LPT1"}


@settings(max_examples=5000, deadline=None)
@given(TEXT)
@example("_\u200c-")
def test_a_clean_name_survives_as_the_name_of_a_file(text):
    """The command line sends a name to a server as the photo's file name. One of separators alone says nothing."""
    name = names.cleaned(text)
    says_something = name.strip("_-. \u200c\u200d")
    assert names.of_file(f"{name}.jpg") == (name if says_something else None)
