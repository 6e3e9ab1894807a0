"""Check a GLB before it leaves the exporter."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import trimesh
from trimesh.visual.material import PBRMaterial

from sam3d_bento.errors import BadRequest, BadResult
from sam3d_bento.export.glb.unpack import unpack_glb

# What trimesh and Pillow raise on bytes that are not a valid GLB with a picture.
UNREADABLE = (
    *(BadRequest, ValueError, KeyError, IndexError, TypeError, AttributeError, NotImplementedError, OSError),
    struct.error,
)


def check(glb: bytes) -> None:
    """Read the file as another program would; raise BadResult if it is not a usable model.

    A usable model has faces, a base-colour texture that can be decoded, only finite numbers, and texture coordinates
    within [0, 1]. Packed geometry is unpacked first.
    """
    try:
        scene = trimesh.load_scene(io.BytesIO(unpack_glb(glb)), file_type="glb", process=False)
        meshes = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]
        textures = [texture for mesh in meshes if (texture := _base_colour(mesh)) is not None]
        for texture in textures:
            texture.load()
    except UNREADABLE as exc:
        raise BadResult("The model file cannot be read back.") from exc
    if not any(len(mesh.faces) for mesh in meshes):
        raise BadResult("The model has no faces.")
    if not textures:
        raise BadResult("The model has no base-colour texture.")
    for mesh in meshes:
        uv = getattr(mesh.visual, "uv", None)
        if uv is None or len(uv) != len(mesh.vertices):
            raise BadResult("The model has no texture coordinates.")
        if not all(np.isfinite(values).all() for values in (mesh.vertices, mesh.vertex_normals, uv)):
            raise BadResult("The model has numbers that are not finite.")
        if uv.min() < 0 or uv.max() > 1:
            raise BadResult("The model has texture coordinates outside of its texture.")


def _base_colour(mesh: trimesh.Trimesh) -> Any:
    material = getattr(mesh.visual, "material", None)
    return material.baseColorTexture if isinstance(material, PBRMaterial) else None
