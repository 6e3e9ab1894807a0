"""Write one textured mesh as binary glTF 2.0."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from sam3d_bento import __version__
from sam3d_bento.arrays import Float32, Int32, UInt8
from sam3d_bento.export.glb import geometry, image

# Numbers from the glTF 2.0 specification.
MAGIC, VERSION = b"glTF", 2
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071


DOCUMENT_BYTES = 4000  # about what the JSON takes


def write(
    positions: Float32,
    normals: Float32,
    uv: Float32,
    faces: Int32,
    texture: UInt8,
    extras: Mapping[str, Any],
    *,
    texture_format: str = "png",
    compress: bool = False,
) -> bytes:
    """The GLB: one node, one mesh, one opaque material that is not metallic, its base colour a picture.

    positions, normals (N, 3) and uv (N, 2) float32, (0, 0) the image's top left; faces (F, 3) int32;
    texture (S, S, 3) uint8 sRGB; extras: JSON values for `asset.extras`. Equal inputs give equal bytes.
    texture_format: png, jpeg, or webp, which readers without EXT_texture_webp refuse. compress: quantized and packed
    geometry, which readers without EXT_meshopt_compression refuse.
    """
    mesh = (
        geometry.packed(positions, normals, uv, faces, len(texture))
        if compress
        else geometry.plain(positions, normals, uv, faces)
    )
    picture, media_type = image.encode(texture, texture_format, len(mesh.data) + DOCUMENT_BYTES if compress else 0)
    views = [*mesh.views, mesh.append(picture)]
    required = list(mesh.extensions)

    sampled: dict[str, Any] = {"source": 0, "sampler": 0}
    if texture_format == "webp":
        required.append("EXT_texture_webp")
        sampled = {"sampler": 0, "extensions": {"EXT_texture_webp": {"source": 0}}}
    base_colour: dict[str, Any] = {"index": 0}
    if mesh.uv_scale != 1:
        base_colour["extensions"] = {"KHR_texture_transform": {"scale": [mesh.uv_scale] * 2}}

    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"sam3d-bento {__version__}", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "object", "mesh": 0, **mesh.node}],
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
                    "baseColorTexture": base_colour,
                    "metallicFactor": 0,  # the default of 1 is black without an environment
                    "roughnessFactor": 1,
                },
            }
        ],
        "textures": [sampled],
        "images": [{"name": "base colour", "bufferView": len(views) - 1, "mimeType": media_type}],
        "samplers": [
            {
                "magFilter": LINEAR,
                "minFilter": LINEAR_MIPMAP_LINEAR,
                "wrapS": CLAMP_TO_EDGE,
                "wrapT": CLAMP_TO_EDGE,
            }
        ],
        "accessors": mesh.accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(mesh.data)}, *mesh.buffers],
    }
    if required:
        document |= {"extensionsUsed": sorted(required), "extensionsRequired": sorted(required)}
    return container(document, bytes(mesh.data))


def container(document: Mapping[str, Any], data: bytes) -> bytes:
    """Header, JSON chunk, binary chunk; little-endian, each chunk a multiple of four bytes long, as `data` must be."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", MAGIC, VERSION, 12 + len(body)) + body


def contents(glb: bytes) -> tuple[dict[str, Any], bytes]:
    """The document and the binary chunk of a GLB that `write` made. Raises ValueError, KeyError or struct.error for
    bytes that are none."""
    magic, version, _ = struct.unpack_from("<4sII", glb)
    (length,) = struct.unpack_from("<I", glb, 12)
    if magic != MAGIC or version != VERSION:
        raise ValueError("not binary glTF 2.0")
    return json.loads(glb[20 : 20 + length]), glb[28 + length :]
