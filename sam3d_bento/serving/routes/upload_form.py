"""From an HTTP request to a `Submission`: one reader for every route that takes a photo.

The photo comes as the multipart field `image` (or `file`, the same thing), or as the raw body; options as form fields
or in the query. Everything else is a 400 or 415 that names the field. Nothing is ever fetched from an address.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import bentoml
from bentoml.validators import ContentType
from pydantic import Field
from python_multipart.exceptions import FormParserError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from sam3d_bento.errors import BadRequest, Cancelled, UnsupportedMedia, shown
from sam3d_bento.options import (
    ColourSource,
    Compress,
    Options,
    Quality,
    Seed,
    Shape,
    TargetFaces,
    TextureFormat,
    TextureSize,
    checked,
)
from sam3d_bento.serving.routes import multipart
from sam3d_bento.submission import Submission

Delivery = Literal["file", "link"]

# Two files and a handful of options; more is no form of ours. An option's text is short.
MAX_PARTS = 36
MAX_TEXT_BYTES = 4096

# The request that BentoML is answering: it hands its API method only the fields, not the request.
incoming: ContextVar[Request] = ContextVar("incoming")

PHOTO_FIELDS = ("image", "file")
FILE_FIELDS = (*PHOTO_FIELDS, "mask")
TEXT_FIELDS = frozenset({*Options.model_fields, "response", "format"})
# Not an option: it names the charset of the form's texts (RFC 7578, section 4.6).
CHARSET_FIELD = "_charset_"
MAX_CHARSET_BYTES = 40  # of a charset's name; IANA allows no more

FILES_BELONG = " Send the photo in 'image', a mask in 'mask'."
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


class InferenceInput(bentoml.IODescriptor):  # type: ignore[misc]  # bentoml is untyped here
    """A photo, and how to reconstruct the object in it."""

    # BentoML 1.4.39 answers 500 to malformed forms, downloads from addresses in file fields, and stores uploads on
    # disk. So this class only describes the fields, for /docs.json and the Python client; `read` below reads them.
    # `= None` without Optional: Optional[Path] is unhashable there, and the import fails.
    image: Annotated[Path, ContentType("*/*"), Field(description="The photo: JPEG, PNG, WebP, AVIF, BMP, TIFF, GIF.")]
    mask: Annotated[
        Path, ContentType("*/*"), Field(description="White where the object is; the size of the upright photo.")
    ] = None  # type: ignore[assignment]
    seed: Seed = None
    texture_size: TextureSize = 1024
    target_faces: TargetFaces = 40_000
    quality: Quality = "standard"
    shape: Shape = "auto"
    colour_source: ColourSource = "auto"
    texture_format: TextureFormat = "png"
    compress: Compress = False
    response: Annotated[Delivery, Field(description="`link`: a JSON report with a download link.")] = "file"

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> InferenceInput:
        """Take nothing from the request, but keep it in `incoming`: the API method reads it itself."""
        incoming.set(request)
        nothing: InferenceInput = cls.model_construct(**dict.fromkeys(cls.model_fields))
        return nothing


@dataclass(frozen=True)
class Input:
    """A read request."""

    submission: Submission
    delivery: Delivery | None  # None: the caller did not say


async def read(request: Request, *, options: bool = True, delivery: bool = True) -> Input:
    """Read the request's photo, mask and options. options=False: only photo and mask are known fields.

    delivery=False: `response` is not a known field either.

    Raises BadRequest, UnsupportedMedia; Cancelled when the client goes away meanwhile.
    """
    try:
        if _media_type(request).startswith("multipart/"):
            files, texts = await _read_form(request)
        else:
            files, texts = {"image": await _read_raw(request)}, []
    except ClientDisconnect:
        raise Cancelled("The client went away during the upload.") from None
    fields = _unique([*texts, *request.query_params.multi_items()])
    asked = fields.pop("response", None) if options and delivery else None
    if asked not in (None, "file", "link"):
        raise BadRequest("The field 'response' must be 'file' or 'link'.")
    submission = Submission(
        photo=_photo(files), mask=files.get("mask"), options=options_of(fields) if options else _no_options(fields)
    )
    return Input(submission, asked)  # type: ignore[arg-type]


async def read_texts(request: Request) -> dict[str, str]:
    """Read a form that takes no file, of either form type. Raises BadRequest; Cancelled when the client goes away."""
    try:
        if _media_type(request) == "multipart/form-data":
            files, texts = await _read_form(request, hint="")
        else:
            files, texts = {}, await _read_urlencoded(request)
    except ClientDisconnect:
        raise Cancelled("The client went away during the upload.") from None
    if files:
        raise BadRequest(f"The field '{next(iter(files))}' is not known here.")
    return _unique(texts)


def wants_link(given: Input, accept: str) -> bool:
    """Whether the answer is the JSON report: the field `response` says so, else the header `Accept`.

    JSON must be put strictly above the GLB: a tie, `*/*` and no header at all mean the file.
    """
    if given.delivery is not None:
        return given.delivery == "link"
    return _preference(accept, "application", "json") > _preference(accept, "model", "gltf-binary")


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _read_raw(request: Request) -> bytes:
    """Read a photo that is the body. Raises UnsupportedMedia that says what to send instead.

    Under the types that HTTP libraries write for bytes whose type they were not given, a body is a photo when it holds
    a byte that no text has.
    """
    media_type = _media_type(request)
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        return await request.body()
    if media_type in UNSPECIFIC_TYPES and multipart.BINARY.search(body := await request.body()):
        return body
    raise UnsupportedMedia(f"{_what_came(media_type)} {NEXT_STEP}")


def _what_came(media_type: str) -> str:
    """Return the sentence about a media type that no photo has."""
    if media_type.endswith(("/json", "+json")):
        return "JSON is not read here, nor is base64."
    if media_type == "application/x-www-form-urlencoded":
        return "A form of this type (application/x-www-form-urlencoded) carries no file."
    return f"The body's type is {shown(media_type)}." if media_type else "The body has no type."


async def _read_urlencoded(request: Request) -> list[tuple[str, str]]:
    try:
        async with request.form(max_fields=MAX_PARTS, max_part_size=MAX_TEXT_BYTES) as form:
            return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    except HTTPException as exc:
        raise BadRequest(f"The form cannot be read: {exc.detail}") from exc
    except (FormParserError, ValueError) as exc:
        raise BadRequest("The form cannot be read.") from exc


async def _read_form(request: Request, hint: str = FILES_BELONG) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    """Read a multipart form: its files by field, and its texts.

    It may be of another multipart type, as OkHttp's multipart/mixed, as long as its parts have names. hint: what the
    refusal of a file in another field says more.
    """
    content_type = request.headers["content-type"]
    parts = multipart.parse(await request.body(), content_type, MAX_PARTS)
    named = next((part.content[:MAX_CHARSET_BYTES] for part in parts if part.name == CHARSET_FIELD), b"")
    charset = multipart.decoded(named, "ascii") or multipart.form_charset(content_type)
    files: dict[str, bytes] = {}
    texts: list[tuple[str, str]] = []
    for part in parts:
        if not part.name and _media_type(request) != "multipart/form-data":
            raise UnsupportedMedia(f"The body's type is {shown(_media_type(request))}. {NEXT_STEP}")
        if not part.name:
            raise BadRequest("The form cannot be read: a part's Content-Disposition has no name.")
        if part.name in FILE_FIELDS:
            content = _file(part)
            if content is not None and part.name in files:
                raise BadRequest(f"The field '{part.name}' was sent twice; it takes one file.")
            if content is not None:
                files[part.name] = content
        elif part.name != CHARSET_FIELD:
            texts.append((part.name, _text(part, charset, hint)))
    return files, texts


def _file(part: multipart.Part) -> bytes | None:
    """Return the file in a part of `image`, `file` or `mask`; None where a form leaves the field out.

    Many HTTP libraries write no filename (RFC 7578, section 4.2, only says SHOULD) and no Content-Type, or text/plain.
    So a part is a file when it has a filename, an image type, or a byte that no text has. What is left is a text: an
    address, base64, a path.
    """
    if part.filename is None and part.nested:  # several files in one field, as RFC 2388 had it; curl still can
        inner = multipart.parse(part.content, part.content_type, MAX_PARTS)
        if len(inner) != 1:
            raise BadRequest(f"The field '{part.name}' holds {len(inner)} parts; it takes one file.")
        return inner[0].content
    if not part.content and not part.filename:  # a browser sends this for a file that was not chosen
        return None
    if part.filename is not None or part.media_type.startswith("image/") or part.binary:
        return part.content
    raise BadRequest(_not_a_file(part.name, multipart.decoded(part.content[:MAX_TEXT_BYTES], "utf-8")))


def _not_a_file(name: str, text: str) -> str:
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


def _photo(files: dict[str, bytes]) -> bytes:
    given = [name for name in PHOTO_FIELDS if name in files]
    if len(given) == 2:
        raise BadRequest("The fields 'image' and 'file' mean the same; send one of them.")
    if not given:
        raise BadRequest("The field 'image' is missing: it takes the photo's file.")
    if not files[given[0]]:
        raise BadRequest(f"The field '{given[0]}' is an empty file.")
    return files[given[0]]


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Fields by name. One that is empty counts as absent: that is how a browser sends a field left blank."""
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in FILE_FIELDS:
            if name == "mask" and not value:
                continue
            raise BadRequest(_not_a_file(name, value))
        if name in fields:
            raise BadRequest(f"The field '{shown(name)}' was sent twice.")
        fields[name] = _unquoted(value)
    return fields


