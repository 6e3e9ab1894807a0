"""From a request's body to its files and texts, whatever HTTP library wrote it.

Many libraries write neither a filename nor a type. So what a part or a body holds decides whether it is a file; the
rules are those of `_file` and `read_raw`.
"""

from __future__ import annotations

import anyio.to_thread
from python_multipart.exceptions import FormParserError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from sam3d_bento.errors import BadRequest, TooLarge, UnsupportedMedia, shown
from sam3d_bento.options import Options
from sam3d_bento.serving.request_context import reservation
from sam3d_bento.serving.routes import multipart
from sam3d_bento.serving.uploads import Upload
from sam3d_bento.settings import MOST_OBJECTS

# Four files and some thirty options; more is no form of ours. An option's text is short.
MAX_PARTS = 44
MAX_TEXT_BYTES = 4096
# Of the list of a scene's objects: run lengths of sixteen masks with frayed outlines.
MAX_OBJECTS_BYTES = 2_000_000

PHOTO_FIELDS = ("image", "file")
DEPTH_FIELDS = ("depth", "pointmap")
SCENE_FIELDS = ("masks", "labels")
FILE_FIELDS = (*PHOTO_FIELDS, "mask", *DEPTH_FIELDS, *SCENE_FIELDS)
# The only field that may be sent several times, at most as often as a scene may have objects.
REPEATED_FIELD = "masks"
# A text that may come as a file, as clients write JSON.
OBJECTS_FIELD = "objects"
TEXT_FIELDS = frozenset({*Options.model_fields, "response", "format", OBJECTS_FIELD})
# Not an option: it names the charset of the form's texts (RFC 7578, section 4.6).
CHARSET_FIELD = "_charset_"
MAX_CHARSET_BYTES = 40  # of a charset's name: RFC 2978, section 2.3

FILES_BELONG = " Send the photo in 'image', a mask in 'mask', its depth in 'depth'."
NEXT_STEP = (
    "Send the photo's file as multipart/form-data in the field 'image', or as the body with an image/* media type."
)

# What HTTP libraries write above bytes whose type they were not given. Most write none (fetch, requests, httpx, Go,
# .NET, OkHttp); form-urlencoded is the default of curl --data-binary, wget, urllib.request, Java's HttpURLConnection,
# Swift's URLSession, axios and PowerShell; binary/octet-stream is Amazon S3's; JSON and text/plain are what a client
# writes that is set up for an API of JSON or texts.
UNSPECIFIC_TYPES = frozenset(
    {"", "*/*", "application/json", "application/x-www-form-urlencoded", "binary/octet-stream", "text/plain"}
)


