"""Look at a GLB without a GPU: a row of views as one PNG, ray-cast with Embree.

    python tools/render_glb.py model.glb -o model.png --views 0,60,180,270 --photo photo.png
    python tools/render_glb.py scene.glb -o photo.png --camera camera

A view is an azimuth in degrees: 0 looks at the +z side, 90 at the +x side. The model fills each view. A camera of a
scene sees what it saw in the photo, in the colours of the texture without any light.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import trimesh
from PIL import Image, ImageOps

from sam3d_bento.arrays import UInt8
from sam3d_bento.export.glb.scene import find_camera, read_scene
from sam3d_bento.export.mesh.clean import NEUTRAL_GREY
from sam3d_bento.export.render import Shape, View, joined, render, render_seen, shape_of, texture, vertex_colours

BACKGROUND = (225, 225, 225)


def load(path: Path) -> Shape:
    """Read any GLB, also one of another program. What has no colours is grey."""
    scene = trimesh.load_scene(path)
    return joined([_shape(mesh) for mesh in scene.dump() if isinstance(mesh, trimesh.Trimesh)])


def _shape(mesh: trimesh.Trimesh) -> Shape:
    uv = getattr(mesh.visual, "uv", None)
    image = getattr(getattr(mesh.visual, "material", None), "baseColorTexture", None)
    if uv is not None and image is not None:
        downward = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)
        colour_at = texture(mesh.faces, downward, np.asarray(image.convert("RGB")))
    else:
        colours = getattr(mesh.visual, "vertex_colors", np.full((len(mesh.vertices), 3), NEUTRAL_GREY))
        colour_at = vertex_colours(mesh.faces, np.asarray(colours)[:, :3])
    return Shape(mesh.vertices, mesh.vertex_normals, mesh.faces, colour_at)


def seen(path: Path, camera_name: str) -> UInt8:
    """Return what a camera of a scene that this service has written sees, (height, width, 4) uint8."""
    glb = path.read_bytes()
    camera, to_scene = find_camera(glb, camera_name)
    return render_seen(joined([shape_of(each.in_scene()) for each in read_scene(glb)]), to_scene, camera, lit=False)


def shown(picture: UInt8) -> Image.Image:
    """Return the picture on the background."""
    ground = Image.new("RGBA", picture.shape[1::-1], (*BACKGROUND, 255))
    ground.alpha_composite(Image.fromarray(picture))
    return ground.convert("RGB")


def picture_row(shape: Shape, views: Sequence[float], elevation: float, size: int, photo: Path | None = None) -> UInt8:
    """The photo, if there is one, and the views beside each other, (size, size * count, 3)."""
    row = [shown(render(shape, View(view, elevation), size)) for view in views]
    if photo is not None:
        with Image.open(photo) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
            row.insert(0, ImageOps.pad(upright, (size, size), color=BACKGROUND))
    return np.concatenate([np.asarray(picture) for picture in row], axis=1)


@click.command()
@click.argument("glb", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--views", default="0,60,180,270", show_default=True, help="Azimuths in degrees, separated by commas.")
@click.option("--elevation", default=15.0, show_default=True, help="Degrees above the horizon.")
@click.option("--size", default=512, show_default=True, help="Edge of one view, in pixels.")
@click.option("--camera", metavar="NODE", help="Show what this camera of the scene sees, instead of the views.")
@click.option("--photo", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Shown first.")
def main(
    glb: Path, output: Path, views: str, elevation: float, size: int, camera: str | None, photo: Path | None
) -> None:
    """Render GLB from several sides into one PNG, or from a camera of its own."""
    if camera is not None:
        shown(seen(glb, camera)).save(output)
        return
    row = picture_row(load(glb), [float(view) for view in views.split(",")], elevation, size, photo)
    Image.fromarray(row).save(output)


if __name__ == "__main__":
    main()
