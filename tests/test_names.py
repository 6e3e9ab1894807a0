import sys
import unicodedata

import pytest

from sam3d_bento import names
from sam3d_bento.errors import BadRequest
from sam3d_bento.options import Options, checked


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("chair", "chair"),
        ("Red chair, no. 3 (final)", "Red chair, no. 3 (final)"),
        ("стул", "стул"),
        ("椅子", "椅子"),
        ("كرسي", "كرسي"),
        ("صندلی‌ها", "صندلی‌ها"),  # with a zero width non-joiner, as Persian is written
        ("🪑", "🪑"),
        ("👩‍🚀", "👩‍🚀"),  # one letter of two, joined
        ("cafe\u0301", "caf\u00e9"),  # as macOS writes it
        ("photos/red/chair", "chair"),
        (r"C:\photos\chair", "chair"),
        ("../../etc/passwd", "passwd"),
        ("chair/", "chair"),
        ("chair/..", "chair"),
        ("..", "object"),
        ("", "object"),
        (" \t\n", "object"),
        ("\u202egpj.riahc", "gpj.riahc"),
        ("a\u200b\u2066b\ufeff", "ab"),
        ("a\0b\x1b[31mc\x7f", "ab[31mc"),
        ("a\r\nX-Evil: 1", "a X-Evil_ 1"),
        ("a\u2028b  c", "a b c"),
        ('<a>:"b"|c?*', "_a___b__c__"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("trailing. .", "trailing"),
        ("CON", "_CON"),
        ("nul.v2", "_nul.v2"),
        ("com¹", "_com¹"),
        ("lpt9 .x", "_lpt9 .x"),
        ("console", "console"),
        ("\u200d\u200c", "object"),
        ("\ud800", "object"),
        ("x" * 100, "x" * 64),
        ("🪑" * 100, "🪑" * 50),
        ("con" + "\u200c" * 70 + "x", "_con"),
    ],
)
def test_a_name_is_what_can_be_a_files_name_everywhere(text, name):
    assert names.cleaned(text) == name
    assert names.cleaned(name) == name, "a clean name stays"


@pytest.mark.properties
def test_any_character_alone_and_between_others_gives_a_name():
    for number in range(sys.maxunicode + 1):
        for text in (chr(number), f"a{chr(number)}b"):
            name = names.cleaned(text)
            assert name
            assert not {unicodedata.category(letter) for letter in name if letter not in "\u200c\u200d"} & {
                "Cc",
                "Cf",
                "Cs",
                "Zl",
                "Zp",
            }
            assert not set(name) & set('/\\<>:"|?*')


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("chair.jpg", "chair"),
        ("chair.final.v2.jpeg", "chair.final.v2"),
        ("IMG_1234", "IMG_1234"),
        (r"C:\Users\me\chair.png", "chair"),
        ("/C:/Users/me/chair.png", "chair"),
        ("фото.heic", "фото"),
        ("con.png", "_con"),
        (".jpg", None),
        ("????.png", None),
        ("*", None),
        ("", None),
        ("folder/", None),
    ],
)
def test_a_result_is_called_like_its_file_without_the_suffix(file_name, name):
    assert names.of_file(file_name) == name
    assert Options().named_after(file_name).result_name == (name or "object")


def test_the_option_comes_before_the_file():
    assert Options(name="throne").named_after("chair.jpg").name == "throne"
    assert Options(name="?").named_after("chair.jpg").name == "_"
    assert Options().named_after(None).name is None
    assert Options().result_name == "object"


def test_an_option_is_cleaned_and_one_that_is_no_name_is_refused():
    assert checked({"name": "../a:b"}).name == "a_b"
    assert checked({"name": "стул"}, strict=True).name == "стул"
    for value in (7, ["a"], "x" * 1025):
        with pytest.raises(BadRequest, match="'name'"):
            checked({"name": value}, strict=True)
