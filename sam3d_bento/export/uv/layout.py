"""Hold a mesh laid out in a square texture, and check what must hold for any such layout."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sam3d_bento.arrays import Float32, Floats, Int32
from sam3d_bento.export.grouping import leads, stable_order
from sam3d_bento.export.uv.outline import Outline, Windows, find_layered_cells

# Height in texels by which a needle may be mirrored without being a fault: rounding coordinates to float32 can do so.
ROUNDING_TEXELS = 1e-3


@dataclass(frozen=True)
class UnwrappedMesh:
    """Mesh whose vertices are split along the seams, with its texture coordinates.

    vertex_map (N,) int32: the original vertex of each new one.
    faces (F, 3) int32: of new vertices, in any order; each has the winding of an original face.
    uv (N, 2) float32 in [0, 1]: (0, 0) is the image's top left.
    """

    vertex_map: Int32
    faces: Int32
    uv: Float32


def measure_texel_use(unwrapped: UnwrappedMesh) -> float:
    """Measure the share of the texture that the faces cover, 0 to 1."""
    return float(np.abs(_compute_signed_areas(unwrapped.uv[unwrapped.faces].astype(np.float64))).sum())


def find_fault(unwrapped: UnwrappedMesh, texture_size: int) -> str | None:
    """Describe what is wrong with a layout in words; return None when nothing is.

    Coordinates must be in [0, 1]. No face may be mirrored: all are counter-clockwise in the image as it is seen. No
    centre of a texel may lie in two faces. texture_size in texels.
    """
    uv = unwrapped.uv
    if not (np.isfinite(uv).all() and uv.min() >= 0 and uv.max() <= 1):
        return "coordinates outside of the texture"
    # From here on y points up, as in the image when it is viewed.
    places = np.stack([uv[:, 0], 1 - uv[:, 1].astype(np.float64)], axis=1) * texture_size
    corners = places.take(unwrapped.faces, axis=0)
    edges = corners.take([1, 2, 0], axis=1) - corners
    longest = np.sqrt(np.einsum("fkj,fkj->fk", edges, edges).max(axis=1))
    if (_compute_signed_areas(corners) < -ROUNDING_TEXELS * longest).any():
        return "mirrored faces"
    start, end = _find_unbalanced_edges(unwrapped.faces)
    page = Windows(np.array([texture_size + 1]), np.array([texture_size]))
    outline = Outline(np.zeros(len(start), dtype=np.intp), places.take(start, axis=0), places.take(end, axis=0))
    if len(find_layered_cells(outline, page)):
        return "faces on top of each other"
    return None


def _find_unbalanced_edges(faces: Int32) -> tuple[Int32, Int32]:
    """Find the edges (E,) along which more of the faces (F, 3) run in one direction than in the other; starts and ends.

    All other edges cancel out in the winding number around a point.
    """
    start, end = faces.ravel(), faces.take([1, 2, 0], axis=1).ravel()
    key = np.minimum(start, end).astype(np.int64) * (int(faces.max()) + 1) + np.maximum(start, end)
    ordered = stable_order(key)
    begins = np.flatnonzero(leads(key.take(ordered)))
    balance = np.add.reduceat(np.where(start < end, 1, -1).take(ordered), begins)
    odd = ordered.compress(np.repeat(balance != 0, np.diff(begins, append=len(key))))
    return start.take(odd), end.take(odd)


def _compute_signed_areas(corners: Floats) -> Floats:
    """Compute the signed areas (F,) of triangles (F, 3, 2); negative where clockwise, x right and y up."""
    one, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    areas: Floats = (one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) / 2
    return areas
