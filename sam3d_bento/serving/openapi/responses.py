"""Declare the responses that operations share: problem documents by the errors, headers, redirects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sam3d_bento.errors import (
    Busy,
    Sam3DError,
    Unauthorized,
    Unavailable,
    UnsupportedMedia,
    by_code,
)
from sam3d_bento.serving import problems
from sam3d_bento.serving.assets import ASSET_ID
from sam3d_bento.serving.middleware import access_log, authentication, content_encoding
from sam3d_bento.serving.openapi.examples import ID, JOB_ID, REQUEST_ID
from sam3d_bento.submission import STAGES
from sam3d_bento.warning_codes import WarningCode

# Schema of the id of a result, of a job.
IDENTITY: dict[str, Any] = {"type": "string", "pattern": f"^{ASSET_ID.pattern}$"}

Response = dict[str, Any]

TEXT = {"type": "string"}
# Every header of a response: what it says, its schema, an example.
HEADERS: dict[str, tuple[str, dict[str, Any], Any]] = {
    "Accept-Encoding": ("Content-Encodings that are read.", TEXT, content_encoding.ACCEPTED),
    "Accept-Ranges": ("Ranges of it can be fetched.", TEXT, "bytes"),
    "Cache-Control": ("How long it may be kept.", TEXT, "no-store"),
    "Content-Disposition": ("The name to save it under.", TEXT, 'attachment; filename="chair.glb"'),
    "Content-Range": ("Which bytes these are.", TEXT, "bytes 0-1023/1696620"),
    "ETag": ("For `If-None-Match`; a result never changes.", TEXT, f'"{ID}"'),
    "Last-Modified": ("When it was made.", TEXT, "Mon, 30 Nov 2026 19:21:38 GMT"),
    "Link": ("The download link, `rel=canonical`.", TEXT, f'<http://h/api/assets/{ID}.glb>; rel="canonical"'),
    "Location": ("Where to go on.", TEXT, f"/api/jobs/{JOB_ID}"),
    "Retry-After": ("Seconds after which to try again.", {"type": "integer", "minimum": 0}, 5),
    "Server-Timing": (
        "Milliseconds of the queue and of each stage.",
        TEXT,
        ", ".join(f"{stage};dur=10.0" for stage in ("queue", *STAGES)),
    ),
    "WWW-Authenticate": ("How to send a key.", TEXT, authentication.CHALLENGE),
    "X-Asset-Id": ("Id of the result.", IDENTITY, ID),
    "X-Engine": ("The engine.", TEXT, "preview"),
    "X-Mask-Coverage": ("Share of the photo's pixels that the mask covers.", {"type": "number"}, 0.476),
    "X-Mask-Report": (
        "The report's `mask` as JSON: the candidates that a prompt may mean, or the objects that were found.",
        TEXT,
        '{"source":"prompt","coverage":0.476}',
    ),
    "X-Mask-Source": (
        "Where the mask comes from.",
        {"type": "string", "enum": ["alpha", "upload", "rembg", "prompt"]},
        "rembg",
    ),
    access_log.HEADER: (
        "Id of the request, as in the service's log: the one that was sent, else a new one.",
        {"type": "string", "pattern": f"^{access_log.ACCEPTABLE_ID.pattern}$"},
        REQUEST_ID,
    ),
    "X-Seed": ("The seed.", {"type": "integer", "minimum": 0}, 7),
    "X-Warnings": ("Codes of warnings, with commas between them.", TEXT, str(WarningCode.SHAPE_GUESSED)),
}

# The header that the problem documents of an error, or of its descendants, carry where it helps.
ERROR_HEADERS: dict[type[Sam3DError], str] = {
    Busy: "Retry-After",
    Unauthorized: "WWW-Authenticate",
    Unavailable: "Retry-After",
    UnsupportedMedia: "Accept-Encoding",
}


def headers(*names: str) -> dict[str, Any]:
    """Return references to headers of the components, and to that of the request's id, which no response lacks."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, access_log.HEADER)}


def header_components() -> dict[str, Any]:
    """Return the headers for the document's components."""
    return {
        name: {"description": description, "schema": schema, "example": example}
        for name, (description, schema, example) in HEADERS.items()
    }


def response(description: str, content: dict[str, Any] | None = None, sent: tuple[str, ...] = ()) -> Response:
    """Return a response. content: schemas by media types. sent: the names of its headers."""
    made: Response = {"description": description, "headers": headers(*sent)}
    if content:
        made["content"] = {media_type: {"schema": schema} for media_type, schema in content.items()}
    return made


def schema(name: str) -> dict[str, Any]:
    """Return a reference to a schema of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def by_status(kinds: Iterable[type[Sam3DError]]) -> dict[int, list[type[Sam3DError]]]:
    """Return the errors by their statuses, those of one status in the order of their codes."""
    found: dict[int, list[type[Sam3DError]]] = {}
    for kind in sorted(set(kinds), key=lambda kind: (kind.status, kind.code)):
        found.setdefault(kind.status, []).append(kind)
    return found


def problem_name(kinds: Iterable[type[Sam3DError]]) -> str:
    """Return the name of the component for a response that is one of these errors, all of one status."""
    return "Or".join(kind.__name__ for kind in kinds)


def problem(kinds: Iterable[type[Sam3DError]]) -> Response:
    """Return the response that is one of these errors, all of one status."""
    kinds = list(kinds)
    sent = sorted({"Cache-Control", *(name for kind in kinds for name in _headers_of(kind))})
    meanings = " ".join(f"`{kind.code}`: {kind.title}." for kind in kinds)
    made = response(meanings, {problems.MEDIA_TYPE: schema("Problem")}, tuple(sent))
    made["content"][problems.MEDIA_TYPE]["examples"] = {
        kind.code: {"$ref": f"#/components/examples/{kind.code}"} for kind in kinds
    }
    return made


def _headers_of(kind: type[Sam3DError]) -> list[str]:
    return [name for root, name in ERROR_HEADERS.items() if issubclass(kind, root)]


def examples() -> dict[str, Any]:
    """Return a problem document of each error, for the document's components."""
    return {
        code: {"summary": kind.title, "value": problems.document(kind(f"{kind.title}."), REQUEST_ID)}
        for code, kind in sorted(by_code().items())
    }
