"""What a stored GLB says of itself, and the name under which a result is saved, written into `Content-Disposition`."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sam3d_bento import names
from sam3d_bento.serving.assets import Disposition
from sam3d_bento.serving.assets.regular_file import open_regular

# The beginning of a GLB that holds its JSON document, which has five kilobytes, and room for long details.
HEAD_BYTES = 64_000
# From glTF 2.0, section 4.4: the header of the file, and the header of its first chunk.
_HEADERS = struct.Struct("<4sIII4s")
# The characters that a quoted text of a header may have, as they are (RFC 9110, section 5.6.4). A percent sign is not
# one here, because some browsers decode it.
_NOT_QUOTABLE = re.compile(r"[^ !#-$&-\[\]-~]")


def of_glb(head: bytes) -> str:
    """Return the name of the result in a GLB, clean. head: the file, or its first HEAD_BYTES bytes.

    UNNAMED for anything that has no name. The file may come from an engine process that was taken over, or from a
    folder that others write, so nothing in it is trusted.
    """
    return cleaned_name(extras_of_glb(head))


def cleaned_name(extras: dict[str, Any]) -> str:
    """Return the name in the `asset.extras` of a GLB, clean; UNNAMED without one."""
    name = extras.get("name")
    return names.cleaned(name[: names.MAX_INPUT_CHARACTERS]) if isinstance(name, str) else names.UNNAMED


def extras_of_glb(head: bytes) -> dict[str, Any]:
    """Return the `asset.extras` of a GLB. head: the file, or its first HEAD_BYTES bytes.

    Empty for anything that has none, and for a document that is longer than the head. As untrusted as in `of_glb`.
    """
    try:
        magic, _, _, length, kind = _HEADERS.unpack_from(head)
        if (magic, kind) != (b"glTF", b"JSON") or length > len(head):
            return {}
        extras: Any = json.loads(head[_HEADERS.size : _HEADERS.size + length])["asset"]["extras"]
        return extras if isinstance(extras, dict) else {}
    except (struct.error, ValueError, KeyError, TypeError, RecursionError):
        return {}


def extras_of_file(path: Path) -> dict[str, Any]:
    """Return the `asset.extras` of the GLB at a path. Raises FileNotFoundError as `open_regular` does."""
    with open_regular(path) as file:
        return extras_of_glb(file.read(HEAD_BYTES))


def of_file(path: Path) -> str:
    """Return the name of the result in the GLB at a path. Raises FileNotFoundError as `open_regular` does."""
    with open_regular(path) as file:
        return of_glb(file.read(HEAD_BYTES))


def content_disposition(disposition: Disposition, name: str, suffix: str) -> str:
    """Return the header `Content-Disposition` of a file of the result called `name` (RFC 6266).

    `filename*` has the name in any script (RFC 8187). `filename` has it for clients that do not know the other, with
    underscores for what is not ASCII; the former is left out where both are the same.
    """
    file_name = f"{name}.{suffix}"
    plain = _NOT_QUOTABLE.sub("_", file_name)
    extended = "" if plain == file_name else f"; filename*=UTF-8''{quote(file_name, safe='')}"
    return f'{disposition}; filename="{plain}"{extended}'