def _unquoted(value: str) -> str:
    """A text as it was meant: BentoML's client (1.4.39) sends texts and absent values as JSON, `"draft"` and `null`."""
    if value == "null":
        return ""
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


def options_of(fields: dict[str, str]) -> Options:
    """The options in a form's texts. Raises BadRequest that names what is wrong."""
    values: dict[str, Any] = {name: value for name, value in fields.items() if value != ""}
    size = values.get("texture_size", "")
    if size.isascii() and size.isdigit() and len(size) < 10:  # Python refuses to read thousands of digits
        values["texture_size"] = int(size)  # pydantic does not turn texts into literals
    _refuse_unknown(fields)
    return checked_options(values)


def checked_options(values: dict[str, Any]) -> Options:
    """The options in these values. Raises BadRequest that names what is wrong."""
    _refuse_unknown(values)
    return checked(values)


def _refuse_unknown(fields: Iterable[str]) -> None:
    unknown = next((name for name in fields if name not in Options.model_fields), None)
    if unknown is not None:
        known = ", ".join([*PHOTO_FIELDS, "mask", *Options.model_fields, "response"])
        raise BadRequest(f"There is no field '{shown(unknown)}'. The fields are: {known}.")


def _no_options(fields: dict[str, str]) -> Options:
    if fields:
        raise BadRequest(f"There is no field '{shown(next(iter(fields)))}' here. The fields are: image, file, mask.")
    return Options()


def _preference(accept: str, kind: str, subtype: str) -> float:
    """The quality that an Accept header gives a media type, 0..1 (RFC 9110, section 12.5.1)."""
    best = (-1, 0.0)  # how exactly the range names the type, its quality
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        specificity = {f"{kind}/{subtype}": 2, f"{kind}/*": 1, "*/*": 0}.get(media_range, -1)
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = min(max(float(parameter[2:]), 0.0), 1.0)
                except ValueError:
                    quality = 0.0
        if specificity > best[0]:
            best = (specificity, quality)
    return best[1]
