"""Write one textured mesh as binary glTF 2.0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sam3d_bento import __version__
from sam3d_bento.arrays import Float32, Int32, UInt8
from sam3d_bento.export.glb import container, geometry, image
from sam3d_bento.export.glb.geometry import Geometry
from sam3d_bento.export.glb.relief import Relief
from sam3d_bento.names import UNNAMED
from sam3d_bento.options import Compression

# Numbers from the glTF 2.0 specification.
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071

IMAGE_NAMES = ("base colour", "normal map")

DOCUMENT_BYTES = 4000  # approximate length of the JSON document


def write_glb(
    positions: Float32,
    normals: Float32,
    uv: Float32,
    faces: Int32,
    texture: UInt8,
    extras: Mapping[str, Any],
    *,
    name: str = UNNAMED,
    texture_format: str = "png",
    compress: Compression = False,
    double_sided: bool = False,
    relief: Relief | None = None,
) -> bytes:
    """Return a GLB of one node and one mesh, with one opaque, non-metallic material whose base colour is a texture.

    positions, normals (N, 3) and uv (N, 2) float32, (0, 0) the image's top left; faces (F, 3) int32; texture (S, S, 3)
    uint8 sRGB; extras: JSON values for `asset.extras`. Equal inputs give equal bytes.

    name: of the node, the mesh and the material. texture_format: png, jpeg, or webp, which readers without
    EXT_texture_webp refuse. compress: True for quantized and packed geometry, which readers without
    EXT_meshopt_compression refuse; "quantize" for geometry that is only quantized, which readers without
    KHR_mesh_quantization refuse. double_sided: whether viewers show the faces from behind too. relief: of the mesh;
    its map is stored without loss in every format.
    """
    tangents = None if relief is None else relief.tangents
    # Bytes that count against the budget of a WebP texture, because a packed file is meant to be small.
    beside = 0
    if compress == "quantize":
        mesh = geometry.quantized(positions, normals, uv, faces, tangents)
    elif compress:
        mesh = geometry.packed(positions, normals, uv, faces, len(texture), tangents)
        beside = len(mesh.data) + DOCUMENT_BYTES
    else:
        mesh = geometry.plain(positions, normals, uv, faces, tangents)
    pictures = [image.encode(texture, texture_format, beside)]
    if relief is not None:
        pictures.append(image.encode_exactly(relief.image, texture_format))
    return assemble(mesh, pictures, extras, name, double_sided)


def assemble(
    mesh: Geometry,
    pictures: Sequence[tuple[bytes, str]],
    extras: Mapping[str, Any],
    name: str = UNNAMED,
    double_sided: bool = False,
) -> bytes:
    """Return the GLB of a geometry and its image files.

    pictures: the base colour and perhaps the normal map, with their media types. The rest: as in `write_glb`.
    """
    views = [*mesh.views, *(mesh.append(picture) for picture, _ in pictures)]
    required = list(mesh.extensions)
    if any(media_type == "image/webp" for _, media_type in pictures):
        required.append("EXT_texture_webp")
    base_colour, *normals = (_sampled(index, mesh.uv_scale) for index in range(len(pictures)))

    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"sam3d-bento {__version__}", "extras": dict(extras)},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0, **mesh.node}],
        "meshes": [
            {
                "name": name,
                "primitives": [
                    {
                        "attributes": mesh.attributes,
                        "indices": 0,
                        "material": 0,
                    }
                ],
            }
        ],
        "materials": [
            {
                "name": name,
                "pbrMetallicRoughness": {
                    "baseColorTexture": base_colour,
                    "metallicFactor": 0,  # the default of 1 is black without an environment
                    "roughnessFactor": 1,
                },
                **({"normalTexture": normals[0]} if normals else {}),
                **({"doubleSided": True} if double_sided else {}),
            }
        ],
        "textures": [_texture(index, media_type) for index, (_, media_type) in enumerate(pictures)],
        "images": [
            {"name": IMAGE_NAMES[index], "bufferView": len(mesh.views) + index, "mimeType": media_type}
            for index, (_, media_type) in enumerate(pictures)
        ],
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
    return container.join(document, bytes(mesh.data))


def _texture(index: int, media_type: str) -> dict[str, Any]:
    """Return the texture of the image of this index."""
    if media_type == "image/webp":
        return {"sampler": 0, "extensions": {"EXT_texture_webp": {"source": index}}}
    return {"source": index, "sampler": 0}


def _sampled(index: int, uv_scale: float) -> dict[str, Any]:
    """Return a material's reference to the texture of this index."""
    if uv_scale == 1:
        return {"index": index}
    return {"index": index, "extensions": {"KHR_texture_transform": {"scale": [uv_scale] * 2}}}


def renamed(glb: bytes, name: str) -> bytes:
    """Return a GLB that `write_glb` made with another name. All else stays as it is. Raises BadRequest for no GLB."""
    document, data = container.split(glb)
    document["asset"]["extras"]["name"] = name
    for part in ("nodes", "meshes", "materials"):
        document[part][0]["name"] = name
    return container.join(document, data)
