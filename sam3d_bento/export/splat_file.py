"""Write Gaussians as a PLY that viewers of 3D Gaussian Splatting read, or as a GLB of KHR_gaussian_splatting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sam3d_bento import __version__
from sam3d_bento.arrays import Float32, Float64
from sam3d_bento.export.glb import container
from sam3d_bento.export.glb.geometry import ARRAY_BUFFER, FLOAT, MOST_SHORT, UNSIGNED_SHORT
from sam3d_bento.formats import Format
from sam3d_bento.names import UNNAMED
from sam3d_bento.reconstruction import SH_C0, Splats

# Limits within which the logit of an opacity and the logarithm of a scale (scene units) are finite. Values beyond them
# look the same: fully opaque, fully transparent, or a point.
OPAQUE = 1 - 1e-6
SMALLEST_SCALE = 1e-9

# Names of the file's properties, in the order of the columns.
FIELDS = (
    *("x", "y", "z", "nx", "ny", "nz"),
    *("f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)

EXTENSION = "KHR_gaussian_splatting"
# Mode of a primitive, from the glTF 2.0 specification.
POINTS = 0


def to_ply(splats: Splats) -> bytes:
    """Return a binary PLY with the field names of the original code, in the frame of the mesh.

    f_dc holds the sRGB colours, opacity is a logit, scale is a logarithm, and rotation is wxyz. The normals are 0, as
    in the files of the original code.
    """
    opacity = splats.opacity.astype(np.float64).clip(1 - OPAQUE, OPAQUE)
    columns = np.column_stack(
        [
            splats.positions,
            np.zeros_like(splats.positions),
            _zeroth_harmonic(splats),
            np.log(opacity / (1 - opacity)),
            np.log(splats.scale.clip(SMALLEST_SCALE)),
            splats.rotation,
        ]
    )
    lines = ("ply", "format binary_little_endian 1.0", f"element vertex {len(columns)}")
    properties = (f"property float {name}" for name in FIELDS)
    header = "\n".join((*lines, *properties, "end_header\n"))
    return header.encode() + columns.astype("<f4").tobytes()


def to_glb(splats: Splats, name: str = UNNAMED) -> bytes:
    """Return a GLB of points that are Gaussians for readers of KHR_gaussian_splatting, in the frame of the mesh.

    Other readers show coloured points: COLOR_0 has the colours, linear as glTF demands, and the opacity. As in the
    extension's specification, ROTATION is xyzw, SCALE is a standard deviation, and the colour that is shown, sRGB, is
    0.5 + SH_C0 · SH_DEGREE_0_COEF_0. name: of the node and the mesh. Equal Gaussians give equal bytes.
    """
    opacity = splats.opacity.clip(0, 1).reshape(-1, 1)
    attributes: dict[str, Any] = {
        "POSITION": splats.positions,
        f"{EXTENSION}:ROTATION": _unit_xyzw(splats.rotation),
        f"{EXTENSION}:SCALE": splats.scale.clip(0),
        f"{EXTENSION}:OPACITY": opacity,
        f"{EXTENSION}:SH_DEGREE_0_COEF_0": _zeroth_harmonic(splats),
        "COLOR_0": np.hstack([_linear(splats.colours), opacity]),
    }
    accessors: list[dict[str, Any]] = []
    views: list[dict[str, Any]] = []
    data = bytearray()
    for attribute, values in attributes.items():
        is_colour = attribute == "COLOR_0"
        stored = np.rint(values * MOST_SHORT).astype("<u2") if is_colour else values.astype("<f4")
        width = values.shape[1]
        accessor: dict[str, Any] = {"bufferView": len(views), "count": len(values)}
        accessor |= {"type": "SCALAR" if width == 1 else f"VEC{width}"}
        accessor |= {"componentType": UNSIGNED_SHORT, "normalized": True} if is_colour else {"componentType": FLOAT}
        accessors.append(accessor)
        content = stored.tobytes()
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(content), "target": ARRAY_BUFFER})
        data += content  # all elements are multiples of four bytes
    accessors[0] |= {"min": splats.positions.min(0).tolist(), "max": splats.positions.max(0).tolist()}
    primitive = {
        "attributes": {attribute: index for index, attribute in enumerate(attributes)},
        "mode": POINTS,
        "extensions": {EXTENSION: {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}},
    }
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"sam3d-bento {__version__}", "extras": {"name": name}},
        "extensionsUsed": [EXTENSION],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0}],
        "meshes": [{"name": name, "primitives": [primitive]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(data)}],
    }
    return container.join(document, bytes(data))


def _zeroth_harmonic(splats: Splats) -> Float64:
    """Return the coefficients (G, 3) of the zeroth spherical harmonic that give the sRGB colours."""
    coefficients: Float64 = (splats.colours / 255.0 - 0.5) / SH_C0
    return coefficients


def _unit_xyzw(rotation: Float32) -> Float64:
    """Return quaternions (G, 4), which are wxyz, as unit quaternions xyzw. One of length 0 turns nothing."""
    turns = rotation.astype(np.float64)
    lengths = np.linalg.norm(turns, axis=1, keepdims=True)
    unit: Float64 = np.where(lengths > 0, turns / np.where(lengths > 0, lengths, 1), [1, 0, 0, 0])
    return unit[:, [1, 2, 3, 0]]


def _linear(colours: Any) -> Float64:
    """Decode sRGB colours (G, 3), uint8; return them linear, 0..1 (IEC 61966-2-1)."""
    encoded = colours / 255.0
    linear: Float64 = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear


# The writers of the formats that are made from the Gaussians alone: (splats, name) -> file. A PLY has no name.
SPLAT_WRITERS: dict[Format, Callable[[Splats, str], bytes]] = {
    "ply-splats": lambda splats, name: to_ply(splats),
    "splats-glb": to_glb,
}
