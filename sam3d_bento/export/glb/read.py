"""The finished model, read back from the GLB that `export` wrote: what other formats and pictures are made from."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam3d_bento.arrays import Float32, Int32, UInt8
from sam3d_bento.errors import BadRequest

# From the glTF 2.0 specification: component types, and the largest value of those that may be normalized.
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}


@dataclass(frozen=True)
class TexturedMesh:
    """A textured mesh in the frame of `Reconstruction`; vertices are doubled along the texture's seams.

    positions, normals (N, 3) and uv (N, 2) float32, (0, 0) the image's top left; faces (F, 3) int32;
    texture: the image file; texture_type: its media type.
    """

    positions: Float32
    normals: Float32
    uv: Float32
    faces: Int32
    texture: bytes
    texture_type: str

    @cached_property
    def image(self) -> UInt8:
        """The texture's pixels, (H, W, 3) uint8 sRGB."""
        with Image.open(io.BytesIO(self.texture)) as picture:
            return np.asarray(picture.convert("RGB"))


def describe(glb: bytes) -> dict[str, Any]:
    """The glTF document of a GLB. Raises BadRequest when it is none."""
    try:
        magic, _, _, length, kind = struct.unpack_from("<4sIII4s", glb)
        if (magic, kind) != (b"glTF", b"JSON"):
            raise BadRequest("The file is no binary glTF.")
        document: dict[str, Any] = json.loads(glb[20 : 20 + length])
    except (struct.error, ValueError) as exc:
        raise BadRequest("The file is no binary glTF.") from exc
    return document


def is_plain(document: dict[str, Any]) -> bool:
    """Whether `read` can read it: its geometry is neither packed nor quantized."""
    return not document.get("extensionsRequired") or document["extensionsRequired"] == ["EXT_texture_webp"]


def read(glb: bytes) -> TexturedMesh:
    """The model in a GLB of `export`'s whose geometry is not compressed. Raises BadRequest for another."""
    document = describe(glb)
    if not is_plain(document):
        raise BadRequest("The model's geometry is compressed.")
    start = 20 + struct.unpack_from("<I", glb, 12)[0] + 8

    def view(index: int) -> bytes:
        found = document["bufferViews"][index]
        offset = start + found.get("byteOffset", 0)
        return glb[offset : offset + found["byteLength"]]

    def array(index: int) -> npt.NDArray[Any]:
        accessor = document["accessors"][index]
        width = WIDTHS[accessor["type"]]
        values = np.frombuffer(view(accessor["bufferView"]), COMPONENTS[accessor["componentType"]])
        return values[: accessor["count"] * width].reshape(-1, width)

    try:
        primitive = document["meshes"][0]["primitives"][0]
        attributes = primitive["attributes"]
        image = document["images"][0]
        return TexturedMesh(
            positions=array(attributes["POSITION"]).astype(np.float32),
            normals=array(attributes["NORMAL"]).astype(np.float32),
            uv=array(attributes["TEXCOORD_0"]).astype(np.float32),
            faces=array(primitive["indices"]).reshape(-1, 3).astype(np.int32),
            texture=view(image["bufferView"]),
            texture_type=image["mimeType"],
        )
    except (KeyError, IndexError, ValueError) as exc:
        raise BadRequest("The GLB is not laid out as this service writes them.") from exc


def sampled(image: UInt8, uv: Float32) -> Float32:
    """Colours (N, 3) of the image at uv, mixed from the four pixels around, 0..255."""
    height, width = image.shape[:2]
    place = uv.astype(np.float32) * np.array([width, height], np.float32) - np.float32(0.5)
    corner = np.floor(place).astype(int)
    x, y = (place - corner.astype(np.float32)).T[..., None]
    left, right = corner[:, 0].clip(0, width - 1), (corner[:, 0] + 1).clip(0, width - 1)
    top, bottom = corner[:, 1].clip(0, height - 1), (corner[:, 1] + 1).clip(0, height - 1)
    upper = image[top, left] * (1 - x) + image[top, right] * x
    lower = image[bottom, left] * (1 - x) + image[bottom, right] * x
    return np.asarray(upper * (1 - y) + lower * y)
