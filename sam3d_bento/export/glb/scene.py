"""Join finished GLBs of one object each into a scene, and take an object's GLB out of a scene again.

    scene ─┬─ camera          the photo's camera, looking along -z
           ├─ object-1        translation, rotation and scale are its pose before the camera
           └─ object-2 ── …   quantized geometry has a node of its own, below the pose

Nothing of an object is exported a second time: its arrays, its texture and its material are copied as they are, and
`take_object` returns the very bytes that were joined. A node's `extras` are the `asset.extras` of its object's GLB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import atan
from typing import Any

import numpy as np

from sam3d_bento import __version__
from sam3d_bento.arrays import Float64
from sam3d_bento.camera import Camera
from sam3d_bento.errors import BadRequest, NotFound, shown
from sam3d_bento.export.glb import container
from sam3d_bento.export.glb.read import MESHOPT, MISFITS, TexturedMesh, read_glb
from sam3d_bento.export.pose import Transform, apply

ROOT_NAME, CAMERA_NAME = "scene", "camera"
# Distance of the near plane, as a share of the nearest object's distance: a viewer can come near without cutting it.
NEAR_SHARE = 0.05
SMALLEST_NEAR = 1e-6  # glTF demands a positive distance

# The lists of a document that an object brings along, and those whose items name items of it.
LISTS = ("meshes", "materials", "textures", "images", "samplers", "accessors", "bufferViews", "buffers")
# Extension that no object carries: it only allows other types of numbers in accessors.
QUANTIZATION = "KHR_mesh_quantization"
FLOAT = 5126  # component type, from the glTF 2.0 specification


@dataclass(frozen=True)
class SceneObject:
    """Object of a scene. glb: its finished file. transform: its pose, in glTF's camera frame."""

    name: str
    glb: bytes
    transform: Transform


@dataclass(frozen=True)
class PlacedMesh:
    """Mesh of an object as its own file has it, and the matrix (4, 4) that takes it to the scene."""

    mesh: TexturedMesh
    matrix: Float64

    def in_scene(self) -> TexturedMesh:
        """Return the mesh with the positions and normals of the scene."""
        normals = self.mesh.normals.astype(np.float64) @ np.linalg.inv(self.matrix[:3, :3])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        positions = apply(self.matrix, self.mesh.positions)
        return replace(self.mesh, positions=positions.astype(np.float32), normals=normals.astype(np.float32))


