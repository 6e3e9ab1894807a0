"""Read a GLB that `write_glb` made, plain, quantized or packed, into a textured mesh.

Other formats and pictures are made from the mesh. What `write_glb` never makes is refused: several meshes, a rotated
node, sparse accessors, a reference to another file.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam3d_bento import names
from sam3d_bento.arrays import Float32, Int32, UInt8
from sam3d_bento.errors import BadRequest
from sam3d_bento.export.glb import container, meshopt_decoder
from sam3d_bento.export.glb.relief import Relief

# From the glTF 2.0 specification, sections 3.6.2.2 and 3.6.2.3: component types and elements.
COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
TRIANGLES = 4  # mode of a primitive; it is the default

# Extensions of glTF that change how a file is read, and all that a readable file may require.
MESHOPT, WEBP, TRANSFORM = "EXT_meshopt_compression", "EXT_texture_webp", "KHR_texture_transform"
READABLE = frozenset({MESHOPT, WEBP, TRANSFORM, "KHR_mesh_quantization"})

# What reading raises when the parts of a file do not fit together.
MISFITS = (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError, struct.error)


@dataclass(frozen=True)
class TexturedMesh:
    """Textured mesh in the frame of `Reconstruction`; vertices are duplicated along the texture's seams.

    positions, normals (N, 3) and uv (N, 2) float32, (0, 0) the image's top left; faces (F, 3) int32; texture: the image
    file; texture_type: its media type. name: of the node; clean, as `names.cleaned` says. normal_map, normal_map_type:
    the same of the normal map, if there is one; with it, tangents (N, 4) float32 are those of the GLB's own frame.
    """

    positions: Float32
    normals: Float32
    uv: Float32
    faces: Int32
    texture: bytes
    texture_type: str
    name: str = names.UNNAMED
    normal_map: bytes | None = None
    normal_map_type: str = ""
    tangents: Float32 | None = None

    @cached_property
    def image(self) -> UInt8:
        """Return the texture's pixels, (H, W, 3) uint8 sRGB."""
        return decoded(self.texture)

    @property
    def relief(self) -> Relief | None:
        """Return the normal map as `write_glb` takes it, or None without one."""
        if self.normal_map is None or self.tangents is None:
            return None
        return Relief(decoded(self.normal_map), self.tangents)


def decoded(picture: bytes) -> UInt8:
    """Return the pixels (H, W, 3) uint8 of an image file."""
    with Image.open(io.BytesIO(picture)) as opened:
        return np.asarray(opened.convert("RGB"))


def read_document(glb: bytes) -> dict[str, Any]:
    """Return the glTF document of a GLB. Raises BadRequest for bytes that are not a GLB."""
    return container.split(glb)[0]


def read_extras(glb: bytes) -> dict[str, Any]:
    """Return what a GLB says of itself in `asset.extras`. Raises BadRequest as `read_document`."""
    extras: dict[str, Any] = read_document(glb).get("asset", {}).get("extras", {})
    return extras


def read_glb(glb: bytes) -> TexturedMesh:
    """Read the mesh and the texture of a GLB that `write_glb` made.

    The mesh has the precision of the file. Packed: positions of 15 bits along the longest side, normals of 8 bits a
    component, texture coordinates in sixteenths of a texel, and another order of vertices and faces than the one that
    was written. Quantized: positions and texture coordinates of 16 bits, normals of 8, and the same order. The texture
    stays encoded as it is. Raises BadRequest for bytes that are not a GLB, or a GLB with another layout.
    """
    document, data = container.split(glb)
    unknown = sorted(set(document.get("extensionsRequired", ())) - READABLE)
    if unknown:
        raise BadRequest(f"The GLB needs extensions that are not read here: {', '.join(map(str, unknown))}.")
    try:
        return _File(document, data).mesh()
    except MISFITS as exc:
        raise BadRequest("The GLB is not laid out as this service writes them.") from exc


