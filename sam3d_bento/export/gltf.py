"""Write one textured mesh as binary glTF 2.0."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam3d_bento import __version__
from sam3d_bento.reconstruction import Float32, Int32, UInt8

# Numbers from the glTF 2.0 specification.
MAGIC, VERSION = b"glTF", 2
UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5123, 5125, 5126
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071
MOST_SHORT = 65_535  # vertices with 16-bit indices: the index 65535 itself restarts a primitive

PNG_LEVEL = 4  # about as small as the default of 6, in less than half the time


def write(
    positions: Float32, normals: Float32, uv: Float32, faces: Int32, texture: UInt8, extras: Mapping[str, Any]
) -> bytes:
    """The GLB: one node, one mesh, one opaque material that is not metallic, its base colour a PNG.

    positions, normals (N, 3) and uv (N, 2) float32, (0, 0) the image's top left; faces (F, 3) int32;
    texture (S, S, 3) uint8 sRGB; extras: JSON values for `asset.extras`. Equal inputs give equal bytes.
    """
    index_type, component = ("<u2", UNSIGNED_SHORT) if len(positions) <= MOST_SHORT else ("<u4", UNSIGNED_INT)
    chunks = _Chunks()
    accessors = [
        {
            "bufferView": chunks.add(faces.astype(index_type).tobytes(), target=ELEMENT_ARRAY_BUFFER),
            "componentType": component,
            "count": faces.size,
            "type": "SCALAR",
        },
        _accessor(chunks, positions) | {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()},
        _accessor(chunks, normals),
        _accessor(chunks, uv),
    ]
    image = chunks.add(_png(texture))
    document = {
        "asset": {"version": "2.0", "generator": f"sam3d-bento {__version__}", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "object", "mesh": 0}],
        "meshes": [
            {
                "name": "object",
                "primitives": [
                    {
                        "attributes": {"POSITION": 1, "NORMAL": 2, "TEXCOORD_0": 3},
                        "indices": 0,
                        "material": 0,
                    }
                ],
            }
        ],
        "materials": [
            {
                "name": "object",
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0,  # the default of 1 is black without an environment
                    "roughnessFactor": 1,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "images": [{"name": "base colour", "bufferView": image, "mimeType": "image/png"}],
        "samplers": [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": CLAMP_TO_EDGE,
                "wrapT": CLAMP_TO_EDGE,
            }
        ],
        "accessors": accessors,
        "bufferViews": chunks.views,
        "buffers": [{"byteLength": len(chunks.data)}],
    }
    return _container(document, bytes(chunks.data))


class _Chunks:
    """The binary buffer while it grows, and the views into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, int]] = []

    def add(self, content: bytes, **view: int) -> int:
        """Append, padded to four bytes; the index of the new view."""
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content), **view})
        self.data += _padded(content, b"\0")
        return len(self.views) - 1


def _accessor(chunks: _Chunks, vectors: npt.NDArray[np.float32]) -> dict[str, Any]:
    return {
        "bufferView": chunks.add(vectors.astype("<f4").tobytes(), target=ARRAY_BUFFER),
        "componentType": FLOAT,
        "count": len(vectors),
        "type": f"VEC{vectors.shape[1]}",
    }


def _png(texture: UInt8) -> bytes:
    file = io.BytesIO()
    Image.fromarray(texture).save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()


def _padded(content: bytes, fill: bytes) -> bytes:
    return content + fill * (-len(content) % 4)


def _container(document: dict[str, Any], data: bytes) -> bytes:
    """Header, JSON chunk, binary chunk; little-endian, each chunk a multiple of four bytes long."""
    text = _padded(json.dumps(document, separators=(",", ":"), allow_nan=False).encode(), b" ")
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", MAGIC, VERSION, 12 + len(body)) + body