def join_objects(
    objects: Sequence[SceneObject], camera: Camera, extras: Mapping[str, Any], ground: Transform | None = None
) -> bytes:
    """Return the GLB of a scene. extras: JSON values for `asset.extras`.

    camera: in pixels of the photo. ground: transform of the root node; None for the camera's frame. Equal inputs give
    equal bytes. Raises BadRequest for an object that is not a GLB of one node.
    """
    data = bytearray()
    lists: dict[str, list[Any]] = {name: [] for name in LISTS}
    lists["buffers"].append({"byteLength": 0})
    nodes: list[dict[str, Any]] = [
        {"name": ROOT_NAME, **({} if ground is None else ground.to_node()), "children": []},
        {"name": CAMERA_NAME, "camera": 0},
    ]
    nodes[0]["children"].append(1)
    used: set[str] = set()
    required: set[str] = set()
    for each in objects:
        document, part = container.split(each.glb)
        try:
            (node,) = document["nodes"]
            starts = {name: len(items) for name, items in lists.items()}
            # The first buffer of a GLB is its binary chunk. It is appended to that of the scene.
            moved = _renumbered(document, partial(_joined_index, starts))
            for view in moved["bufferViews"]:
                _shift(view, len(data))
            for name in LISTS[:-1]:
                lists[name] += moved.get(name, [])
            lists["buffers"] += document["buffers"][1:]
            extensions = document.get("extensionsUsed", ()), document.get("extensionsRequired", ())
        except MISFITS as exc:
            raise BadRequest("The GLB is not laid out as this service writes them.") from exc
        used |= set(extensions[0])
        required |= set(extensions[1])
        data += part + b"\0" * (-len(part) % 4)
        nodes[0]["children"].append(len(nodes))
        posed = {"name": each.name, **each.transform.to_node(), "extras": document["asset"].get("extras", {})}
        below = {"name": node["name"], "mesh": starts["meshes"], **_without(node, "name", "mesh")}
        if below.keys() == {"name", "mesh"}:
            nodes.append({**posed, "mesh": starts["meshes"]})
        else:
            nodes += [{**posed, "children": [len(nodes) + 1]}, below]
    lists["buffers"][0]["byteLength"] = len(data)
    document = {
        "asset": {"version": "2.0", "generator": f"sam3d-bento {__version__}", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "cameras": [_camera(camera, objects)],
        **lists,
    }
    return container.join(document | _extensions(used, required), bytes(data))


def is_scene(document: Mapping[str, Any]) -> bool:
    """Return whether a glTF document is one that `join_objects` made."""
    return bool(document.get("cameras")) and document["nodes"][0].get("name") == ROOT_NAME


def object_transforms(glb: bytes) -> list[tuple[str, Transform]]:
    """Return the objects of a scene by their names, in their order, with their poses in glTF's camera frame.

    Raises BadRequest for a file that is not a scene of this service.
    """
    document, _ = container.split(glb)
    try:
        return [(node["name"], Transform.from_node(node)) for node, _ in _objects(document)]
    except MISFITS as exc:
        raise BadRequest("The GLB is not a scene that this service has written.") from exc


def renamed_scene(glb: bytes, name: str) -> bytes:
    """Return a scene that is called otherwise. Its nodes keep their names. Raises BadRequest for no GLB."""
    document, data = container.split(glb)
    document["asset"]["extras"]["name"] = name
    return container.join(document, data)


def take_object(glb: bytes, name: str) -> bytes:
    """Return the GLB of an object of a scene, byte for byte as it was joined.

    Raises NotFound for a name that no object has, and BadRequest for a file that is not such a scene.
    """
    document, data = container.split(glb)
    try:
        for node, mesh in _objects(document):
            if node["name"] == name:
                return _taken(document, data, node, mesh)
    except MISFITS as exc:
        raise BadRequest("The GLB is not a scene that this service has written.") from exc
    raise NotFound(f"The scene has no object '{shown(name)}'.")


def read_scene(glb: bytes) -> list[PlacedMesh]:
    """Read the objects of a scene, or of a GLB of one object, which then has the identity as its matrix.

    Each mesh has the precision of the file, as of `read_glb`, and the name of its node. Raises BadRequest as
    `read_glb`.
    """
    document, data = container.split(glb)
    try:
        if not is_scene(document):
            return [PlacedMesh(read_glb(glb), np.eye(4))]
        root = Transform.from_node(document["nodes"][0]).matrix
        return [
            PlacedMesh(
                replace(read_glb(_taken(document, data, node, mesh)), name=node["name"]),
                root @ Transform.from_node(node).matrix,
            )
            for node, mesh in _objects(document)
        ]
    except MISFITS as exc:
        raise BadRequest("The GLB is not laid out as this service writes them.") from exc


def find_camera(glb: bytes, name: str = CAMERA_NAME) -> tuple[Camera, Float64]:
    """Return the camera of a scene by the name of its node, and the matrix (4, 4) that takes its frame to the scene's.

    Raises NotFound for a name that no camera has, and BadRequest for a file that is not a scene of this service.
    """
    document, _ = container.split(glb)
    try:
        nodes = document["nodes"]
        root = nodes[0]
        for node in (nodes[child] for child in root["children"]):
            if node["name"] == name and "camera" in node:
                found = document["cameras"][node["camera"]]["extras"]
                return Camera(**found), Transform.from_node(root).matrix @ Transform.from_node(node).matrix
    except MISFITS as exc:
        raise BadRequest("The GLB is not a scene that this service has written.") from exc
    raise NotFound(f"The scene has no camera '{shown(name)}'.")


def _camera(camera: Camera, objects: Iterable[SceneObject]) -> dict[str, Any]:
    """Return the glTF camera, whose extras hold what glTF cannot say: another centre than the picture's."""
    nearest = min((-float(each.transform.translation[2]) for each in objects), default=1.0)
    return {
        "name": CAMERA_NAME,
        "type": "perspective",
        "perspective": {
            "yfov": 2 * atan(camera.height / (2 * camera.fy)),
            "aspectRatio": camera.width * camera.fy / (camera.height * camera.fx),
            "znear": max(NEAR_SHARE * nearest, SMALLEST_NEAR),
        },
        "extras": camera.to_json(),
    }


def _extensions(used: Iterable[str], required: Iterable[str]) -> dict[str, list[str]]:
    lists = {"extensionsUsed": sorted(used), "extensionsRequired": sorted(required)}
    return {name: names for name, names in lists.items() if names}


def _joined_index(starts: Mapping[str, int], kind: str, index: int) -> int:
    """Return the index in a scene of an object's item. The binary chunk stays the first buffer."""
    if kind == "buffers":
        return 0 if index == 0 else starts["buffers"] + index - 1
    return starts[kind] + index


def _renumbered(document: Mapping[str, Any], index_of: Callable[[str, int], int]) -> dict[str, list[dict[str, Any]]]:
    """Return the lists of a document, without buffers, with other indices. index_of: from list and index to index."""

    def view(item: dict[str, Any]) -> dict[str, Any]:
        changed = {**item, "buffer": index_of("buffers", item["buffer"])}
        packed = item.get("extensions", {}).get(MESHOPT)
        if packed is None:
            return changed
        packed = {**packed, "buffer": index_of("buffers", packed["buffer"])}
        return {**changed, "extensions": {**item["extensions"], MESHOPT: packed}}

    def texture(item: dict[str, Any]) -> dict[str, Any]:
        changed = _replaced(item, {"source": "images", "sampler": "samplers"}, index_of)
        if "extensions" in item:  # such as EXT_texture_webp, which name an image each
            named = item["extensions"].items()
            changed["extensions"] = {name: _replaced(of, {"source": "images"}, index_of) for name, of in named}
        return changed

    def material(part: Any) -> Any:
        """Replace the indices of textures, which are in objects called somethingTexture, at any depth."""
        if not isinstance(part, dict):
            return part
        return {
            name: _replaced(value, {"index": "textures"}, index_of) if name.endswith("Texture") else material(value)
            for name, value in part.items()
        }

    def mesh(item: dict[str, Any]) -> dict[str, Any]:
        return {
            **item,
            "primitives": [
                _replaced(primitive, {"indices": "accessors", "material": "materials"}, index_of)
                | {"attributes": {name: index_of("accessors", of) for name, of in primitive["attributes"].items()}}
                for primitive in item["primitives"]
            ],
        }

    changes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "meshes": mesh,
        "materials": material,
        "textures": texture,
        "images": lambda item: _replaced(item, {"bufferView": "bufferViews"}, index_of),
        "samplers": dict,
        "accessors": lambda item: _replaced(item, {"bufferView": "bufferViews"}, index_of),
        "bufferViews": view,
    }
    return {name: [change(item) for item in document.get(name, [])] for name, change in changes.items()}


