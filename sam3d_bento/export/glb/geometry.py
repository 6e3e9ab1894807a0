"""The bufferViews and accessors of a mesh in a GLB: as they are, quantized, or quantized and packed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from sam3d_bento.arrays import Float32, Int32
from sam3d_bento.export.glb import meshopt_encoder as meshopt
from sam3d_bento.export.glb import order
from sam3d_bento.export.mesh.surface import bounds

# Numbers from the glTF 2.0 specification.
BYTE, UNSIGNED_SHORT, UNSIGNED_INT, FLOAT = 5120, 5123, 5125, 5126
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
MOST_SHORT = 65_535  # vertices with 16-bit indices: the index 65535 itself restarts a primitive

POSITION_BITS = 13  # an eight-thousandth of the longest side; half a step is less than a tenth of a texel of 1024
UV_STEPS = 16  # to a texel; the largest texture then just fits into 16 bits


@dataclass
class Geometry:
    """What goes into a GLB.

    data: the binary chunk so far. views, accessors: indices, positions, normals, texture coordinates, in this order.
    buffers: more buffers after the binary chunk. node: the node's transform. uv_scale: what texture coordinates are to
    be multiplied with. extensions: those that a reader must know.
    """

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)
    buffers: list[dict[str, Any]] = field(default_factory=list)
    node: dict[str, Any] = field(default_factory=dict)
    uv_scale: float = 1.0
    extensions: list[str] = field(default_factory=list)

    def append(self, content: bytes) -> dict[str, int]:
        """Put bytes into the binary chunk, padded to four; where they are."""
        place = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(content)}
        self.data += content + b"\0" * (-len(content) % 4)
        return place


def plain(positions: Float32, normals: Float32, uv: Float32, faces: Int32) -> Geometry:
    """As float32, with indices as small as they can be. Arrays as in `write_glb`."""
    geometry = Geometry()
    indices = _indices(faces, len(positions))
    geometry.views.append({**geometry.append(indices.tobytes()), "target": ELEMENT_ARRAY_BUFFER})
    geometry.accessors.append(_accessor(0, indices.ravel()))
    for vectors in (positions, normals, uv):
        geometry.views.append({**geometry.append(vectors.astype("<f4").tobytes()), "target": ARRAY_BUFFER})
        geometry.accessors.append(_accessor(len(geometry.accessors), vectors))
    geometry.accessors[1] |= _bounds(positions)
    return geometry


def quantized(positions: Float32, normals: Float32, uv: Float32, faces: Int32) -> Geometry:
    """Return the mesh in half the bytes, for readers of KHR_mesh_quantization; none of them needs a decoder.

    Positions become 16 bits of the longest side, which the node's transform undoes; normals bytes; texture coordinates
    16 bits of the texture's edge, a quarter of a texel of 4096 or less. Vertices and faces keep their order, and
    padding keeps each element at a multiple of four bytes. Arrays as in `write_glb`.
    """
    low, high = bounds(positions)
    step = max(float((high - low).max()) / MOST_SHORT, 1e-12)
    places = np.rint((positions - low) / step).clip(0, MOST_SHORT).astype("<u2")
    directions = np.rint(normals * 127).astype(np.int8)
    coordinates = np.rint(uv * MOST_SHORT).astype("<u2")
    indices = _indices(faces, len(positions))

    geometry = Geometry(node={"translation": low.tolist(), "scale": [step] * 3}, extensions=["KHR_mesh_quantization"])
    geometry.views.append({**geometry.append(indices.tobytes()), "target": ELEMENT_ARRAY_BUFFER})
    for elements in (np.pad(places, ((0, 0), (0, 1))), np.pad(directions, ((0, 0), (0, 1))), coordinates):
        stride = {"byteStride": elements.itemsize * elements.shape[1], "target": ARRAY_BUFFER}
        geometry.views.append({**geometry.append(np.ascontiguousarray(elements).tobytes()), **stride})
    geometry.accessors = [
        _accessor(0, indices.ravel()),
        _accessor(1, places) | _bounds(places),
        _signed_bytes(2, len(positions)),
        _accessor(3, coordinates) | {"normalized": True},
    ]
    return geometry


def packed(positions: Float32, normals: Float32, uv: Float32, faces: Int32, texture_size: int) -> Geometry:
    """Quantized (KHR_mesh_quantization) and packed (EXT_meshopt_compression), its vertices and faces in another order.

    Positions become 13 bits of the longest side, which the node's transform undoes; normals bytes; texture coordinates
    a sixteenth of a texel, which KHR_texture_transform undoes. Arrays as in `write_glb`.
    """
    vertices, faces = order.by_first_use(order.in_fans(faces, len(positions)))
    low, high = bounds(positions)
    step = max(float((high - low).max()) / ((1 << POSITION_BITS) - 1), 1e-12)
    places = np.rint((positions[vertices] - low) / step).astype("<u2")
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
    streams = (
        (meshopt.encode_triangles(faces), {"mode": "TRIANGLES"}, indices.itemsize, indices.size),
        (meshopt.encode_attributes(four_aligned.view(np.uint8)), {"mode": "ATTRIBUTES"}, 8, len(vertices)),
        (
            meshopt.encode_attributes(meshopt.octahedral(normals[vertices])),
            {"mode": "ATTRIBUTES", "filter": "OCTAHEDRAL"},
            4,
            len(vertices),
        ),
        (meshopt.encode_attributes(coordinates.view(np.uint8)), {"mode": "ATTRIBUTES"}, 4, len(vertices)),
    )
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
    # What the unpacked data would fill; the file does not have it.
    geometry.buffers = [{"byteLength": unpacked, "extensions": {"EXT_meshopt_compression": {"fallback": True}}}]
    return geometry


def _indices(faces: Int32, vertices: int) -> npt.NDArray[Any]:
    return faces.astype("<u2" if vertices <= MOST_SHORT else "<u4")


def _signed_bytes(view: int, count: int) -> dict[str, Any]:
    """Return the accessor of unit vectors as bytes."""
    return {"bufferView": view, "componentType": BYTE, "normalized": True, "count": count, "type": "VEC3"}


def _accessor(view: int, values: npt.NDArray[Any]) -> dict[str, Any]:
    component = {"f": FLOAT, "u": UNSIGNED_SHORT if values.itemsize == 2 else UNSIGNED_INT}[values.dtype.kind]
    kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}"
    return {"bufferView": view, "componentType": component, "count": len(values), "type": kind}


def _bounds(values: npt.NDArray[Any]) -> dict[str, Any]:
    return {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
