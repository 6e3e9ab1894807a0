"""Look at a GLB without a GPU: a row of views as one PNG, ray-cast with Embree.

    python tools/render_glb.py model.glb -o model.png --views 0,60,180,270 --photo photo.png

A view is an azimuth in degrees: 0 looks at the +z side, 90 at the +x side. Nothing here is part of the service.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image, ImageOps
from scipy.ndimage import map_coordinates
from trimesh.ray.ray_pyembree import RayMeshIntersector

Array = npt.NDArray[Any]

# The colour where rays hit: (N,) face indices and (N, 3) barycentric weights -> (N, 3) sRGB 0..255.
ColourLookup = Callable[[Array, Array], Array]

BACKGROUND = 225.0
FIELD_OF_VIEW_DEGREES = 30.0
SUPERSAMPLING = 2
AMBIENT = 0.45  # the rest of the light comes from the camera


def vertex_colours(faces: Array, colours: Array) -> ColourLookup:
    """Colours (V, 3) uint8 at the vertices, interpolated over each face."""
    return lambda face, weights: np.einsum("nk,nkc->nc", weights, colours[faces[face]].astype(float))


def texture(faces: Array, uv: Array, image: Array) -> ColourLookup:
    """A texture (H, W, 3) uint8, sampled bilinearly at the uv (V, 2) of the vertices, whose v points up."""
    height, width = image.shape[:2]

    def lookup(face: Array, weights: Array) -> Array:
        u, v = np.einsum("nk,nkc->cn", weights, uv[faces[face]])
        place = np.stack([(1 - v) * height - 0.5, u * width - 0.5])
        return np.stack([map_coordinates(image[..., c], place, float, order=1, mode="nearest") for c in range(3)], 1)

    return lookup


def render(
    vertices: Array, faces: Array, colour_at: ColourLookup, azimuth: float, elevation: float, size: int
) -> npt.NDArray[np.uint8]:
    """One view of a mesh inside the unit cube, (size, size, 3) uint8. Angles in degrees."""
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    turn, lift = np.radians([azimuth, elevation])
    backward = np.array([np.sin(turn) * np.cos(lift), np.sin(lift), np.cos(turn) * np.cos(lift)])
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    up = np.cross(backward, right)

    half_height = np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2))
    distance = 0.62 / half_height + 0.3  # the front face of the unit cube, with a little air around it
    rays = size * SUPERSAMPLING
    across = ((np.arange(rays) + 0.5) / rays * 2 - 1) * half_height
    directions = (across[None, :, None] * right - across[:, None, None] * up - backward).reshape(-1, 3)
    origins = np.broadcast_to(distance * backward, directions.shape)

    face, ray, where = RayMeshIntersector(mesh).intersects_id(
        origins, directions, multiple_hits=False, return_locations=True
    )
    picture = np.full((rays * rays, 3), BACKGROUND)
    if len(face):
        weights = trimesh.triangles.points_to_barycentric(mesh.triangles[face], where)
        normals = trimesh.unitize(np.einsum("nk,nkc->nc", weights, mesh.vertex_normals[faces[face]]))
        towards_light = np.abs(np.einsum("nc,nc->n", normals, trimesh.unitize(directions[ray])))
        picture[ray] = colour_at(face, weights) * (AMBIENT + (1 - AMBIENT) * towards_light)[:, None]
    blocks = picture.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3)
    return blocks.mean((1, 3)).round().clip(0, 255).astype(np.uint8)


def load(path: Path) -> tuple[Array, Array, ColourLookup]:
    """Vertices, faces and colours of a GLB; grey where it has no colours."""
    mesh = trimesh.load_scene(path).to_mesh()
    uv = getattr(mesh.visual, "uv", None)
    image = getattr(getattr(mesh.visual, "material", None), "baseColorTexture", None)
    if uv is not None and image is not None:
        return mesh.vertices, mesh.faces, texture(mesh.faces, uv, np.asarray(image.convert("RGB")))
    colours = getattr(mesh.visual, "vertex_colors", np.full((len(mesh.vertices), 3), 180))
    return mesh.vertices, mesh.faces, vertex_colours(mesh.faces, np.asarray(colours)[:, :3])


@click.command()
@click.argument("glb", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--views", default="0,60,180,270", show_default=True, help="Azimuths in degrees, separated by commas.")
@click.option("--elevation", default=15.0, show_default=True, help="Degrees above the horizon.")
@click.option("--size", default=512, show_default=True, help="Edge of one view, in pixels.")
@click.option("--photo", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Shown first.")
def main(glb: Path, output: Path, views: str, elevation: float, size: int, photo: Path | None) -> None:
    """Render GLB from several sides into one PNG."""
    vertices, faces, colour_at = load(glb)
    # Any model is shown, also one that does not keep to the unit cube.
    low, high = vertices.min(0), vertices.max(0)
    vertices = (vertices - (low + high) / 2) / (high - low).max()
    row = [render(vertices, faces, colour_at, float(view), elevation, size) for view in views.split(",")]
    if photo is not None:
        with Image.open(photo) as picture:
            row.insert(
                0,
                np.asarray(
                    ImageOps.pad(
                        ImageOps.exif_transpose(picture).convert("RGB"), (size, size), color=(int(BACKGROUND),) * 3
                    )
                ),
            )
    Image.fromarray(np.concatenate(row, axis=1)).save(output)


if __name__ == "__main__":
    main()
