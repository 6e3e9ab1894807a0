"""Read the request of an export, as JSON or as a form, and check every field."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from sam3d_bento.errors import BadRequest, Cancelled, UnsupportedMedia, shown
from sam3d_bento.formats import FORMATS, Format, FormatOptions, format_options, require
from sam3d_bento.options import EXPORT_OPTIONS, checked
from sam3d_bento.serving.routes import upload_form


@dataclass(frozen=True)
class ExportInput:
    """Fields of an export request. changes: options that replace those of the result."""

    format: Format
    changes: dict[str, Any]
    format_options: FormatOptions


async def read(request: Request) -> ExportInput:
    """Read the format, the options of the export and those of the format.

    Raises BadRequest that names the field, and UnsupportedMedia for a format that this installation cannot write.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    is_json = media_type == "application/json"
    fields: dict[str, Any]
    if is_json:
        fields = await _read_object(request)
    elif media_type in ("multipart/form-data", "application/x-www-form-urlencoded"):
        fields = {**await upload_form.read_texts(request)}
    elif media_type:
        raise UnsupportedMedia("Send the fields as application/json or as a form.")
    else:
        fields = {}
    known = ("format", *EXPORT_OPTIONS, *FormatOptions.model_fields)
    unknown = next((name for name in fields if name not in known), None)
    if unknown is not None:
        raise BadRequest(f"There is no field '{shown(unknown)}' here. The fields are: {', '.join(known)}.")
    if not is_json:  # a field left blank counts as absent
        fields = {name: text for name, text in fields.items() if text != ""}
    wanted = fields.pop("format", "glb")
    if not isinstance(wanted, str) or wanted not in FORMATS:
        raise BadRequest(f"The field 'format' must be one of {', '.join(FORMATS)}.")
    of_format = {name: fields.pop(name) for name in FormatOptions.model_fields if name in fields}
    chosen = format_options(wanted, of_format, strict=is_json)
    options = checked(fields, strict=True) if is_json else upload_form.options_of(fields)
    require(wanted, chosen)
    return ExportInput(wanted, options.model_dump(exclude_unset=True, exclude_none=True), chosen)


async def _read_object(request: Request) -> dict[str, Any]:
    try:  # in a thread, because a long text takes its time
        fields = await anyio.to_thread.run_sync(json.loads, await request.body())
    except ClientDisconnect:
        raise Cancelled("The client disconnected during the upload.") from None
    except (ValueError, RecursionError) as exc:  # RecursionError: nested a thousand levels deep
        raise BadRequest("The body is not valid JSON.") from exc
    if not isinstance(fields, dict):
        raise BadRequest("The body must be a JSON object.")
    return fields
