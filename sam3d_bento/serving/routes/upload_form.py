"""Read a photo, a mask and options from an HTTP request into an `UploadedSubmission`, for all routes with a photo.

The photo is the multipart field `image` (or its alias `file`) or the raw body. Options are form fields or in the query.
Everything else is a 400 or 415 that names the field. Addresses are never fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect, Request

from sam3d_bento.errors import BadRequest, Cancelled, shown
from sam3d_bento.options import PROMPT_OPTIONS, Options, checked, from_texts
from sam3d_bento.serving.routes import request_body
from sam3d_bento.serving.routes.request_body import (
    DEPTH_FIELDS,
    FILE_FIELDS,
    OBJECTS_FIELD,
    PHOTO_FIELDS,
    REPEATED_FIELD,
    not_a_file,
)
from sam3d_bento.serving.uploads import Upload, UploadedScene, UploadedSubmission
from sam3d_bento.submission import check_scene

Delivery = Literal["file", "link"]

# File names that libraries write above bytes without a name: fetch; httpx; requests and aiohttp, the field's own name.
PLACEHOLDER_NAMES = frozenset({"blob", "upload", *PHOTO_FIELDS})


@dataclass(frozen=True)
class Input:
    """Content of a request. delivery: the field `response`, or None if it was not sent."""

    submission: UploadedSubmission
    delivery: Delivery | None


async def read(request: Request, *, options: bool = True, delivery: bool = True) -> Input:
    """Read the request's photo, mask and options. options=False: of these only what a mask depends on is known.

    delivery=False: `response` is not a known field either.

    Raises BadRequest and UnsupportedMedia, and Cancelled if the client disconnects.
    """
    try:
        if request_body.media_type(request).startswith("multipart/"):
            files, texts = await request_body.read_form(request)
        else:
            files, texts = {"image": [await request_body.read_raw(request)]}, []
    except ClientDisconnect:
        raise Cancelled("The client disconnected during the upload.") from None
    fields = _unique([*texts, *request.query_params.multi_items()])
    asked = fields.pop("response", None) if options and delivery else None
    if asked not in (None, "file", "link"):
        raise BadRequest("The field 'response' must be 'file' or 'link'.")
    masks = tuple(files.pop(REPEATED_FIELD, ()))
    single = {name: file for name, (file,) in files.items()}
    photo, depth = _photo(single), {name: single[name] for name in DEPTH_FIELDS if name in single}
    objects = fields.pop(OBJECTS_FIELD, "") or None if options else None
    scene = None
    if masks or "labels" in single or objects is not None:
        scene = UploadedScene(masks, single.get("labels"), objects)
    beside = {**depth, **({} if scene is None else {next(iter(scene.fields)): scene})}
    chosen = options_of(fields) if options else _mask_options(fields, beside)
    check_scene(chosen, scene, has_mask="mask" in single)
    submission = UploadedSubmission(
        photo, single.get("mask"), chosen.named_after(_file_name(photo)), **depth, scene=scene
    )
    return Input(submission, asked)  # type: ignore[arg-type]


async def read_texts(request: Request) -> dict[str, str]:
    """Read a form without files, of either form type. Raises BadRequest, and Cancelled if the client disconnects."""
    try:
        if request_body.media_type(request) == "multipart/form-data":
            files, texts = await request_body.read_form(request, hint="")
        else:
            files, texts = {}, await request_body.read_urlencoded(request)
    except ClientDisconnect:
        raise Cancelled("The client disconnected during the upload.") from None
    if files:
        raise BadRequest(f"The field '{next(iter(files))}' is not known here.")
    return _unique(texts)


def wants_link(given: Input, accept: str) -> bool:
    """Return whether the client wants the JSON report with a link, by the field `response` or else the header `Accept`.

    JSON needs a higher preference than the GLB. A tie, `*/*` and a missing header mean the file.
    """
    if given.delivery is not None:
        return given.delivery == "link"
    return _preference(accept, "application", "json") > _preference(accept, "model", "gltf-binary")


def _photo(files: dict[str, Upload]) -> Upload:
    given = [name for name in PHOTO_FIELDS if name in files]
    if len(given) == 2:
        raise BadRequest("The fields 'image' and 'file' have the same meaning. Send only one of them.")
    if not given:
        raise BadRequest("The field 'image' is missing. Send the photo's file in it.")
    if not files[given[0]]:
        raise BadRequest(f"The file in the field '{given[0]}' is empty.")
    return files[given[0]]


def _file_name(photo: Upload) -> str | None:
    """Return the photo's file name, or None where the client's library has written a placeholder for it.

    aiohttp writes a name that is not ASCII percent-encoded.
    """
    name = photo.file_name
    if name is None or name in PLACEHOLDER_NAMES:
        return None
    try:
        decoded = unquote_to_bytes(name).decode() if name.isascii() else name
    except ValueError:  # no UTF-8
        return name
    return name if decoded.isascii() else decoded


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the fields by name. Raises BadRequest for a field that was sent twice, and for text in a file field."""
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in FILE_FIELDS:
            if name not in PHOTO_FIELDS and not value:
                continue
            raise BadRequest(not_a_file(name, value))
        if name in fields:
            raise BadRequest(f"The field '{shown(name)}' was sent twice.")
        fields[name] = _unquoted(value)
    return fields


def _unquoted(value: str) -> str:
    """Undo the JSON quoting of BentoML's client (1.4.40), which sends `"draft"` for a text and `null` for no value."""
    if value == "null":
        return ""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        return str(json.loads(value))
    except ValueError:  # quotes of somebody else
        return value[1:-1]


def options_of(fields: dict[str, str]) -> Options:
    """Read the options from the texts of a form. An empty text counts as absent. Raises BadRequest."""
    _refuse_unknown(fields)
    return checked_options(from_texts({name: value for name, value in fields.items() if value != ""}))


def checked_options(values: dict[str, Any]) -> Options:
    """Check option values and return the options. Raises BadRequest that names the wrong field."""
    _refuse_unknown(values)
    return checked(values)


def _refuse_unknown(fields: Iterable[str]) -> None:
    unknown = next((name for name in fields if name not in Options.model_fields), None)
    if unknown is not None:
        known = ", ".join([*FILE_FIELDS, OBJECTS_FIELD, *Options.model_fields, "response"])
        raise BadRequest(f"There is no field '{shown(unknown)}'. The fields are: {known}.")


def _mask_options(fields: dict[str, str], depth: Mapping[str, object]) -> Options:
    """Read the options that a mask depends on. Raises BadRequest for any other field."""
    unknown = next((name for name in (*fields, *depth) if name not in PROMPT_OPTIONS), None)
    if unknown is not None:
        known = ", ".join([*PHOTO_FIELDS, "mask", *PROMPT_OPTIONS])
        raise BadRequest(f"There is no field '{shown(unknown)}' here. The fields are: {known}.")
    return options_of(fields)


def _preference(accept: str, kind: str, subtype: str) -> float:
    """Return the quality of a media type in an Accept header, 0..1 (RFC 9110, section 12.5.1)."""
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
