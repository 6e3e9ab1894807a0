"""The parts of a multipart/form-data body (RFC 7578, RFC 2046): bytes in, `Part`s out.

python-multipart, and starlette's parser on it, refuse what MIME allows: text before the first boundary, folded headers,
lines that end in LF. Starlette's also decides by `filename` alone whether a part is a file, although many HTTP
libraries write none. So the parts are split here, and `request_body` decides with all of a part at hand. A body is one
buffer, of which the parts are views: a large one is a mapped file (`uploads`), and none of it is copied.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart.multipart import parse_options_header

from sam3d_bento.errors import BadRequest

# RFC 2046 allows a boundary of 70 bytes; some libraries write longer ones.
MAX_BOUNDARY_BYTES = 256
# One header of a part. Libraries write a hundred bytes; a long file name, percent-encoded, has 2,300.
MAX_HEADER_BYTES = 4224
# All headers of one part: eight of the longest.
MAX_HEAD_BYTES = 40_000
# Of a name; no field's is longer than 20 bytes. A few charsets take quadratic time to decode.
MAX_NAME_BYTES = 1024

# Of one search. The regular expressions hold the interpreter for as long as they search, 10 ms for this many.
SEARCHED_BYTES = 1_000_000

# The bytes that no text has: the "binary data bytes" of the WHATWG's MIME Sniffing standard, section 3. Every image
# format that is read has some of them.
BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")

_BLANK_LINE = re.compile(rb"(?:\A|\r?\n)\r?\n")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_LINE_END = re.compile(rb"\r?\n")
# A file name as RFC 8187 has it: charset, language, percent-encoded bytes. RFC 7578 forbids it in a form, and .NET,
# older versions of urllib3 and others write it.
_EXTENDED_FILENAME = re.compile(rb";\s*filename\*\s*=\s*([\w-]+)'[^';]*'([^;\s]*)", re.IGNORECASE)
_ANY_EXTENDED_FILENAME = re.compile(rb";\s*filename\*", re.IGNORECASE)
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\s]")


@dataclass(frozen=True)
class Part:
    """Part of a form.

    name: "" if it has none. filename: None if it has none; "*" for a `filename*` that cannot be read.
    content_type: the header, unchanged; "" if it has none. content: a view of the body's bytes, or decoded bytes if the
    part's Content-Transfer-Encoding is base64 or quoted-printable.
    """

    name: str
    filename: str | None
    content_type: str
    content: bytes | memoryview

    @property
    def media_type(self) -> str:
        """Return the media type in lower case, without parameters; "" where there is none."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def nested(self) -> bool:
        """Return whether the content is a multipart body of its own. A mere `multipart/form-data` on a file is not."""
        return self.media_type.startswith("multipart/") and b"boundary" in _parameters(self.content_type)

    @property
    def charset(self) -> str | None:
        """Return the charset that the part's Content-Type names, None where it names none."""
        value = _parameters(self.content_type).get(b"charset")
        return value.decode("latin-1") if value else None

    @property
    def binary(self) -> bool:
        """Return whether the content holds a byte that no text has (`BINARY`)."""
        return is_binary(self.content)

    def text(self, charset: str) -> str:
        """Return the content as a text, by the part's own charset, else by `charset`."""
        return decoded(bytes(self.content), self.charset or charset).removeprefix("\ufeff")


def is_binary(content: bytes | memoryview) -> bool:
    """Return whether the content holds a byte that no text has (`BINARY`)."""
    return _holds(BINARY, content)


def _holds(pattern: re.Pattern[bytes], content: bytes | memoryview) -> bool:
    """Return whether a byte that the pattern describes is in the content; piece by piece, see SEARCHED_BYTES."""
    view = memoryview(content)
    return any(pattern.search(view[n : n + SEARCHED_BYTES]) for n in range(0, len(view), SEARCHED_BYTES))


def parse(body: bytes | memoryview, content_type: str, max_parts: int) -> list[Part]:
    """Split a form into its parts. content_type: the request's header, with the boundary.

    Names are decoded by the header's charset, else as UTF-8. Raises BadRequest for what is no form, and for more than
    `max_parts` parts.
    """
    parameters = _parameters(content_type)
    boundary = parameters.get(b"boundary")
    if boundary is None:
        raise BadRequest(
            "The form cannot be read: the header Content-Type names no boundary. "
            "Leave this header to the HTTP library, which writes it together with the form."
        )
    if len(boundary) > MAX_BOUNDARY_BYTES:
        raise BadRequest(f"The form cannot be read: its boundary is longer than {MAX_BOUNDARY_BYTES} bytes.")
    charset = form_charset(content_type)
    parts: list[Part] = []
    for section in _sections(body, boundary):
        if len(parts) == max_parts:
            raise BadRequest(f"The form cannot be read: it has more than {max_parts} parts.")
        parts.append(_part(section, charset))
    return parts


