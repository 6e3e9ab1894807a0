"""Turn a GLB with packed geometry into one that every reader understands."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.export.glb import meshopt_decoder, write
from sam3d_bento.export.glb.geometry import Geometry, plain


def unpacked(glb: bytes) -> bytes:
    """The same model with its geometry in float32; as it is, if it is so already. Only for what `write` made.

    Raises ValueError, KeyError, IndexError, TypeError or struct.error for anything else.
    """
    document, data = write.contents(glb)
    if "EXT_meshopt_compression" not in document.get("extensionsRequired", ()):
        return glb
    streams = [_stream(view, data) for view in document["bufferViews"][:4]]
    faces = streams[0]
    node = document["nodes"][0]
    places = streams[1].view("<u2")[:, :3]
    positions = places * np.float32(node.pop("scale")[0]) + np.array(node.pop("translation"), np.float32)
    sampled = document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    scale = sampled.pop("extensions")["KHR_texture_transform"]["scale"][0]
    uv = streams[3].view("<u2") * np.float32(scale / 65_535)

    mesh: Geometry = plain(positions, streams[2], uv, faces)
    picture = document["bufferViews"][4]
    at = picture["byteOffset"]
    views = [*mesh.views, mesh.append(data[at : at + picture["byteLength"]])]
    document |= {"accessors": mesh.accessors, "bufferViews": views, "buffers": [{"byteLength": len(mesh.data)}]}
    left = [name for name in document["extensionsRequired"] if name == "EXT_texture_webp"]
    for key in ("extensionsUsed", "extensionsRequired"):
        document[key] = left
        if not left:
            del document[key]
    return write.container(document, bytes(mesh.data))


def _stream(view: dict[str, Any], data: bytes) -> npt.NDArray[Any]:
    packed = view["extensions"]["EXT_meshopt_compression"]
    stream = data[packed["byteOffset"] : packed["byteOffset"] + packed["byteLength"]]
    if packed["mode"] == "TRIANGLES":
        return meshopt_decoder.decode_triangles(stream, packed["count"] // 3)
    elements = meshopt_decoder.decode_attributes(stream, packed["count"], packed["byteStride"])
    return meshopt_decoder.from_octahedral(elements) if packed.get("filter") == "OCTAHEDRAL" else elements
