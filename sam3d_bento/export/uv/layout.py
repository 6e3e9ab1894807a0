"""A mesh laid out in a square texture, and what must hold of any such layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Float32, Floats, Int32
from sam3d_bento.export.grouping import leads, stable_order
from sam3d_bento.export.uv.outline import Outline, Windows, layered

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


def fault(unwrapped: Unwrapped, texture_size: int) -> str | None:
    """What is wrong with a layout, in words; None when all is well.

    Coordinates are in [0, 1], no face is mirrored (all are counter-clockwise in the image as it is seen), and no centre
    of a texel is in two faces.
    """
    uv = unwrapped.uv
    if not (np.isfinite(uv).all() and uv.min() >= 0 and uv.max() <= 1):
        return "coordinates outside of the texture"
    # From here on y points up, as it does for who looks at the image.
    places = np.stack([uv[:, 0], 1 - uv[:, 1].astype(np.float64)], axis=1) * texture_size
    corners = places.take(unwrapped.faces, axis=0)
    edges = corners.take([1, 2, 0], axis=1) - corners
    longest = np.sqrt(np.einsum("fkj,fkj->fk", edges, edges).max(axis=1))
    if (_signed_areas(corners) < -ROUNDING * longest).any():
        return "mirrored faces"
    start, end = _one_sided(unwrapped.faces)
    page = Windows(np.array([texture_size + 1]), np.array([texture_size]))
    outline = Outline(np.zeros(len(start), dtype=np.intp), places.take(start, axis=0), places.take(end, axis=0))
    if len(layered(outline, page)):
        return "faces on top of each other"
    return None


def _one_sided(faces: Int32) -> tuple[Int32, Int32]:
    """(E,) starts and ends of the edges that the faces (F, 3) run along more often in one direction than in the other:
    all but these cancel out in the winding number around a point."""
    start, end = faces.ravel(), faces.take([1, 2, 0], axis=1).ravel()
    key = np.minimum(start, end).astype(np.int64) * (int(faces.max()) + 1) + np.maximum(start, end)
    ordered = stable_order(key)
    begins = np.flatnonzero(leads(key.take(ordered)))
    balance = np.add.reduceat(np.where(start < end, 1, -1).take(ordered), begins)
    odd = ordered.compress(np.repeat(balance != 0, np.diff(begins, append=len(key))))
    return start.take(odd), end.take(odd)


def _signed_areas(corners: Floats) -> Floats:
    """(F,) areas of the triangles (F, 3, 2); negative where clockwise, with x to the right and y up."""
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: Floats = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return areas
