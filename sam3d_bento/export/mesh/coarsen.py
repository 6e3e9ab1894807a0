"""Reduce a mesh that is much denser than the target: a fast first step, which merges vertices that lie close together.

It is vertex clustering on a grid (Rossignac and Borrel, 1993), with the placement of Lindstrom ("Out-of-Core
Simplification of Large Polygonal Models", 2000). Here, only vertices that are connected by edges inside a cell are
merged. So the two sides of a thin wall stay apart, and the mesh is contracted along edges only.
"""

from __future__ import annotations

import numpy as np

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.export.grouping import added_up
from sam3d_bento.export.mesh.components import components
from sam3d_bento.export.mesh.surface import area_vectors, bounds, unit
from sam3d_bento.export.mesh.topology import at_border
from sam3d_bento.export.parallel import both

GRID = 1 << 20  # maximum number of cells along an axis, so that three cell numbers fit into 64 bits

# Weight of the mean against the planes of a cluster's vertices, for each vertex; the larger, the nearer the merged
# vertex stays to the mean. The planes do not determine where along a flat side or an edge it lies.
STAY = 0.02
FARTHEST = 0.75  # maximum distance of a merged vertex from the mean along an axis, in cells


def coarsen(vertices: Float32, faces: Int32, cell: float, border: Bool | None = None) -> tuple[Float32, Int32, Indices]:
    """Merge connected vertices in the same cell of a grid, and remove the faces that lose a corner.

    vertices (V, 3) float32, faces (F, 3) int32; cell: edge of the grid's cubes, in scene units. border (V,)
    bool: the vertices at a border, sought here if left out. Returns the merged vertices (C, 3), the remaining faces,
    and for each vertex (V,) the merged one that it became. A merged vertex lies where the planes through its vertices,
    perpendicular to their normals, come closest to meeting. Vertices at a border are not merged, and keep their place.
    """
    if border is None:
        border = at_border(len(vertices), faces)
    normals, cluster = both(lambda: _normals(vertices, faces), lambda: _clusters(vertices, faces, cell, border))
    size = np.bincount(cluster).astype(np.float64)
    mean = added_up(cluster, vertices, len(size)) / size[:, None]
    move = _towards_planes(vertices - mean.take(cluster, axis=0), normals, cluster, size)
    move *= np.minimum(1, FARTHEST * cell / np.maximum(np.abs(move).max(axis=1, keepdims=True), 1e-30))
    a, b, c = (cluster.take(faces[:, corner]) for corner in range(3))
    kept = (a != b) & (b != c) & (c != a)
    reduced = np.stack([a.compress(kept), b.compress(kept), c.compress(kept)], axis=1).astype(np.int32)
    return (mean + move).astype(np.float32), reduced, cluster


def _clusters(vertices: Float32, faces: Int32, cell: float, border: Bool) -> Indices:
    """Return the cluster (V,) of each vertex."""
    low, high = bounds(vertices)
    cell = max(cell, float((high - low).max()) / (GRID - 1))
    x, y, z = ((vertices - low) / np.float32(cell)).astype(np.int64).T
    place = (x * GRID + y) * GRID + z
    alone = np.flatnonzero(border)
    place[alone] = -1 - alone  # a cell of its own
    at = [place.take(faces[:, corner]) for corner in range(3)]
    inside = [np.flatnonzero(at[one] == at[(one + 1) % 3]) for one in range(3)]
    starts, ends = (
        np.concatenate([faces[:, (one + step) % 3].take(inside[one]) for one in range(3)]) for step in range(2)
    )
    _, clusters = components(len(vertices), starts, ends)
    return clusters


def _normals(vertices: Float32, faces: Int32) -> Float32:
    """Return unit normals (V, 3), weighted by area alone: a dense mesh needs no better ones."""
    return unit(added_up(faces, area_vectors(vertices, faces), len(vertices)))


def _towards_planes(offsets: Floats, normals: Float32, cluster: Indices, size: Floats) -> Floats:
    """Return the offset (C, 3) of each merged vertex from the mean of its cluster.

    It leads to the point with the least sum of squared distances to the planes of the cluster's vertices. offsets
    (V, 3): of the vertices from their cluster's mean. The function solves for all clusters at once, by Cramer's rule:
    (sum of n n^T + STAY size I) x = sum of n (n . offset).
    """

    def total(values: Floats) -> Floats:
        sums: Floats = np.bincount(cluster, values, minlength=len(size)).astype(np.float64)
        return sums

    nx, ny, nz = normals.T.astype(np.float64)
    height = np.einsum("ij,ij->i", offsets, normals)
    bx, by, bz = total(nx * height), total(ny * height), total(nz * height)
    xy, xz, yz = total(nx * ny), total(nx * nz), total(ny * nz)
    xx, yy = total(nx * nx) + STAY * size, total(ny * ny) + STAY * size
    zz = (1 + 3 * STAY) * size - xx - yy  # the squares of a unit normal's components add up to 1

    # The adjugate of the symmetric matrix.
    axx, ayy, azz = yy * zz - yz * yz, xx * zz - xz * xz, xx * yy - xy * xy
    axy, axz, ayz = xz * yz - xy * zz, xy * yz - xz * yy, xy * xz - xx * yz
    determinant = xx * axx + xy * axy + xz * axz
    solved = np.stack([axx * bx + axy * by + axz * bz, axy * bx + ayy * by + ayz * bz, axz * bx + ayz * by + azz * bz])
    moves: Floats = (solved / determinant).T
    return moves
