"""Forms as RFC 7578 and RFC 2046 allow them, and as no rule allows them."""

import base64
import quopri
import string
from datetime import timedelta

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some

from sam3d_bento.errors import BadRequest
from sam3d_bento.serving.routes import multipart

PHOTO = b"\x89PNG\r\n\x1a\n--b\r\n\0--b\n\xff"  # with a boundary's letters where no line of a boundary is
MAX_PARTS = 5


def parse(body, content_type="multipart/form-data; boundary=b", max_parts=MAX_PARTS):
    return multipart.parse(body, content_type, max_parts)


def form(*heads, content=b"x", end="\r\n"):
    """Return a form of one part with these header lines."""
    head = end.join(["--b", *heads, "", ""]).encode("latin-1")
    return head + content + f"{end}--b--{end}".encode()


NAMED = 'Content-Disposition: form-data; name="image"'


@pytest.mark.parametrize(
    ("body", "filename"),
    [
        (form(NAMED), None),
        (form(NAMED + '; filename="a.png"'), "a.png"),
        (form(NAMED + '; filename=""'), ""),
        (form(NAMED + "; filename=a.png"), "a.png"),
        (form("Content-Disposition: form-data; name=image; filename=a.png; filename*=utf-8''b.png"), "b.png"),
        (form("Content-Disposition: form-data; name=image; filename*=UTF-8''%E2%82%AC.png"), "€.png"),
        (form("Content-Disposition: form-data; name=image; filename*=iso-8859-1'de'%FCber.png"), "über.png"),
        (form("Content-Disposition: form-data; name=image; filename*=utf-8''%FF%zz.png"), "ÿ%zz.png"),
        (form("Content-Disposition: form-data; name=image; filename*=nonsense''a.png"), "a.png"),
        (form("Content-Disposition: form-data; name=image; filename*=a.png"), "*"),
        (form("Content-Disposition: form-data; name=image; filename*0*=utf-8''a; filename*1=.png"), "*"),
        (form(NAMED + r'; filename="a \"b\" \\ c.png"'), r'a "b" \ c.png'),
        (form(NAMED + '; filename="a;b=c.png"'), "a;b=c.png"),
        (form(NAMED + '; filename="%22%0D%0A.png"'), "%22%0D%0A.png"),
        (form(NAMED + '; filename="C:\\photos\\a.png"'), "a.png"),
        (form(NAMED + '; filename="€.png"'.encode().decode("latin-1")), "€.png"),
        (form(NAMED + '; filename="\xe9.png"'), "é.png"),
        (form("content-disposition:FORM-DATA;NAME=image;FILENAME=a.png"), "a.png"),
        (form('Content-Disposition: form-data; \r\n\tname="image";\r\n filename="a.png"'), "a.png"),
        (form('Content-Disposition: form-data; filename="a.png"; name="image"'), "a.png"),
        (form('Content-Disposition: form-data ; name = "image" ; filename = "a.png"'), "a.png"),
        (form('Content-Disposition: attachment; name="image"; filename="a.png"'), "a.png"),
        (form("X-Before: 1", NAMED, "MIME-Version: 1.0", "Content-Length: 1", *[f"X-{n}: y" for n in range(50)]), None),
        (form(NAMED, end="\n"), None),
        (b"This is a multi-part message in MIME format.\r\n\r\n" + form(NAMED), None),
        (b"--bc\r\n--b-\r\n" + form(NAMED), None),
        (b"\r\n\r\n" + form(NAMED), None),
        (form(NAMED) + b"an epilogue\r\n--b\r\n\r\nwhich is left out", None),
        (form(NAMED).replace(b"--b\r\n", b"--b \t \r\n"), None),
        (form(NAMED).replace(b"--b--\r\n", b"--b--"), None),
        (form(NAMED).replace(b"--b--\r\n", b"--b--garbage"), None),
        (form(NAMED).replace(b"--b--\r\n", b"--b\r\n"), None),
        (form(NAMED).replace(b"--b--\r\n", b"--b"), None),
        (form(NAMED).replace(b"--b--\r\n", b"--b\r\n\r\n"), None),
        (form(NAMED).replace(b"--b--\r\n", b""), None),
        (form(NAMED).replace(b"--b--\r\n", b"--b\r\nContent-Dis"), None),
        (form(NAMED).replace(b"\r\n--b--\r\n", b""), None),
    ],
)
def test_a_part_is_read_in_every_form_that_is_allowed(body, filename):
    (part,) = parse(body)
    assert (part.name, part.filename, part.content) == ("image", filename, b"x")


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="b"',
        "multipart/form-data;boundary=b",
        "multipart/form-data; BOUNDARY=b",
        'multipart/form-data; charset=utf-8; boundary="b"',
        'multipart/form-data; boundary = "b" ; charset=nonsense',
    ],
)
def test_the_boundary_may_be_written_in_several_ways(content_type):
    assert [part.name for part in parse(form(NAMED), content_type)] == ["image"]


@pytest.mark.parametrize("content", [b"", b"\r\n", b"x\r\n", b"\r\n\r\n", b"\n", b"x\r", b"--", b"-", PHOTO])
def test_a_content_is_kept_to_the_byte(content):
    assert parse(form(NAMED, content=content))[0].content == content


