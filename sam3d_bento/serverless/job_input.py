"""Read the `input` of a RunPod job into a `Submission`. Any field other than these is an error:

    image | image_url     the photo: base64 (plain or URL-safe, in lines or not, also as a data: URL), or an https URL
                          at an allowed host; exactly one
    mask | mask_url       the same for the mask; at most one
    depth | depth_url     the same for the photo's depth
    pointmap | pointmap_url   the same for the points of its pixels, instead of its depth
    masks | masks_url     lists of the same: a mask of each object of a scene; instead of a mask
    labels | labels_url   the same for a picture of labels
    objects               the objects of a scene: a list, its JSON as a text, or `all`
    output_url            a presigned https URL that takes the GLB by PUT
    seed, texture_size, … as in `Options`

`read` makes every check that needs no network. `fetch` then downloads the files.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from yarl import URL

from sam3d_bento.errors import BadRequest, TooLarge, shown
from sam3d_bento.options import Options, checked
from sam3d_bento.serverless.transfers import Transfers
from sam3d_bento.settings import MOST_OBJECTS
from sam3d_bento.submission import SMALLER_DEPTH, SceneInput, Submission, check_scene

# Translation of base64's URL-safe alphabet to the standard one, and the bytes that are ignored between its symbols.
_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")
_WHITE_SPACE = b" \t\r\n\f\v"

# Names of all fields that an input may have.
FILES = ("image", "mask", "depth", "pointmap", "masks", "labels")
FIELDS = (*(name for file in FILES for name in (file, f"{file}_url")), "objects", "output_url", *Options.model_fields)
# Of the list of a scene's objects, as a text.
MAX_OBJECTS_BYTES = 2_000_000


@dataclass(frozen=True)
class JobInput:
    """Checked input of a job. output: the URL for the GLB, or None.

    photo, mask, depth, pointmap, masks, labels: the bytes of the file, or its URL. objects: a text.
    """

    photo: bytes | URL
    mask: bytes | URL | None
    output: URL | None
    options: Options
    depth: bytes | URL | None = None
    pointmap: bytes | URL | None = None
    masks: tuple[bytes | URL, ...] = ()
    labels: bytes | URL | None = None
    objects: str | None = None

    @property
    def has_scene(self) -> bool:
        """Whether the job asks for several objects."""
        return bool(self.masks) or self.labels is not None or self.objects is not None


def read(given: Any, transfers: Transfers, max_bytes: int) -> JobInput:
    """Read and check the `input` of a job. max_bytes: of the largest file.

    Raises BadRequest that names the field, and TooLarge.
    """
    if not isinstance(given, dict):
        raise BadRequest("The job's 'input' must be an object with the photo in 'image' or 'image_url'.")
    fields = {name: value for name, value in given.items() if value is not None}
    unknown = next((name for name in fields if name not in FIELDS), None)
    if unknown is not None:
        raise BadRequest(f"There is no field '{shown(unknown)}'. The fields are: {', '.join(FIELDS)}.")
    photo = _file(fields, "image", transfers, max_bytes)
    if photo is None:
        raise BadRequest("The photo is missing: send it as base64 in 'image', or its URL in 'image_url'.")
    mask, depth, pointmap, labels = (
        _file(fields, name, transfers, max_bytes) for name in ("mask", "depth", "pointmap", "labels")
    )
    output = _url(fields, "output_url", transfers)
    options = checked({name: fields[name] for name in Options.model_fields if name in fields}, strict=True)
    masks = _files(fields, "masks", transfers, max_bytes)
    found = JobInput(photo, mask, output, options, depth, pointmap, masks, labels, _objects(fields))
    check_scene(options, found.has_scene or None, has_mask=mask is not None)
    return found


async def fetch(given: JobInput, transfers: Transfers) -> Submission:
    """Download the files of a job and return its submission. Raises as `Transfers.download` does."""

    async def content(file: bytes | URL | None, name: str) -> bytes | None:
        return await transfers.download(file, f"{name}_url") if isinstance(file, URL) else file

    options = given.options.named_after(given.photo.name) if isinstance(given.photo, URL) else given.options
    photo = await content(given.photo, "image")
    assert photo is not None
    scene = None
    if given.has_scene:
        masks = [await content(mask, "masks") for mask in given.masks]
        labels = await content(given.labels, "labels")
        scene = SceneInput(tuple(mask for mask in masks if mask is not None), labels, given.objects)
    return Submission(
        photo,
        await content(given.mask, "mask"),
        options,
        await content(given.depth, "depth"),
        await content(given.pointmap, "pointmap"),
        scene,
    )


def _files(fields: dict[str, Any], name: str, transfers: Transfers, max_bytes: int) -> tuple[bytes | URL, ...]:
    """Read the files of a list, or their URLs. Raises BadRequest that names the place in the list, and TooLarge."""
    by_url = f"{name}_url"
    if name in fields and by_url in fields:
        raise BadRequest(f"The fields '{name}' and '{by_url}' have the same meaning. Send only one of them.")
    sent = fields.get(name, fields.get(by_url, []))
    if not isinstance(sent, list) or len(sent) > MOST_OBJECTS:
        raise BadRequest(f"The field '{name if name in fields else by_url}' must be a list of {MOST_OBJECTS} at most.")
    files: list[bytes | URL] = []
    for index, value in enumerate(sent):
        place = f"{name}[{index}]"
        file = _file({place if name in fields else f"{place}_url": value}, place, transfers, max_bytes)
        assert file is not None
        files.append(file)
    if sum(len(file) for file in files if isinstance(file, bytes)) > max_bytes:
        raise TooLarge(f"The files in the field '{name}' are together larger than {max_bytes} bytes.")
    return tuple(files)


def _objects(fields: dict[str, Any]) -> str | None:
    """Return the objects of a scene as a text. Raises BadRequest and TooLarge."""
    objects = fields.get("objects")
    if objects is None or isinstance(objects, str):
        text = objects or None
    elif isinstance(objects, list):
        text = json.dumps(objects)
    else:
        raise BadRequest("The field 'objects' must be a list, its JSON as a text, or 'all'.")
    if text is not None and len(text.encode("utf-8", "replace")) > MAX_OBJECTS_BYTES:
        raise TooLarge(f"The field 'objects' takes at most {MAX_OBJECTS_BYTES:,} bytes. Send masks in 'masks'.")
    return text


def _file(fields: dict[str, Any], name: str, transfers: Transfers, max_bytes: int) -> bytes | URL | None:
    url = _url(fields, f"{name}_url", transfers)
    if name not in fields:
        return url
    if url is not None:
        raise BadRequest(f"The fields '{name}' and '{name}_url' have the same meaning. Send only one of them.")
    return _decoded(_text(fields, name), name, max_bytes)


def _url(fields: dict[str, Any], name: str, transfers: Transfers) -> URL | None:
    return transfers.check(_text(fields, name), name) if name in fields else None


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str) or not value:
        raise BadRequest(f"The field '{name}' must be a string that is not empty.")
    return value


def _decoded(text: str, name: str, max_bytes: int) -> bytes:
    """Decode base64 of any common form. The size is checked against `max_bytes` before the text is decoded.

    It accepts the standard and the URL-safe alphabet (RFC 4648, sections 4 and 5), with line breaks and other white
    space anywhere, with padding or without, and as a data: URL (RFC 2397), percent-encoded or not.
    """
    begin = text.lstrip()[:8].lower()
    if begin.startswith("data:"):
        head, comma, text = text.partition(",")
        if not comma or not head.rstrip().lower().endswith(";base64"):
            raise BadRequest(f"The data URL in the field '{name}' is not base64.")
        text = unquote(text)
    elif begin.startswith(("http://", "https://")):
        raise BadRequest(f"The field '{name}' needs base64. Send an address in '{name}_url'.")
    symbols = text.encode("utf-8", "replace").translate(_STANDARD_ALPHABET, _WHITE_SPACE).rstrip(b"=")
    if len(symbols) * 3 // 4 > max_bytes:
        advice = f" {SMALLER_DEPTH}" if name in ("depth", "pointmap") else ""
        raise TooLarge(f"The file in the field '{name}' is larger than {max_bytes} bytes.{advice}")
    try:
        decoded = base64.b64decode(symbols + b"=" * (-len(symbols) % 4), validate=True)
    except binascii.Error:
        raise BadRequest(f"The field '{name}' is not valid base64.") from None
    if not decoded:
        raise BadRequest(f"The file in the field '{name}' is empty.")
    return decoded
