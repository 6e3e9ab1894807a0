"""Join and split the container of a GLB: a header, the JSON document and one binary chunk (glTF 2.0, section 4)."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from sam3d_bento.errors import BadRequest

# From the glTF 2.0 specification, sections 4.4.2 and 4.4.3.
MAGIC, VERSION = b"glTF", 2
HEADER, CHUNK_HEADER = struct.Struct("<4sII"), struct.Struct("<I4s")
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"


def join(document: Mapping[str, Any], data: bytes) -> bytes:
    """Return the GLB of a glTF document and its binary chunk, whose length must be a multiple of four bytes.

    Raises ValueError when the document holds numbers that JSON cannot express.
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = CHUNK_HEADER.pack(len(text), JSON_CHUNK) + text + CHUNK_HEADER.pack(len(data), BINARY_CHUNK) + data
    return HEADER.pack(MAGIC, VERSION, HEADER.size + len(chunks)) + chunks


def split(glb: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the glTF document of a GLB and its binary chunk, which is empty if the file has none.

    Raises BadRequest for bytes that are not a binary glTF 2.0, or that end too soon.
    """
    try:
        magic, version, length = HEADER.unpack_from(glb)
        if (magic, version) != (MAGIC, VERSION) or length > len(glb):
            raise BadRequest("The file is not a binary glTF 2.0, or it is cut short.")
        kind, text, end = _chunk(glb, HEADER.size)
        if kind != JSON_CHUNK:
            raise BadRequest("The file is not a binary glTF 2.0: it does not begin with its document.")
        document = json.loads(text)
        data = b""
        if end < length:
            kind, data, _ = _chunk(glb, end)
            data = data if kind == BINARY_CHUNK else b""
    except (struct.error, ValueError, RecursionError) as exc:
        raise BadRequest("The file is not a binary glTF 2.0.") from exc
    if not isinstance(document, dict):
        raise BadRequest("The file is not a binary glTF 2.0: its document is not a JSON object.")
    return document, data


def _chunk(glb: bytes, start: int) -> tuple[bytes, bytes, int]:
    """Return the type, the content and the end of the chunk that starts at byte `start`."""
    length, kind = CHUNK_HEADER.unpack_from(glb, start)
    first = start + CHUNK_HEADER.size
    if first + length > len(glb):
        raise BadRequest("The file is not a binary glTF 2.0, or it is cut short.")
    return kind, glb[first : first + length], first + length
