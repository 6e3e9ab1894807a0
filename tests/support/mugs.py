"""Closed solids for physics: mugs with and without a hollow, as models with a texture."""

import io

import manifold3d
import numpy as np
import trimesh
from PIL import Image

from sam3d_bento.export.glb.read import TexturedMesh
from sam3d_bento.export.mesh.surface import vertex_normals

RADIUS, HEIGHT, WALL = 0.4, 0.9, 0.08  # units
SCALE = 0.1  # metres in a unit


def mug(hollow=True):
    """A mug with a handle, y up, as a mesh of trimesh: closed, and in one piece."""
    ring = trimesh.creation.torus(0.22, 0.05, 32, 16)
    handle = manifold3d.Manifold(manifold3d.Mesh(np.float32(ring.vertices), np.uint32(ring.faces)))
    solid = manifold3d.Manifold.cylinder(HEIGHT, RADIUS, RADIUS, 48)
    solid += handle.rotate((90, 0, 0)).translate((RADIUS + 0.02, 0, HEIGHT / 2))
    if hollow:
        room = manifold3d.Manifold.cylinder(HEIGHT, RADIUS - WALL, RADIUS - WALL, 48)
        solid -= room.translate((0, 0, WALL))
    made = solid.rotate((-90, 0, 0)).to_mesh()
    return trimesh.Trimesh(made.vert_properties[:, :3], made.tri_verts)


def model(mesh, scale=1.0, name="mug"):
    """A mesh as a model with a texture of one pixel in red."""
    positions = (np.asarray(mesh.vertices) * scale).astype(np.float32)
    faces = np.asarray(mesh.faces, np.int32)
    file = io.BytesIO()
    Image.new("RGB", (1, 1), (200, 30, 30)).save(file, "PNG")
    uv = np.full((len(positions), 2), 0.5, np.float32)
    return TexturedMesh(positions, vertex_normals(positions, faces), uv, faces, file.getvalue(), "image/png", name)
