"""From a request for another file of a result to what it asks: JSON or a form, every field checked."""

from __future__ import annotations

import json
from typing import Any, cast

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request

from sam3d_bento.errors import BadRequest, Cancelled, UnsupportedMedia, shown
from sam3d_bento.formats import FORMATS, Format, require
from sam3d_bento.options import EXPORT_OPTIONS, checked
from sam3d_bento.serving.routes import upload_form


async def read(request: Request) -> tuple[Format, dict[str, Any]]:
    """The format, and the option values by which the export is to differ from the result's own.

    Raises BadRequest that names the field; UnsupportedMedia for a format that cannot be made here.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    fields: dict[str, Any]
    if media_type == "application/json":
        fields = await _read_object(request)
    elif media_type in ("multipart/form-data", "application/x-www-form-urlencoded"):
        fields = {**await upload_form.read_texts(request)}
    elif media_type:
        raise UnsupportedMedia("Send the fields as application/json or as a form.")
    else:
        fields = {}
    wanted = fields.pop("format", "glb")
    if wanted not in FORMATS:
        raise BadRequest(f"The field 'format' must be one of {', '.join(FORMATS)}.")
    unknown = next((name for name in fields if name not in EXPORT_OPTIONS), None)
    if unknown is not None:
        known = ", ".join(["format", *EXPORT_OPTIONS])
        raise BadRequest(f"There is no field '{shown(unknown)}' here. The fields are: {known}.")
    options = checked(fields, strict=True) if media_type == "application/json" else upload_form.options_of(fields)
    require(cast(Format, wanted))
    return cast(Format, wanted), options.model_dump(include=set(fields))


async def _read_object(request: Request) -> dict[str, Any]:
    try:  # in a thread: the interpreter is let go between two steps of a long one
        fields = await anyio.to_thread.run_sync(json.loads, await request.body())
    except ClientDisconnect:
        raise Cancelled("The client went away during the upload.") from None
    except (ValueError, RecursionError) as exc:  # the second: nested a thousand deep
        raise BadRequest("The body is not valid JSON.") from exc
    if not isinstance(fields, dict):
        raise BadRequest("The body must be a JSON object.")
    return fields