def test_a_part_may_be_all_head():
    parts = parse(f"--b\r\n{NAMED}\r\n--b\r\n{NAMED}\r\n\r\n--b--".encode())
    assert [(part.name, part.content) for part in parts] == [("image", b""), ("image", b"")]


BOUNDARY_SIGNS = string.ascii_letters + string.digits + "'()+_,-./:=?"  # RFC 2046, section 5.1.1


@settings(max_examples=150, deadline=timedelta(seconds=5), derandomize=True, database=None)
@given(
    boundary=some.text(BOUNDARY_SIGNS, min_size=1, max_size=70),
    contents=some.lists(some.binary(max_size=60), min_size=1, max_size=4),
    line_end=some.sampled_from([b"\r\n", b"\n"]),
    preamble=some.sampled_from([b"", b"a preamble"]),
    padding=some.sampled_from([b"", b" ", b"\t "]),
)
def test_any_contents_come_back_as_they_were(boundary, contents, line_end, preamble, padding):
    mark = b"--" + boundary.encode()
    assume(not any(mark in content for content in contents))
    head = b'Content-Disposition: form-data; name="image"' + line_end
    body = preamble + line_end if preamble else b""
    for content in contents:
        body += mark + padding + line_end + head + line_end + content + line_end
    parts = parse(body + mark + b"--" + line_end, f'multipart/form-data; boundary="{boundary}"')
    assert [part.content for part in parts] == contents


@settings(max_examples=150, deadline=timedelta(seconds=5), derandomize=True, database=None)
@given(content=some.binary(max_size=200))
def test_a_content_in_a_transfer_encoding_is_decoded(content):
    for name, encoded in (("base64", base64.encodebytes(content)), ("Quoted-Printable", quopri.encodestring(content))):
        assume(encoded != content and b"\r\n" not in content)  # quopri writes CR LF as LF
        body = form(NAMED, f"Content-Transfer-Encoding: {name}", content=encoded)
        assert parse(body)[0].content in (content, content + b"\n"), "a soft line break at the very end may be left"


@pytest.mark.parametrize("encoding", ["binary", "8bit", "7bit", "base64", "quoted-printable", "x-uuencode", "gzip", ""])
def test_a_photo_that_was_not_encoded_is_kept_whatever_its_header_says(encoding):
    assert parse(form(NAMED, f"Content-Transfer-Encoding: {encoding}", content=PHOTO))[0].content == PHOTO


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        ("text/plain", b"7", "7"),
        ("text/plain; charset=utf-8", "é".encode(), "é"),
        ('text/plain; charset="UTF-8"', b"\xef\xbb\xbf7", "7"),
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ("text/plain; charset=utf-16", b"\xfe\xff\x007", "7"),
        ("text/plain; charset=utf-16le", b"7\x00", "7"),
        ("text/plain; charset=nonsense", b"7", "7"),
        ("text/plain; charset=hex", b"37", "37"),
        ("text/plain; charset=utf-8", b"\xff", "ÿ"),
        ("", "é".encode(), "é"),
    ],
)
def test_a_text_is_read_by_its_charset(content_type, content, text):
    assert parse(form(NAMED, f"Content-Type: {content_type}", content=content))[0].text("utf-8") == text


def test_a_name_is_read_by_the_charset_of_the_form():
    body = form('Content-Disposition: form-data; name="\xe9"')
    assert parse(body, "multipart/form-data; boundary=b; charset=iso-8859-1")[0].name == "é"
    assert parse(body)[0].name == "é", "no UTF-8, so taken for Latin-1"


@pytest.mark.parametrize(
    ("content", "binary"),
    [
        (b"\x89PNG\r\n\x1a\n", True),
        (b"\0", True),
        (b"https://example.com/a.png", False),
        ("eine Zeile\r\n\tnoch eine é".encode(), False),
        (b"\x1b[0m", False),
        (b"", False),
    ],
)
def test_binary_is_what_no_text_has(content, binary):
    assert parse(form(NAMED, content=content))[0].binary is binary


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (form(NAMED), "multipart/form-data", "names no boundary"),
        (form(NAMED), 'multipart/form-data; boundary=""', "not in the body"),
        (form(NAMED), f"multipart/form-data; boundary={'x' * 257}", "longer than 256 bytes"),
        (form(NAMED), "multipart/form-data; boundary=c", "not in the body"),
        (b"", "multipart/form-data; boundary=b", "not in the body"),
        (b"x--b\r\n\r\n\r\nx--b--", "multipart/form-data; boundary=b", "not in the body"),
        (form("no header at all"), "multipart/form-data; boundary=b", "without a colon"),
        (form(*["X: y"] * 10_000), "multipart/form-data; boundary=b", "headers are longer"),
        (form("X: " + "y" * 5000), "multipart/form-data; boundary=b", "header is longer"),
        (b"--b\r\n" + b"x" * 50_000 + b"\r\n--b--", "multipart/form-data; boundary=b", "headers are longer"),
        (form(NAMED)[:-7] * (MAX_PARTS + 1), "multipart/form-data; boundary=b", f"more than {MAX_PARTS} parts"),
    ],
)
def test_body_that_is_not_a_form_is_refused_with_the_reason(body, content_type, problem):
    with pytest.raises(BadRequest, match=problem):
        parse(body, content_type)


def test_a_form_without_parts_is_a_form():
    assert parse(b"--b--\r\n") == []
