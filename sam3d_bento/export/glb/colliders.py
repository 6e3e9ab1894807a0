"""Add collision shapes to a GLB as nodes that game engines know by their names."""

from __future__ import annotations

from collections.abc import Sequence

from sam3d_bento.arrays import Float64, Int32
from sam3d_bento.export.glb import container
from sam3d_bento.export.glb.geometry import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, FLOAT, UNSIGNED_SHORT

# Readers of this extension do not draw the shapes over the model.
VISIBILITY = "KHR_node_visibility"


def add_colliders(glb: bytes, shapes: Sequence[tuple[Float64, Int32]]) -> bytes:
    """Return a GLB of one object with a further node for each collision shape, called UCX_<name>_00, 01, …

    That is Unreal's name for a convex collision shape of the mesh <name>. shapes: vertices (N, 3) in the frame of the
    file, and faces (F, 3); at most 65,535 vertices each. The nodes are not visible, by KHR_node_visibility; readers
    without this extension draw them as white meshes.
    """
    document, content = container.split(glb)
    data = bytearray(content)
    name = document["nodes"][0]["name"]
    accessors, views = document["accessors"], document["bufferViews"]
    for number, (vertices, faces) in enumerate(shapes):
        positions, indices = vertices.astype("<f4"), faces.astype("<u2").ravel()
        for array, target in ((positions, ARRAY_BUFFER), (indices, ELEMENT_ARRAY_BUFFER)):
            packed = array.tobytes()
            views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(packed), "target": target})
            data += packed + b"\0" * (-len(packed) % 4)
        bounds = {"min": positions.min(0).tolist(), "max": positions.max(0).tolist()}
        first = len(accessors)
        accessors += [
            {"bufferView": len(views) - 2, "componentType": FLOAT, "count": len(positions), "type": "VEC3", **bounds},
            {"bufferView": len(views) - 1, "componentType": UNSIGNED_SHORT, "count": len(indices), "type": "SCALAR"},
        ]
        own = f"UCX_{name}_{number:02d}"
        document["scenes"][0]["nodes"].append(len(document["nodes"]))
        hidden = {"extensions": {VISIBILITY: {"visible": False}}}
        document["nodes"].append({"name": own, "mesh": len(document["meshes"]), **hidden})
        primitive = {"attributes": {"POSITION": first}, "indices": first + 1}
        document["meshes"].append({"name": own, "primitives": [primitive]})
    document["buffers"][0]["byteLength"] = len(data)
    document["extensionsUsed"] = sorted({*document.get("extensionsUsed", []), VISIBILITY})
    return container.join(document, bytes(data))