def media_type(request: Request) -> str:
    """Return the media type of the body in lower case, without parameters; "" where there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _content(request: Request) -> Upload:
    """Read the body. `request.body()` would keep it in memory, and until the response has been sent."""
    body = Upload()
    async for chunk in request.stream():
        await body.write(chunk)
    return body


async def read_raw(request: Request) -> Upload:
    """Read a photo that is the body. Raises UnsupportedMedia that says what to send instead.

    Under the types that HTTP libraries write for bytes whose type they were not given, a body is a photo when it holds
    a byte that no text has.
    """
    found = media_type(request)
    if found.startswith("image/") or found == "application/octet-stream":
        return _kept(await _content(request), request)
    if found in UNSPECIFIC_TYPES:
        body = await _content(request)
        if await anyio.to_thread.run_sync(lambda: multipart.is_binary(body.view())):
            return _kept(body, request)
    raise UnsupportedMedia(f"{_what_came(found)} {NEXT_STEP}")


def _kept(file: Upload, request: Request) -> Upload:
    """Return the file, which holds its share of what the request has reserved from now on."""
    if (reserved := reservation(request)) is not None:
        file.keep(reserved.hand_over(len(file)))
    return file


def _what_came(found: str) -> str:
    """Return the sentence about a media type that no photo has."""
    if found.endswith(("/json", "+json")):
        return "JSON and base64 are not read here."
    if found == "application/x-www-form-urlencoded":
        return "A form of this type (application/x-www-form-urlencoded) carries no file."
    return f"The body's type is {shown(found)}." if found else "The body has no type."


async def read_urlencoded(request: Request) -> list[tuple[str, str]]:
    """Read the texts of a form-urlencoded body. Raises BadRequest."""
    try:
        async with request.form(max_fields=MAX_PARTS, max_part_size=MAX_TEXT_BYTES) as form:
            return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    except HTTPException as exc:
        raise BadRequest(f"The form cannot be read: {exc.detail}") from exc
    except (FormParserError, ValueError) as exc:
        raise BadRequest("The form cannot be read.") from exc


# Files of a form by their fields, of which all but REPEATED_FIELD have one.
Files = dict[str, list[Upload]]


async def read_form(request: Request, hint: str = FILES_BELONG) -> tuple[Files, list[tuple[str, str]]]:
    """Read a multipart form: its files by field, and its texts.

    Other multipart types, such as OkHttp's multipart/mixed, are read as long as all parts have names. hint: what the
    refusal of a file in another field says more. Raises BadRequest, UnsupportedMedia.
    """
    body = await _content(request)
    if body.spooled:  # to search it takes milliseconds
        files, texts = await anyio.to_thread.run_sync(_split, body, request.headers["content-type"], hint)
    else:
        files, texts = _split(body, request.headers["content-type"], hint)
    body.close()
    return {name: [_kept(file, request) for file in sent] for name, sent in files.items()}, texts


def _split(body: Upload, content_type: str, hint: str) -> tuple[Files, list[tuple[str, str]]]:
    """Return the files by field, and the texts, of a form. Arguments and errors as of `read_form`."""
    parts = multipart.parse(body.view(), content_type, MAX_PARTS + MOST_OBJECTS)
    count = sum(part.name != REPEATED_FIELD for part in parts)
    if count > MAX_PARTS:
        raise BadRequest(f"The form has {count} parts beside '{REPEATED_FIELD}'; it may have {MAX_PARTS}.")
    named = next((bytes(part.content[:MAX_CHARSET_BYTES]) for part in parts if part.name == CHARSET_FIELD), b"")
    charset = multipart.decoded(named, "ascii") or multipart.form_charset(content_type)
    form_type = content_type.partition(";")[0].strip().lower()
    files: Files = {}
    texts: list[tuple[str, str]] = []
    for part in parts:
        if not part.name and form_type != "multipart/form-data":
            raise UnsupportedMedia(f"The body's type is {shown(form_type)}. {NEXT_STEP}")
        if not part.name:
            raise BadRequest("The form cannot be read: a part's Content-Disposition has no name.")
        if part.name in FILE_FIELDS:
            for file in _files(part):
                if part.name in files and part.name != REPEATED_FIELD:
                    raise BadRequest(f"The field '{part.name}' was sent twice. It takes one file.")
                files.setdefault(part.name, []).append(Upload(file.content, file.filename))
        elif part.name == OBJECTS_FIELD:
            texts.append((part.name, _objects(part, charset)))
        elif part.name != CHARSET_FIELD:
            texts.append((part.name, _text(part, charset, hint)))
    return files, texts


def _objects(part: multipart.Part, charset: str) -> str:
    """Return the text of OBJECTS_FIELD, with or without a file name. Raises BadRequest and TooLarge."""
    if len(part.content) > MAX_OBJECTS_BYTES:
        raise TooLarge(f"The field '{OBJECTS_FIELD}' takes at most {MAX_OBJECTS_BYTES:,} bytes. Send masks in 'masks'.")
    if part.binary:
        raise BadRequest(f"The field '{OBJECTS_FIELD}' takes JSON, not a picture. Send masks in 'masks'.")
    return part.text(charset)


def _files(part: multipart.Part) -> list[multipart.Part]:
    """Return the parts with the files of one of FILE_FIELDS; none where a form leaves the field out.

    Many HTTP libraries write no filename (RFC 7578, section 4.2, only says SHOULD) and no Content-Type, or text/plain.
    So a part is a file when it has a filename, an image type, or a byte that no text has. What is left is a text: an
    address, base64, a path.
    """
    if part.filename is None and part.nested:  # several files in one field, as RFC 2388 had it; curl still can
        inner = multipart.parse(part.content, part.content_type, MAX_PARTS)
        if len(inner) != 1 and part.name != REPEATED_FIELD:
            raise BadRequest(f"The field '{part.name}' holds {len(inner)} parts. It takes one file.")
        return inner
    if not part.content and not part.filename:  # a browser sends this for a file that was not chosen
        return []
    if part.filename is not None or part.media_type.startswith("image/") or part.binary:
        return [part]
    raise BadRequest(not_a_file(part.name, multipart.decoded(bytes(part.content[:MAX_TEXT_BYTES]), "utf-8")))


def not_a_file(name: str, text: str) -> str:
    """Return the sentence about a text that stands where a file belongs."""
    text = text.strip()
    if "://" in text[:12]:
        step = "Addresses are not fetched: download the file and send its bytes."
    elif text.startswith("data:") or (len(text) > 100 and " " not in text[:100]):
        step = "Base64 is not read here: decode it and send the bytes."
    else:
        step = f"Send the file's bytes, as curl does with -F {name}=@photo.jpg."
    return f"The field '{name}' takes a file, not a text. {step}"


def _text(part: multipart.Part, charset: str, hint: str) -> str:
    """Return the text in a part of any other field. Raises BadRequest for a file: its field's name is wrong."""
    known = part.name in TEXT_FIELDS
    short = len(part.content) <= MAX_TEXT_BYTES
    text = part.text(charset) if short else ""
    if short and (known or not part.filename) and not multipart.BINARY.search(text.encode("utf-8", "replace")):
        return text
    problem = f"takes a text of at most {MAX_TEXT_BYTES} bytes" if known else "is not known"
    raise BadRequest(f"The field '{shown(part.name)}' {problem}.{hint}")
