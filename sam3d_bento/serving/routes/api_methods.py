"""Describe the API methods to BentoML, and send what its typed clients are called with.

BentoML calls an API method with the fields of its input specification. Ours take nothing from the request: the method
gets the request itself (`request`), and `upload_form` reads it.

A typed client is one that knows the service's class: `bentoml.depends(Sam3D)` and `bentoml.depends(Sam3D, url=...)`.
It calls `from_inputs` of the specification in its own process. BentoML 1.4.40 would then send a pickle within a process
group, and fails on an absent file both ways. Ours returns the body of a form instead (`Form`), which BentoML sends as
it is. So this service never reads a pickle, whoever sends it.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from copy import copy
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import bentoml
import httpx
from bentoml.validators import ContentType
from pydantic import Field, PrivateAttr, create_model
from starlette.requests import Request
from starlette.responses import Response

from sam3d_bento.errors import BadRequest
from sam3d_bento.options import PROMPT_OPTIONS, Options
from sam3d_bento.serving import bentoml_seams
from sam3d_bento.serving.routes.request_body import FILE_FIELDS, REPEATED_FIELD
from sam3d_bento.serving.routes.upload_form import Delivery

# The request that BentoML is answering: it hands its API method only the fields, not the request.
_incoming: ContextVar[Request] = ContextVar("incoming")

# Where the answer to a BentoML client is JSON, and the client expects a pickle (`for_caller`).
PICKLE_MEDIA_TYPE = "application/vnd.bentoml+pickle"
CLIENT_NAME = "BentoML HTTP Client/"

# Modes of Pillow in which a PNG can be written; an image in another one is sent as RGB.
PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


class Form(bentoml_seams.RootModel[bytes]):  # type: ignore[misc]  # bentoml is untyped here
    """The body of a multipart form. BentoML sends a root model of bytes as it is, under its `mime_type`."""

    _mime_type: str = PrivateAttr()

    def mime_type(self) -> str:
        """Return the form's media type, with its boundary."""
        return self._mime_type

    @classmethod
    def of(cls, files: Sequence[tuple[str, tuple[str, bytes]]], texts: Mapping[str, str]) -> Form:
        """Write a form. files: the field, and the file's name and content."""
        written = httpx.Request("POST", "http://service", files=files, data=texts)
        form = cls(written.read())
        form._mime_type = written.headers["content-type"]
        return form


class PhotoInput(bentoml.IODescriptor):  # type: ignore[misc]
    """A photo, and perhaps the mask of the object in it."""

    # BentoML answers 500 to malformed forms, downloads from addresses in file fields, and stores uploads on disk. So
    # this class only describes the fields, for /schema.json and the Python client.
    # `= None` without Optional: Optional[Path] is unhashable there, and the import fails.
    image: Annotated[Path, ContentType("*/*"), Field(description="The photo: JPEG, PNG, WebP, AVIF, BMP, TIFF, GIF.")]
    mask: Annotated[
        Path,
        ContentType("*/*"),
        Field(description="Mask image, white on the object, with the size of the upright photo."),
    ] = None  # type: ignore[assignment]

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> PhotoInput:
        """Take nothing from the request, but keep it for the API method, which reads it itself."""
        _incoming.set(request)
        nothing: PhotoInput = cls.model_construct(**dict.fromkeys(cls.model_fields))
        return nothing

    @classmethod
    def from_inputs(cls, *positional: Any, **named: Any) -> Form:
        """Return the form of a call by a typed client. This runs in the caller's process.

        image, mask, depth, pointmap, labels: a path (`Path` or text), bytes, an open binary file or a PIL image. masks:
        a list of these. What is None is left out. The options are checked by the service. Raises TypeError for an
        argument that this method does not have or that is no file, and OSError for a file that cannot be read.
        """
        fields = list(cls.model_fields)
        if len(positional) > len(fields):
            raise TypeError(f"There are at most {len(fields)} arguments: {', '.join(fields)}.")
        by_place = dict(zip(fields, positional, strict=False))
        for name in named:
            if name in by_place:
                raise TypeError(f"The argument '{name}' was given twice.")
            if name not in fields:
                raise TypeError(f"There is no argument '{name}'. The arguments are: {', '.join(fields)}.")
        given = {name: value for name, value in {**by_place, **named}.items() if value is not None}
        if "image" not in given:
            raise TypeError("The argument 'image' is missing: it takes the photo.")
        files = [
            (name, _named_file(name, file))
            for name in FILE_FIELDS
            if name in given
            for value in [given.pop(name)]
            for file in (value if name == REPEATED_FIELD else [value])
        ]
        # As BentoML's own client writes them; `upload_form` undoes it.
        return Form.of(files, {name: json.dumps(value) for name, value in given.items()})


