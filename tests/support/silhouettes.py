"""Random silhouettes, the dense meshes that the preview engine makes of them, and what others say of a mesh."""

from __future__ import annotations

import io

import manifold3d
import numpy as np
import trimesh
from scipy.ndimage import gaussian_filter
from trimesh.exchange import stl

from sam3d_bento.arrays import Bool, Float32, Int32
from sam3d_bento.engines.preview.engine import PreviewEngine
from sam3d_bento.export.mesh.clean import clean
from sam3d_bento.export.mesh.surface import Surface
from sam3d_bento.options import Options
from sam3d_bento.progress import silent
from sam3d_bento.reconstruction import Mask, Photo, Reconstruction

SIZE = 112  # pixels of a silhouette's side
KINDS = ("ellipses", "rods", "rings", "stains", "scribbles")


def silhouette(seed: int) -> Bool:
    """Return a random silhouette (SIZE, SIZE): the kinds take turns, of one part or several."""
    random = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    pixels = np.hypot(x - 0.5, y - 0.5) < 0.03  # so that none is empty
    for _ in range(random.integers(8, 16) if kind == "scribbles" else random.integers(1, 6)):
        (cx, cy), turn = random.uniform(0.2, 0.8, 2), random.uniform(0, np.pi)
        along = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        across = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        if kind == "ellipses":
            long, short = random.uniform(0.03, 0.25, 2)
            pixels |= (along / long) ** 2 + (across / short) ** 2 < 1
        elif kind == "rings":
            distance = np.hypot(along, across * random.uniform(1, 2)) - random.uniform(0.08, 0.3)
            pixels |= abs(distance) < random.uniform(0.008, 0.05)
        elif kind == "stains":
            noise = gaussian_filter(random.normal(size=x.shape), random.uniform(3, 10))
            pixels |= (noise > noise.std() * random.uniform(0.5, 1.5)) & (np.hypot(x - 0.5, y - 0.5) < 0.45)
        else:
            width = random.uniform(0.006, 0.03) if kind == "rods" else random.uniform(0.004, 0.01)
            pixels |= (abs(along) < random.uniform(0.1, 0.4)) & (abs(across) < width)
    return pixels


def inflated(pixels: Bool) -> Reconstruction:
    """Return what the preview engine makes of a silhouette (H, W): a closed dense mesh."""
    photo = Photo(rgb=np.full((*pixels.shape, 3), 128, np.uint8), alpha=None, original_size=pixels.shape[::-1])
    mask = Mask(pixels=pixels, source="upload", coverage=float(pixels.mean()))
    return PreviewEngine().reconstruct(photo, mask, Options(shape="puff"), 0, silent)


def dense_surface(seed: int) -> Surface:
    """Return the cleaned dense mesh of the silhouette `seed`."""
    return clean(inflated(silhouette(seed)))


def assert_solid(vertices: Float32, faces: Int32) -> float:
    """Assert that trimesh and manifold3d take the STL file of a mesh for a closed solid; return the latter's volume."""
    return assert_solid_stl(stl.export_stl(trimesh.Trimesh(vertices, faces, process=False, validate=False)))


def assert_solid_stl(file: bytes) -> float:
    """Assert that trimesh and manifold3d take an STL file for a closed solid; return the latter's volume."""
    mesh = trimesh.load(io.BytesIO(file), file_type="stl")
    assert mesh.is_watertight, "trimesh: an edge has not two faces"
    assert mesh.is_winding_consistent, "trimesh: neighbours are turned opposite ways"
    raw = manifold3d.Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    solid = manifold3d.Manifold(raw)
    assert solid.status() == manifold3d.Error.NoError, f"manifold3d: {solid.status()}"
    return solid.volume()