def _replaced(item: Mapping[str, Any], kinds: Mapping[str, str], index_of: Callable[[str, int], int]) -> dict[str, Any]:
    """Return an object of glTF with other indices in its properties `kinds`, which name the list of each."""
    return {name: index_of(kinds[name], value) if name in kinds else value for name, value in item.items()}


def _shift(view: dict[str, Any], by: int) -> None:
    """Move the place of a bufferView, or of its packed content, in the binary chunk, in place."""
    place = view.get("extensions", {}).get(MESHOPT, view)
    place["byteOffset"] = place.get("byteOffset", 0) + by


def _without(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in names}


def _objects(document: Mapping[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return for each object the node of its pose, and the node of its mesh, which may be the same."""
    nodes = document["nodes"]
    posed = [nodes[child] for child in nodes[0]["children"] if "camera" not in nodes[child]]
    return [(node, node if "mesh" in node else nodes[node["children"][0]]) for node in posed]


def _taken(document: Mapping[str, Any], data: bytes, node: Mapping[str, Any], below: Mapping[str, Any]) -> bytes:
    """Return the GLB of an object. node, below: as of `_objects`."""
    found = _reached(document, below["mesh"])
    places = {name: {index: place for place, index in enumerate(indices)} for name, indices in found.items()}
    kept = {name: [document[name][index] for index in indices] for name, indices in found.items()}
    lists = _renumbered(kept, lambda kind, index: places[kind][index])
    stored = [view.get("extensions", {}).get(MESHOPT, view) for view in lists["bufferViews"]]
    start = min(place["byteOffset"] for place in stored)
    end = max(place["byteOffset"] + place["byteLength"] for place in stored)
    end += -end % 4
    for view in lists["bufferViews"]:
        _shift(view, -start)
    own = {"name": below["name"], "mesh": 0}
    if below is not node:
        own |= _without(below, "name", "mesh")
    else:
        own["name"] = lists["meshes"][0]["name"]
    extensions = _extension_names(kept)
    alone = {
        "asset": {**document["asset"], "extras": node["extras"]},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [own],
        **lists,
        "buffers": [{"byteLength": end - start}, *kept["buffers"][1:]],
    }
    used, required = (extensions.intersection(document.get(of, ())) for of in ("extensionsUsed", "extensionsRequired"))
    return container.join(alone | _extensions(used, required), data[start:end])


def _reached(document: Mapping[str, Any], mesh: int) -> dict[str, list[int]]:
    """Return the indices, ascending, of the items of each list that a mesh needs, beside the first buffer."""
    found: dict[str, set[int]] = {name: set() for name in LISTS}
    found["meshes"].add(mesh)
    found["buffers"].add(0)

    def note(kind: str, index: int) -> int:
        found[kind].add(index)
        return index

    for name in LISTS[:-1]:  # each list is named only by those before it
        _renumbered({name: [document.get(name, [])[index] for index in sorted(found[name])]}, note)
    return {name: sorted(indices) for name, indices in found.items()}


def _extension_names(part: Any) -> set[str]:
    """Return the extensions that a part of a document needs: those that it carries, and the quantized accessors'."""
    if isinstance(part, list):
        return set().union(*map(_extension_names, part))
    if not isinstance(part, dict):
        return set()
    names = set(part.get("extensions", ())).union(*map(_extension_names, part.values()))
    is_quantized = part.get("type") == "VEC3" and part.get("componentType", FLOAT) != FLOAT
    return names | ({QUANTIZATION} if is_quantized else set())
