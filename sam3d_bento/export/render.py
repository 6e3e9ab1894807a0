"""Render a model without a GPU or a display: rays are cast with Embree, and the light is beside the camera."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sam3d_bento.arrays import Float64, UInt8
from sam3d_bento.camera import Camera
from sam3d_bento.export.glb.read import TexturedMesh, sampled
from sam3d_bento.export.rays import NOWHERE, Rays

Array = npt.NDArray[Any]

# Function that returns the colours where rays hit: (N,) face indices and (N, 3) barycentric weights -> (N, 3) sRGB
# 0..255.
ColourLookup = Callable[[Array, Array], Array]

FIELD_OF_VIEW_DEGREES = 30.0  # of the camera, in both directions
SUPERSAMPLING = 2  # rays for a pixel along each axis
AMBIENT = 0.45  # share of the light that comes from all sides; the rest comes from the camera
MARGIN = 1.06  # size of the picture in sizes of the model, so that some space stays free around it

# Side of a thumbnail in pixels, and its quality as a WebP (0 to 100).
THUMBNAIL_PIXELS = 512
THUMBNAIL_QUALITY = 85


@dataclass(frozen=True)
class Shape:
    """Mesh to render, of any size: vertices and normals (V, 3), faces (F, 3), and a function for its colours."""

    vertices: Array
    normals: Array
    faces: Array
    colour_at: ColourLookup


@dataclass(frozen=True)
class View:
    """Direction of the camera in degrees. azimuth: 0 looks at the +z side, 90 at the +x side."""

    azimuth: float
    elevation: float


THREE_QUARTER = View(azimuth=30.0, elevation=20.0)  # degrees; the front, one side and the top are visible


def thumbnail(*meshes: TexturedMesh) -> bytes:
    """Render a model, of several meshes perhaps, in a three-quarter view before nothing; return a WebP of 512 px."""
    file = io.BytesIO()
    shape = joined([shape_of(mesh) for mesh in meshes])
    Image.fromarray(render(shape, THREE_QUARTER, THUMBNAIL_PIXELS)).save(file, "WEBP", quality=THUMBNAIL_QUALITY)
    return file.getvalue()


def shape_of(mesh: TexturedMesh) -> Shape:
    """Return the shape of a finished model, coloured by its texture."""
    return Shape(mesh.positions, mesh.normals, mesh.faces, texture(mesh.faces, mesh.uv, mesh.image))


def joined(shapes: Sequence[Shape]) -> Shape:
    """Return several shapes, all in one frame, as one."""
    first_vertices = np.cumsum([0, *(len(shape.vertices) for shape in shapes)])
    first_faces = np.cumsum([0, *(len(shape.faces) for shape in shapes)])

    def colour_at(face: Array, weights: Array) -> Array:
        colours = np.empty((len(face), 3), np.float32)
        which = np.searchsorted(first_faces, face, "right") - 1
        for index, shape in enumerate(shapes):
            of_shape = which == index
            if of_shape.any():
                colours[of_shape] = shape.colour_at(face[of_shape] - first_faces[index], weights[of_shape])
        return colours

    return Shape(
        np.concatenate([shape.vertices for shape in shapes]),
        np.concatenate([shape.normals for shape in shapes]),
        np.concatenate([shape.faces + first for shape, first in zip(shapes, first_vertices, strict=False)]),
        colour_at,
    )


def vertex_colours(faces: Array, colours: Array) -> ColourLookup:
    """Return a lookup of colours (V, 3) uint8 at the vertices, interpolated over each face."""
    return lambda face, weights: np.einsum("nk,nkc->nc", weights, colours[faces[face]].astype(np.float32))


def texture(faces: Array, uv: Array, image: UInt8) -> ColourLookup:
    """Return a lookup of a texture (H, W, 3) uint8, sampled bilinearly.

    uv (V, 2): the texture coordinates of the vertices; (0, 0) is the top left.
    """
    return lambda face, weights: sampled(image, np.einsum("nk,nkc->nc", weights, uv[faces[face]]))


def camera_axes(azimuth: float, elevation: float) -> Float64:
    """Return right, up and backward, as the columns of (3, 3), of a camera that looks at the origin.

    Degrees say where it stands: azimuth 0 is before +z, 90 before +x; elevation is above the horizon.
    """
    turn, lift = np.radians([azimuth, elevation])
    backward = np.array([np.sin(turn) * np.cos(lift), np.sin(lift), np.cos(turn) * np.cos(lift)])
    right = np.array([np.cos(turn), 0.0, -np.sin(turn)])
    return np.stack([right, np.cross(backward, right), backward], 1)


def render(shape: Shape, view: View, size: int) -> UInt8:
    """Render one view, (size, size, 4) uint8; alpha is 0 where there is nothing. The model fills the picture."""
    axes = camera_axes(view.azimuth, view.elevation)
    backward = axes[:, 2]

    low, high = shape.vertices.min(0), shape.vertices.max(0)
    vertices = ((shape.vertices - (low + high) / 2) / max(float((high - low).max()), 1e-9)).astype(np.float32)
    distance = 0.5 / np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2)) + 0.5
    seen = vertices @ axes
    slopes = seen[:, :2] / (distance - seen[:, 2:])
    centre = (slopes.min(0) + slopes.max(0)) / 2
    reach = (slopes.max(0) - slopes.min(0)).max() / 2 * MARGIN

    grid = (np.arange(size * SUPERSAMPLING) + 0.5) / (size * SUPERSAMPLING) * 2 - 1
    x, y = centre[0] + grid * reach, centre[1] - grid * reach
    return _picture(replace(shape, vertices=vertices), axes, distance * backward, x, y)


def render_seen(shape: Shape, to_shape: Float64, camera: Camera, *, lit: bool = True) -> UInt8:
    """Render what a camera sees, (height, width, 4) uint8; alpha is 0 where there is nothing.

    to_shape (4, 4): takes points of glTF's camera frame to the frame of the shape; it only turns and moves. lit: False
    for the colours alone, without the light beside the camera.
    """
    x = ((np.arange(camera.width * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - camera.cx) / camera.fx
    y = (camera.cy - (np.arange(camera.height * SUPERSAMPLING) + 0.5) / SUPERSAMPLING) / camera.fy
    return _picture(shape, to_shape[:3, :3], to_shape[:3, 3], x, y, lit=lit)


def _picture(shape: Shape, axes: Float64, eye: Float64, x: Float64, y: Float64, *, lit: bool = True) -> UInt8:
    """Cast SUPERSAMPLING² rays for each pixel, and return the picture (H, W, 4) uint8.

    axes (3, 3): the camera's right, up and backward, as columns. eye (3,): where it stands. x (W,) and y (H,), times
    SUPERSAMPLING: slopes of the rays to the right and up.
    """
    right, up, backward = axes.T
    directions = (x[None, :, None] * right + y[:, None, None] * up - backward).reshape(-1, 3).astype(np.float32)
    origins = np.broadcast_to(eye.astype(np.float32), directions.shape).copy()

    hits = Rays(shape.vertices, shape.faces).cast(origins, directions)
    ray = np.flatnonzero(hits.face != NOWHERE)
    picture = np.zeros((len(directions), 4), np.float32)
    if len(ray):
        u, v, face = hits.u[ray], hits.v[ray], hits.face[ray]
        weights = np.stack([1 - u - v, u, v], 1)  # float32, like everything that is computed for every ray
        colours = shape.colour_at(face, weights)
        if lit:
            normals = _unit(np.einsum("nk,nkc->nc", weights, shape.normals[shape.faces[face]].astype(np.float32)))
            light = np.abs(np.einsum("nc,nc->n", normals, _unit(directions[ray])))
            colours = colours * (AMBIENT + (1 - AMBIENT) * light)[:, None]
        picture[ray, :3] = colours
        picture[ray, 3] = 255
    height, width = len(y) // SUPERSAMPLING, len(x) // SUPERSAMPLING
    blocks = picture.reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 4).sum((1, 3))
    # A pixel on the outline gets the mean colour of its rays that hit, and their share as its alpha.
    blocks[..., :3] /= np.maximum(blocks[..., 3:], 1) / 255
    blocks[..., 3] /= SUPERSAMPLING**2
    return np.asarray(blocks.round().clip(0, 255), np.uint8)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