_option_fields: dict[str, Any] = {name: (field.annotation, copy(field)) for name, field in Options.model_fields.items()}
_Response = Annotated[Delivery, Field(description="`link`: a JSON report with a download link.")]

_depth_fields: dict[str, Any] = {
    name: (Annotated[Path, ContentType("*/*"), Field(description=description)], None)
    for name, description in (
        ("depth", "Depth of the upright photo: 16-bit PNG or TIFF in millimetres, .npy or .npz."),
        ("pointmap", "Point of each pixel of the upright photo in metres: .npy or .npz, (H, W, 3)."),
    )
}

_scene_fields: dict[str, Any] = {
    "masks": (
        Annotated[list[Annotated[Path, ContentType("*/*")]], Field(description="A mask of each object of a scene.")],
        None,
    ),
    "labels": (
        Annotated[
            Path, ContentType("*/*"), Field(description="Grey PNG of 8 or 16 bits; each value above 0 is an object.")
        ],
        None,
    ),
    "objects": (
        Annotated[str, Field(description="The objects of a scene as a list in JSON, or `all` (docs/scenes.md).")],
        None,
    ),
}

# The photo, and the options that say which object of it is meant.
MaskInput = create_model(
    "MaskInput",
    __base__=PhotoInput,
    __doc__="A photo, and which object of it is meant.",
    **{name: _option_fields[name] for name in PROMPT_OPTIONS},
)
# The files of the form, and every option as `Options` declares it.
JobInput = create_model(
    "JobInput",
    __base__=PhotoInput,
    __doc__="A photo, and how to reconstruct the object in it.",
    **_option_fields,
    **_depth_fields,
    **_scene_fields,
)
# The same, and how the answer comes.
InferenceInput = create_model("InferenceInput", __base__=JobInput, response=(_Response, "file"))


def request() -> Request | None:
    """Return the request that BentoML is answering; None for a method that was called in this process."""
    return _incoming.get(None)


def only_request() -> Request:
    """Return the request that BentoML is answering. Raises BadRequest for a method that was called in this process."""
    found = request()
    if found is None:
        raise BadRequest("This method answers requests. In a program of your own, call `inference`.")
    return found


def for_caller(answer: Response) -> Response:
    """Return a JSON answer as the calling client reads it.

    Within a process group, BentoML's client reads every answer but a file as a pickle, whatever its media type is. It
    trusts this service, which it has started.
    """
    client = request()
    if (
        answer.status_code >= 400
        or not bentoml_seams.is_dependency()
        or client is None
        or not client.headers.get("user-agent", "").startswith(CLIENT_NAME)
    ):
        return answer
    headers = {name: value for name, value in answer.headers.items() if name not in ("content-length", "content-type")}
    content = pickle.dumps(json.loads(bytes(answer.body)))
    return Response(content, answer.status_code, headers, media_type=PICKLE_MEDIA_TYPE)


def _named_file(field: str, value: Any) -> tuple[str, bytes]:
    """Return the name and the content of a file that a typed client was given. Errors as of `from_inputs`."""
    if isinstance(value, str | Path):
        path = Path(value)
        return path.name, path.read_bytes()
    if isinstance(value, bytes | bytearray | memoryview):
        return field, bytes(value)
    if callable(getattr(value, "read", None)):
        content = value.read()
        if isinstance(content, bytes):
            name = getattr(value, "name", None)  # of a pipe it is a number
            return Path(name).name if isinstance(name, str) else field, content
    elif callable(getattr(value, "save", None)) and hasattr(value, "getbands"):  # a PIL image
        file = BytesIO()
        # PNG has these modes. Without its Exif data a photo would lose which side is up.
        picture = value if value.mode in PNG_MODES else value.convert("RGB")
        picture.save(file, "PNG", exif=value.getexif())
        return f"{Path(getattr(value, 'filename', '') or field).stem}.png", file.getvalue()
    raise TypeError(f"The argument '{field}' takes a path, bytes, an open binary file or a PIL image.")