@dataclass(frozen=True)
class _File:
    """Parts of a GLB: the glTF document, and the binary chunk that is its first buffer."""

    document: dict[str, Any]
    data: bytes

    def mesh(self) -> TexturedMesh:
        """Read the file's only mesh. Raises one of MISFITS when the file does not have the layout of `write_glb`."""
        (mesh,) = self.document["meshes"]
        (primitive,) = mesh["primitives"]
        (node,) = self.document["nodes"]
        if node.keys() & {"rotation", "matrix", "children"} or primitive.get("mode", TRIANGLES) != TRIANGLES:
            raise ValueError("a node that is turned or has others below it, or a mesh that is not of triangles")
        attributes = primitive["attributes"]
        positions = self._array(attributes["POSITION"], 3)
        faces = self._array(primitive["indices"], 1).reshape(-1, 3).astype(np.int32)
        if len(faces) and not 0 <= faces.min() <= faces.max() < len(positions):
            raise ValueError("faces of vertices that do not exist")
        normals, uv = self._array(attributes["NORMAL"], 3), self._array(attributes["TEXCOORD_0"], 2)
        if not len(positions) == len(normals) == len(uv):
            raise ValueError("attributes of different lengths")
        (material,) = self.document["materials"]
        sampled = material["pbrMetallicRoughness"]["baseColorTexture"]
        transform = sampled.get("extensions", {}).get(TRANSFORM, {})
        if transform.get("rotation"):
            raise ValueError("a texture that is turned")
        texture, texture_type = self._picture(sampled)
        normal_map, normal_map_type, tangents = None, "", None
        if "normalTexture" in material:
            normal_map, normal_map_type = self._picture(material["normalTexture"])
            tangents = self._array(attributes["TANGENT"], 4).astype(np.float32)
            if len(tangents) != len(positions):
                raise ValueError("attributes of different lengths")
            if self._is_normalized(attributes["TANGENT"]):
                tangents[:, :3] = _unit(tangents[:, :3])
        return TexturedMesh(
            positions=_placed(positions, node.get("scale"), node.get("translation")),
            normals=_unit(normals) if self._is_normalized(attributes["NORMAL"]) else normals,
            uv=_placed(uv, transform.get("scale"), transform.get("offset")),
            faces=faces,
            texture=texture,
            texture_type=texture_type,
            name=names.cleaned(str(node.get("name", ""))),
            normal_map=normal_map,
            normal_map_type=normal_map_type,
            tangents=tangents,
        )

    def _picture(self, sampled: dict[str, Any]) -> tuple[bytes, str]:
        """Return the image file that a material's reference to a texture leads to, and its media type."""
        texture = self.document["textures"][sampled["index"]]
        picture = self.document["images"][texture.get("extensions", {}).get(WEBP, texture)["source"]]
        return self._view(picture["bufferView"]).tobytes(), str(picture["mimeType"])

    def _is_normalized(self, index: int) -> bool:
        return bool(self.document["accessors"][index].get("normalized"))

    def _array(self, index: int, width: int) -> npt.NDArray[Any]:
        """Return the elements of an accessor, (count, width); normalized integers become float64, -1 to 1.

        The formula is that of the glTF 2.0 specification, section 3.11.
        """
        accessor = self.document["accessors"][index]
        if "sparse" in accessor or WIDTHS[accessor["type"]] != width:
            raise ValueError("an accessor of another kind")
        component = np.dtype(COMPONENTS[accessor["componentType"]])
        view = self.document["bufferViews"][accessor["bufferView"]]
        strides = (view.get("byteStride", component.itemsize * width), component.itemsize)
        stored = self._view(accessor["bufferView"])
        offset = accessor.get("byteOffset", 0)
        values: npt.NDArray[Any] = np.ndarray((accessor["count"], width), component, stored, offset, strides).copy()
        if not accessor.get("normalized"):
            return values
        return np.maximum(values / np.iinfo(component).max, -1)

    def _view(self, index: int) -> UInt8:
        """Return the bytes of a bufferView, unpacked if they are packed."""
        view = self.document["bufferViews"][index]
        packed = view.get("extensions", {}).get(MESHOPT)
        place = view if packed is None else packed
        start, end = place.get("byteOffset", 0), place.get("byteOffset", 0) + place["byteLength"]
        if place["buffer"] != 0 or not 0 <= start <= end <= len(self.data):
            raise ValueError("a bufferView outside of the file")
        stored = self.data[start:end]
        return np.frombuffer(stored, np.uint8) if packed is None else _unpacked(stored, packed)


def _unpacked(stream: bytes, packed: dict[str, Any]) -> UInt8:
    """Decode a stream of EXT_meshopt_compression; return its bytes. packed: the bufferView's extension object."""
    count, stride = packed["count"], packed["byteStride"]
    if packed["mode"] == "TRIANGLES":
        indices = meshopt_decoder.decode_triangles(stream, count // 3)
        return indices.astype(f"<u{stride}").view(np.uint8).ravel()
    elements = meshopt_decoder.decode_attributes(stream, count, stride)
    if packed.get("filter", "NONE") == "OCTAHEDRAL":
        vectors = meshopt_decoder.to_signed_bytes(meshopt_decoder.from_octahedral(elements))
        vectors[:, 3] = elements[:, 3]  # a tangent's sign, which the filter leaves as it is
        elements = vectors
    return elements.ravel()


def _placed(values: npt.NDArray[Any], scale: Any, offset: Any) -> Float32:
    """Return values (N, K) times a scale (K,) plus an offset (K,), as float32; None stands for no scale or no offset.

    They are computed in float64, so that what was 1 before quantization is not above 1 afterwards.
    """
    if scale is not None:
        values = values * np.array(scale, np.float64)
    if offset is not None:
        values = values + np.array(offset, np.float64)
    placed: Float32 = values.astype(np.float32)
    return placed


def _unit(normals: npt.NDArray[Any]) -> Float32:
    """Scale vectors (N, 3) to length 1; return float32. A vector of length 0 stays as it is."""
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    unit: Float32 = (normals / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def sampled(image: UInt8, uv: Float32) -> Float32:
    """Return the colours (N, 3), 0..255, of the image at uv (N, 2), interpolated between the four nearest pixels."""
    height, width = image.shape[:2]
    place = uv.astype(np.float32) * np.array([width, height], np.float32) - np.float32(0.5)
    corner = np.floor(place).astype(int)
    x, y = (place - corner.astype(np.float32)).T[..., None]
    left, right = corner[:, 0].clip(0, width - 1), (corner[:, 0] + 1).clip(0, width - 1)
    top, bottom = corner[:, 1].clip(0, height - 1), (corner[:, 1] + 1).clip(0, height - 1)
    upper = image[top, left] * (1 - x) + image[top, right] * x
    lower = image[bottom, left] * (1 - x) + image[bottom, right] * x
    return np.asarray(upper * (1 - y) + lower * y)