def form_charset(content_type: str) -> str:
    """Return the charset that a form's header names for its names and texts; UTF-8 where it names none."""
    return _parameters(content_type).get(b"charset", b"utf-8").decode("latin-1")


def decoded(content: bytes, charset: str) -> str:
    """Decode a text; as Latin-1, which every byte is, where the charset is unknown or not the content's."""
    try:
        return content.decode(charset)
    except (LookupError, ValueError):  # LookupError: also a codec between bytes and bytes, such as `hex`
        return content.decode("latin-1")


def _sections(body: bytes | memoryview, boundary: bytes) -> Iterator[memoryview]:
    """Yield what lies between the boundaries, heads included, without copying it: RFC 2046, section 5.1.1.

    What comes before the first boundary and after the closing one is left out. The line break before a boundary
    belongs to the boundary. The first boundary's line shows whether lines end in CRLF or in LF. HTTP already tells
    where a body ends, so a last part that is not closed is as complete as one that is.
    """
    mark = b"--" + re.escape(boundary)
    tail = rb"(?:(--)|[ \t]*(\r?\n|\Z))"
    found = re.compile(mark + tail).match(body) or re.compile(rb"\n" + mark + tail).search(body)
    if found is None:
        raise BadRequest("The form cannot be read: the boundary of the header Content-Type is not in the body.")
    line_end = found[2] or b"\r\n"
    delimiter = re.compile(line_end + mark + rb"(?:(--)|[ \t]*(?:" + line_end + rb"|\Z))")
    view = memoryview(body)
    while not found[1]:
        start, found = found.end(), delimiter.search(body, found.end())
        if found is None:
            if _has_head(view[start:]):
                closed_by_line = bytes(view[-len(line_end) :]) == line_end
                yield view[start : len(body) - len(line_end) if closed_by_line else len(body)]
            return
        yield view[start : found.start()]


def _has_head(section: memoryview) -> bool:
    """Return whether the head of a last part that is not closed is whole; else something was appended to the form."""
    blank = _BLANK_LINE.search(section, 0, MAX_HEAD_BYTES)
    return blank is not None and b"content-disposition:" in bytes(section[: blank.start()]).lower()


def _part(section: memoryview, charset: str) -> Part:
    blank = _BLANK_LINE.search(section, 0, MAX_HEAD_BYTES)
    if blank is None and len(section) > MAX_HEAD_BYTES:
        raise BadRequest(f"The form cannot be read: a part's headers are longer than {MAX_HEAD_BYTES} bytes.")
    head_end, content_start = blank.span() if blank else (len(section), len(section))
    headers = _headers(bytes(section[:head_end]))
    disposition = headers.get("content-disposition", b"")
    parameters = _parameters(disposition)
    name = parameters.get(b"name", b"")[:MAX_NAME_BYTES]
    return Part(
        name=decoded(name, "ascii" if name.isascii() else charset),
        filename=_filename(disposition, parameters, charset),
        content_type=headers.get("content-type", b"").decode("latin-1"),
        content=_transferred(section[content_start:], headers.get("content-transfer-encoding", b"")),
    )


def _filename(disposition: bytes, parameters: dict[bytes, bytes], charset: str) -> str | None:
    """Return the part's file name as `Part` has it. `filename*` comes before `filename` (RFC 6266, section 4.3)."""
    if extended := _EXTENDED_FILENAME.search(disposition):
        return decoded(unquote_to_bytes(extended[2])[:MAX_NAME_BYTES], extended[1].decode("latin-1"))
    name = parameters.get(b"filename", b"*" if _ANY_EXTENDED_FILENAME.search(disposition) else None)
    return None if name is None else decoded(name[:MAX_NAME_BYTES], charset)


def _headers(head: bytes) -> dict[str, bytes]:
    """Read a part's headers, by lower-case name. Of two with one name, the last counts."""
    headers = {}
    for line in _LINE_END.split(_FOLD.sub(b"", head)):
        if len(line) > MAX_HEADER_BYTES:
            raise BadRequest(f"The form cannot be read: a part's header is longer than {MAX_HEADER_BYTES} bytes.")
        name, colon, value = line.partition(b":")
        if not colon and line.strip():
            raise BadRequest("The form cannot be read: a part has a header without a colon.")
        headers[name.strip().lower().decode("latin-1")] = value.strip()
    return headers


def _parameters(header: str | bytes) -> dict[bytes, bytes]:
    return parse_options_header(header)[1]


def _transferred(content: memoryview, encoding: bytes) -> bytes | memoryview:
    """Undo a Content-Transfer-Encoding (RFC 2045, section 6), which old mail-like libraries write.

    Most libraries that name one send the bytes as they are. So only a content that can be of that encoding is decoded.
    """
    match encoding.lower():
        case b"base64" if not _holds(_NOT_BASE64, content):
            try:
                return binascii.a2b_base64(content)
            except binascii.Error:
                return content
        case b"quoted-printable" if not _holds(_NOT_ASCII, content) and not is_binary(content):
            return quopri.decodestring(bytes(content))
    return content
