"""A small finished result whose colours tell where a point lies: red where x > 0, else blue; green is the height."""

import io

import numpy as np
import trimesh
from PIL import Image

from sam3d_bento.export import to_glb
from sam3d_bento.options import USED_VALUES, Options
from sam3d_bento.reconstruction import Reconstruction, Splats

OPTIONS = Options(target_faces=1000, texture_size=512)


def colours_at(points):
    """What is expected there, (N, 3) uint8."""
    red = np.where(points[:, 0] > 0, 255, 0)
    green = (points[:, 1] + 0.5) * 255
    return np.stack([red, green, 255 - red], 1).clip(0, 255).astype(np.uint8)


def agree(points, colours, tolerance=40):
    """Whether the colours are those of the points, away from the edge between red and blue."""
    clear = np.abs(points[:, 0]) > 0.06
    off = np.abs(colours[clear].astype(int) - colours_at(points[clear])).max(1)
    assert clear.sum() > 100
    return np.mean(off < tolerance) > 0.98


def reconstruction(splats=True):
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    vertices = ball.vertices.astype(np.float32)
    some = vertices[::5]
    gaussians = Splats(
        some,
        colours_at(some),
        np.linspace(0, 1, len(some), dtype=np.float32),
        np.full((len(some), 3), 0.01, np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (len(some), 1)),
    )
    return Reconstruction(vertices, ball.faces.astype(np.int32), colours_at(vertices), gaussians if splats else None)


def glb(dense=None, options=OPTIONS):
    dense = dense or reconstruction()
    extras = {"engine": "fake", "seed": 7, "options": options.model_dump(exclude=set(USED_VALUES)), "warnings": []}
    return to_glb(dense, options, extras).glb


def pixels(image, uv):
    """The nearest pixels of a picture file or image at uv whose v points up."""
    picture = np.asarray((Image.open(io.BytesIO(image)) if isinstance(image, bytes) else image).convert("RGB"))
    height, width = picture.shape[:2]
    column = (uv[:, 0] * width).astype(int).clip(0, width - 1)
    row = ((1 - uv[:, 1]) * height).astype(int).clip(0, height - 1)
    return picture[row, column]
