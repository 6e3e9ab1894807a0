"""Unlit pictures of a mesh from twelve sides, and how much two sets of them differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion

from sam3d_bento.export.mesh.surface import Surface
from sam3d_bento.export.rays import NOWHERE

Array = npt.NDArray[Any]

# What a mesh shows where rays meet it: faces (N,), weights (N, 3) and places (N, 3) -> sRGB (N, 3), 0..255.
Colours = Callable[[Array, Array, Array], Array]

VIEWS, SIZE, SAMPLES = 12, 384, 2  # pictures, their edge in pixels, rays along a pixel's edge
FIELD_OF_VIEW_DEGREES = 30.0
DISTANCE = 3.2  # the whole unit cube is in the picture, also corner first
GREY = 128.0
ERODED = 2  # pixels at the silhouette that the inner figure leaves out


@dataclass(frozen=True)
class Pictures:
    """rgb (VIEWS, SIZE, SIZE, 3) float, 0..255 on grey; mask (VIEWS, SIZE, SIZE): pixels that the mesh fills."""

    rgb: Array
    mask: Array


def render(vertices: Array, faces: Array, colours: Colours) -> Pictures:
    """All views of a mesh in the unit cube, supersampled; colours are mixed as sRGB in every picture alike."""
    surface = Surface(
        np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32), np.zeros((0, 3), np.uint8)
    )
    pictures, masks = zip(*(_view(surface, colours, number) for number in range(VIEWS)), strict=True)
    return Pictures(np.array(pictures), np.array(masks))


def from_vertices(faces: Array, colours: Array) -> Colours:
    return lambda face, weights, place: np.einsum("nk,nkc->nc", weights, colours[faces[face]].astype(np.float32))


def from_texture(faces: Array, uv: Array, texture: Array) -> Colours:
    """Sample a texture (H, W, 3) bilinearly at uv (V, 2), whose (0, 0) is the top left."""
    height, width = texture.shape[:2]
    pixels = texture.astype(np.float32)

    def sample(face: Array, weights: Array, place: Array) -> Array:
        at = np.einsum("nk,nkc->nc", weights, uv[faces[face]]) * [width, height] - 0.5
        at = at.clip(0, [width - 1, height - 1])
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, [width - 1, height - 1])
        right, down = (at - low).T[:, :, None]
        above = pixels[low[:, 1], low[:, 0]] * (1 - right) + pixels[low[:, 1], high[:, 0]] * right
        below = pixels[high[:, 1], low[:, 0]] * (1 - right) + pixels[high[:, 1], high[:, 0]] * right
        return above * (1 - down) + below * down

    return sample


def psnr(pictures: Pictures, reference: Pictures) -> tuple[float, float]:
    """Decibels over all views: where either shows something, on grey; and well inside of both silhouettes."""
    squares = ((pictures.rgb - reference.rgb) ** 2).mean(axis=3)
    either = pictures.mask | reference.mask
    return _decibels(squares[either]), _decibels(squares[_inner(pictures, reference)])


def worst_view(pictures: Pictures, reference: Pictures) -> int:
    squares = ((pictures.rgb - reference.rgb) ** 2).mean(axis=3)
    inner = _inner(pictures, reference)
    return int(np.argmax([squares[view][inner[view]].mean() for view in range(VIEWS)]))


def overlap(pictures: Pictures, reference: Pictures) -> float:
    """Return the intersection over union of the silhouettes."""
    return float((pictures.mask & reference.mask).sum() / (pictures.mask | reference.mask).sum())


def _inner(pictures: Pictures, reference: Pictures) -> Array:
    both = pictures.mask & reference.mask
    return np.array([binary_erosion(mask, iterations=ERODED) for mask in both])


def _decibels(squares: Array) -> float:
    return float(10 * np.log10(255**2 / max(squares.mean(), 1e-9)))


def camera(number: int) -> tuple[Array, Array, Array]:
    """Unit vectors to the right, up, and backwards from the middle to the eye, DISTANCE away; spread evenly over the
    sphere by the golden angle."""
    height = 1 - 2 * (number + 0.5) / VIEWS
    turn = number * np.pi * (3 - np.sqrt(5))
    backward = np.array([np.sqrt(1 - height**2) * np.cos(turn), height, np.sqrt(1 - height**2) * np.sin(turn)])
    right = np.cross([0, 1, 0], backward)
    right /= np.linalg.norm(right)
    return right, np.cross(backward, right), backward


def _view(surface: Surface, colours: Colours, number: int) -> tuple[Array, Array]:
    """Return one picture, and the pixels that the mesh fills."""
    right, up, backward = camera(number)
    rays = SIZE * SAMPLES
    across = ((np.arange(rays) + 0.5) / rays * 2 - 1) * np.tan(np.radians(FIELD_OF_VIEW_DEGREES / 2))
    directions = across[None, :, None] * right - across[:, None, None] * up - backward
    directions = directions.reshape(-1, 3).astype(np.float32)
    origins = np.broadcast_to((DISTANCE * backward).astype(np.float32), directions.shape)
    hits = surface.rays.cast(np.ascontiguousarray(origins), directions)

    met = hits.face != NOWHERE
    u, v = hits.u[met], hits.v[met]
    picture = np.full((rays * rays, 3), GREY, dtype=np.float32)
    places = origins[met] + hits.distance[met, None] * directions[met]
    picture[met] = colours(hits.face[met], np.stack([1 - u - v, u, v], axis=1), places)
    blocks = picture.reshape(SIZE, SAMPLES, SIZE, SAMPLES, 3).mean(axis=(1, 3))
    return blocks, met.reshape(SIZE, SAMPLES, SIZE, SAMPLES).all(axis=(1, 3))
