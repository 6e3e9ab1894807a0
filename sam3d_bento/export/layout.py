"""A mesh laid out in a square texture, and what must hold of any such layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.export.adjacency import adjacency
from sam3d_bento.export.outline import Outline, Windows, layered
from sam3d_bento.export.surface import Floats
from sam3d_bento.reconstruction import Float32, Int32

# Texels: how far a needle may be turned over by the rounding of its coordinates to float32.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Unwrapped:
    """The mesh, its vertices split along the seams.

    vertex_map (N,) int32: the original vertex of each new one; faces (F, 3) int32, of new vertices, each with
    the winding of an original face, in any order; uv (N, 2) float32 in [0, 1], (0, 0) the image's top left.
    """

    vertex_map: Int32
    faces: Int32
    uv: Float32


def texel_use(unwrapped: Unwrapped) -> float:
    """The share of the texture that the faces cover, 0 to 1."""
    return float(np.abs(_signed_areas(unwrapped.uv[unwrapped.faces].astype(np.float64))).sum())


def fault(vertices: Float32, unwrapped: Unwrapped, texture_size: int) -> str | None:
    """What is wrong with a layout of the vertices (V, 3), in words; None when all is well.

    Coordinates are in [0, 1], no face is mirrored (all are counter-clockwise in the image as it is seen), and no centre
    of a texel is in two faces.
    """
    uv = unwrapped.uv
    if not (np.isfinite(uv).all() and uv.min() >= 0 and uv.max() <= 1):
        return "coordinates outside of the texture"
    # From here on y points up, as it does for who looks at the image.
    places = np.stack([uv[:, 0], 1 - uv[:, 1].astype(np.float64)], axis=1) * texture_size
    corners = places[unwrapped.faces]
    longest = np.sqrt(((corners - np.roll(corners, 1, axis=1)) ** 2).sum(axis=2).max(axis=1))
    if (_signed_areas(corners) < -ROUNDING * longest).any():
        return "mirrored faces"
    edges = adjacency(vertices[unwrapped.vertex_map], unwrapped.faces)
    face, corner = np.nonzero(edges.borders(np.zeros(len(corners), dtype=np.intp)))
    page = Windows(np.array([texture_size + 1]), np.array([texture_size]))
    outline = Outline(np.zeros(len(face), dtype=np.intp), corners[face, corner], corners[face, (corner + 1) % 3])
    if len(layered(outline, page)):
        return "faces on top of each other"
    return None


def _signed_areas(corners: Floats) -> Floats:
    """(F,) areas of the triangles (F, 3, 2); negative where clockwise, with x to the right and y up."""
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: Floats = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return areas
