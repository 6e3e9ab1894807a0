"""Build the bufferViews and accessors of a mesh in a GLB: plain, quantized, or quantized and packed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.glb import meshopt_encoder as meshopt
from sam3d_bento.export.glb import order
from sam3d_bento.export.mesh.surface import bounds
from sam3d_bento.options import Compression

# Numbers from the glTF 2.0 specification.
BYTE, UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5120, 5123, 5125, 5126
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
MOST_SHORT = 65_535  # maximum number of vertices for 16-bit indices: the index 65535 itself restarts a primitive

# Steps of quantized positions along the longest side. Packed: 15 bits, which cost smooth colours .3 dB at most, where
# 13 bits cost up to 1.4 dB and save a seventeenth of the geometry's bytes. Quantized only: 16 bits, which a position
# takes up anyway.
PACKED_STEPS, QUANTIZED_STEPS = (1 << 15) - 1, MOST_SHORT
UV_STEPS = 16  # steps of packed texture coordinates in a texel; with these, the largest texture just fits into 16 bits


# Names of the vertices' attributes, in the order of their accessors.
ATTRIBUTES = ("POSITION", "NORMAL", "TEXCOORD_0", "TANGENT")


@dataclass
class Geometry:
    """Mesh data of a GLB, before its texture is appended.

    data: the binary chunk so far. views, accessors: of the indices, positions, normals and texture coordinates, in this
    order, and of the tangents if there are any. buffers: buffers after the binary chunk. node: the node's transform.
    uv_scale: the factor by which a reader must multiply texture coordinates. extensions: those that a reader must
    support.
    """

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    buffers: list[dict[str, Any]] = field(default_factory=list)
    node: dict[str, Any] = field(default_factory=dict)
    uv_scale: float = 1.0
    extensions: list[str] = field(default_factory=list)

    @property
    def attributes(self) -> dict[str, int]:
        """Return the accessors of the vertices' attributes by their names."""
        return {name: 1 + place for place, name in enumerate(ATTRIBUTES[: len(self.accessors) - 1])}

    def append(self, content: bytes) -> dict[str, int]:
        """Append bytes to the binary chunk, padded to a multiple of four; return their place as a bufferView."""
        place = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
        self.data += content + b"\0" * (-len(content) % 4)
        return place


def plain(positions: Float32, normals: Float32, uv: Float32, faces: Int32, tangents: Float32 | None = None) -> Geometry:
    """Return the mesh as float32, with the smallest indices that suffice. Arrays as in `write_glb`."""
    geometry = Geometry()
    indices = _indices(faces, len(positions))
    geometry.views.append({**geometry.append(indices.tobytes()), "target": ELEMENT_ARRAY_BUFFER})
    geometry.accessors.append(_accessor(0, indices.ravel()))
    for vectors in (positions, normals, uv, *(() if tangents is None else (tangents,))):
        geometry.views.append({**geometry.append(vectors.astype("<f4").tobytes()), "target": ARRAY_BUFFER})
        geometry.accessors.append(_accessor(len(geometry.accessors), vectors))
    geometry.accessors[1] |= _bounds(positions)
    return geometry


def quantized(
    positions: Float32, normals: Float32, uv: Float32, faces: Int32, tangents: Float32 | None = None
) -> Geometry:
    """Return the mesh in half the bytes, for readers of KHR_mesh_quantization, none of which needs a decoder.

    Positions become 16 bits along the longest side, which the node's transform undoes. Normals and tangents become
    bytes. Texture coordinates become 16 bits along the texture's edge: a step is about a sixteenth of a texel in a
    texture of 4096, and finer in a smaller one. Vertices and faces keep their order. Padding keeps each element at a
    multiple of four bytes. Arrays as in `write_glb`.
    """
    low, step, places = _on_grid(positions, QUANTIZED_STEPS)
    directions = np.rint(normals * 127).astype(np.int8)
    coordinates = np.rint(uv * MOST_SHORT).astype("<u2")
    indices = _indices(faces, len(positions))

    geometry = Geometry(node={"translation": low.tolist(), "scale": [step] * 3}, extensions=["KHR_mesh_quantization"])
    geometry.views.append({**geometry.append(indices.tobytes()), "target": ELEMENT_ARRAY_BUFFER})
    attributes: list[npt.NDArray[Any]]
    attributes = [np.pad(places, ((0, 0), (0, 1))), np.pad(directions, ((0, 0), (0, 1))), coordinates]
    if tangents is not None:
        attributes.append(np.rint(tangents * 127).astype(np.int8))
    for elements in attributes:
        stride = {"byteStride": elements.itemsize * elements.shape[1], "target": ARRAY_BUFFER}
        geometry.views.append({**geometry.append(np.ascontiguousarray(elements).tobytes()), **stride})
    geometry.accessors = [
        _accessor(0, indices.ravel()),
        _accessor(1, places) | _bounds(places),
        _signed_bytes(2, len(positions)),
        _accessor(3, coordinates) | {"normalized": True},
    ]
    if tangents is not None:
        geometry.accessors.append(_signed_bytes(4, len(positions), "VEC4"))
    return geometry


def packed(
    positions: Float32,
    normals: Float32,
    uv: Float32,
    faces: Int32,
    texture_size: int,
    tangents: Float32 | None = None,
) -> Geometry:
    """Return the mesh quantized (KHR_mesh_quantization) and packed (EXT_meshopt_compression).

    Positions become 15 bits along the longest side, which the node's transform undoes. Normals and tangents become
    bytes. Texture coordinates become sixteenths of a texel, which KHR_texture_transform undoes. Vertices and
    faces get another order. Arrays as in `write_glb`.
    """
    vertices, faces = order.by_first_use(order.in_fans(faces, len(positions)))
    low, step, places = _on_grid(positions, PACKED_STEPS)
    places = places.take(vertices, axis=0)
    corners = texture_size * UV_STEPS - 1
    coordinates = np.rint(uv[vertices] * corners).astype("<u2")

    geometry = Geometry(
        node={"translation": low.tolist(), "scale": [step] * 3},
        uv_scale=65_535 / corners,
        extensions=["EXT_meshopt_compression", "KHR_mesh_quantization", "KHR_texture_transform"],
    )
    indices = _indices(faces, len(vertices))
    geometry.accessors = [
        _accessor(0, indices.ravel()),
        _accessor(1, places) | _bounds(places),
        _signed_bytes(2, len(vertices)),
        _accessor(3, coordinates) | {"normalized": True},
    ]
    four_aligned = np.pad(places, ((0, 0), (0, 1)))
    streams = [
        (meshopt.encode_triangles(faces), {"mode": "TRIANGLES"}, indices.itemsize, indices.size),
        (meshopt.encode_attributes(four_aligned.view(np.uint8)), {"mode": "ATTRIBUTES"}, 8, len(vertices)),
        (
            meshopt.encode_attributes(meshopt.octahedral(normals[vertices])),
            {"mode": "ATTRIBUTES", "filter": "OCTAHEDRAL"},
            4,
            len(vertices),
        ),
        (meshopt.encode_attributes(coordinates.view(np.uint8)), {"mode": "ATTRIBUTES"}, 4, len(vertices)),
    ]
    if tangents is not None:
        folded = meshopt.octahedral(tangents[vertices, :3])
        folded.view(np.int8)[:, 3] = 127 * tangents[vertices, 3]  # the filter leaves the fourth byte as it is
        how = {"mode": "ATTRIBUTES", "filter": "OCTAHEDRAL"}
        streams.append((meshopt.encode_attributes(folded), how, 4, len(vertices)))
        geometry.accessors.append(_signed_bytes(4, len(vertices), "VEC4"))
    unpacked = 0
    for content, how, stride, count in streams:
        extension = {**geometry.append(content), "byteStride": stride, "count": count, **how}
        view: dict[str, Any] = {"buffer": 1, "byteOffset": unpacked, "byteLength": stride * count}
        if how["mode"] == "TRIANGLES":
            view["target"] = ELEMENT_ARRAY_BUFFER
        else:
            view |= {"byteStride": stride, "target": ARRAY_BUFFER}
        geometry.views.append({**view, "extensions": {"EXT_meshopt_compression": extension}})
        unpacked += stride * count + -stride * count % 4
    # The buffer that the unpacked data would fill. The file does not contain it.
    geometry.buffers = [{"byteLength": unpacked, "extensions": {"EXT_meshopt_compression": {"fallback": True}}}]
    return geometry


def as_written(positions: Float32, compress: Compression) -> npt.NDArray[Any]:
    """Return the vertices' positions (N, 3) in the file, in any unit. With compression, they lie on a grid."""
    if not compress:
        return positions
    return _on_grid(positions, QUANTIZED_STEPS if compress == "quantize" else PACKED_STEPS)[2]


def _on_grid(positions: Float32, steps: int) -> tuple[Float32, float, npt.NDArray[np.uint16]]:
    """Return the grid's origin (3,), the length of its step, and the nearest grid points (N, 3) to positions (N, 3).

    steps: number of steps along the longest side.
    """
    low, high = bounds(positions)
    step = max(float((high - low).max()) / steps, 1e-12)
    places: npt.NDArray[np.uint16] = np.rint((positions - low) / step).clip(0, steps).astype("<u2")
    return low, step, places


def _indices(faces: Int32, vertices: int) -> npt.NDArray[Any]:
    return faces.astype("<u2" if vertices <= MOST_SHORT else "<u4")


def _signed_bytes(view: int, count: int, kind: str = "VEC3") -> dict[str, Any]:
    """Return the accessor of unit vectors as bytes."""
    return {"bufferView": view, "componentType": BYTE, "normalized": True, "count": count, "type": kind}


def _accessor(view: int, values: npt.NDArray[Any]) -> dict[str, Any]:
    component = {"f": FLOAT, "u": UNSIGNED_SHORT if values.itemsize == 2 else UNSIGNED_INT}[values.dtype.kind]
    kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
    return {"bufferView": view, "componentType": component, "count": len(values), "type": kind}


def _bounds(values: npt.NDArray[Any]) -> dict[str, Any]:
    return {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
