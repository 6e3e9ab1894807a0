"""Make the patch that closes a rim: clip ears, split long edges, and let new vertices continue the surface.

Ear clipping: Meisters, Polygons Have Ears (1975). Refining and fairing after Liepa: Filling Holes in Meshes (2003),
with uniform weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array, eye_array
from scipy.sparse.linalg import spsolve

from sam3d_bento.arrays import Bool, Floats, Indices, Int32
from sam3d_bento.export.mesh.surface import lengths

LONGEST_EDGE = 1.6  # longest edge inside a patch, in local edge lengths; longer ones are split, and halves are above .8
MAX_SPLITS = 200  # of edges of one patch: a patch of the largest rim has about 150 faces

# Share of a patch's area that may look backwards. Noise folds a sliver or two at a ragged rim, which nobody sees.
MAX_FOLDED = 0.15


@dataclass(frozen=True)
class Patch:
    """Faces that close a rim of N vertices. points (N + M, 3) float64: the rim's and M new ones; faces (F, 3)."""

    points: Floats
    faces: Int32


def make_patch(rim: Floats, edge: float) -> Patch | None:
    """Close a rim (N, 3), given counter-clockwise as seen from outside; return None if its patch would fold.

    edge: local edge length in scene units. The new vertices are not yet faired.
    """
    faces = _clip_ears(rim)
    if _folded(rim, faces) > MAX_FOLDED:
        return None
    return _split_long_edges(rim, faces, LONGEST_EDGE * edge)


def _clip_ears(rim: Floats) -> list[tuple[int, int, int]]:
    """Cut a polygon (N, 3) into triangles, the best-shaped ear first, seen along its normal.

    An ear is a convex corner in whose triangle no other corner lies. Where there is none, because the outline crosses
    itself in this view, the best corner is cut off all the same.
    """
    flat = _flatten(rim)
    left, faces = np.arange(len(rim)), []
    while len(left) > 3:
        before, here, after = np.roll(left, 1), left, np.roll(left, -1)
        a, b, c = flat[before], flat[here], flat[after]
        area = _cross(b - a, c - a)
        sides = rim[before] - rim[here], rim[after] - rim[here], rim[after] - rim[before]
        quality = area / np.maximum(sum(np.einsum("ij,ij->i", side, side) for side in sides), 1e-30)
        free = (area > 0) & ~_occupied(a, b, c, flat[left])
        ear = int(np.where(free, quality, -np.inf).argmax()) if free.any() else int(quality.argmax())
        faces.append((int(before[ear]), int(here[ear]), int(after[ear])))
        left = np.delete(left, ear)
    return [*faces, (int(left[0]), int(left[1]), int(left[2]))]


def _flatten(rim: Floats) -> Floats:
    """Project a polygon (N, 3) along its normal; return (N, 2), counter-clockwise."""
    normal = _normal(rim)
    side = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
    side /= max(float(np.linalg.norm(side)), 1e-30)
    return np.stack([rim @ side, rim @ np.cross(normal, side)], axis=1)


def _normal(rim: Floats) -> Floats:
    """Return the unit normal of a polygon (N, 3), by Newell's method."""
    off = rim - rim.mean(axis=0)
    normal = np.cross(off, np.roll(off, -1, axis=0)).sum(axis=0)
    unit: Floats = normal / max(float(np.linalg.norm(normal)), 1e-30)
    return unit


def _cross(one: Floats, other: Floats) -> Floats:
    """Return the cross product of plane vectors (..., 2)."""
    product: Floats = one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
    return product


def _occupied(a: Floats, b: Floats, c: Floats, points: Floats) -> Bool:
    """Return (T,) bool: whether a point lies in the triangle a, b, c (T, 2) or on its edge, other than at a corner."""
    inside: Bool = np.ones((len(a), len(points)), dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        inside[_cross((end - start)[:, None], points[None] - start[:, None]) < 0] = False
        inside[(points[None] == start[:, None]).all(axis=2)] = False
    occupied: Bool = np.any(inside, axis=1)
    return occupied


def _folded(rim: Floats, faces: list[tuple[int, int, int]]) -> float:
    """Return the share of the area of faces that look backwards."""
    corners = rim[np.array(faces)]
    vectors = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = lengths(vectors)
    return float(areas[vectors @ vectors.sum(axis=0) <= 0].sum() / max(areas.sum(), 1e-30))


def _split_long_edges(rim: Floats, faces: list[tuple[int, int, int]], longest: float) -> Patch:
    """Halve edges inside the patch that are longer than `longest`, the longest first; rim edges stay."""
    points = list(rim)
    opposite = {edge: corner for face in faces for edge, corner in _half_edges(face)}
    inner = {edge: _distance(points, edge) for edge in opposite if edge[0] < edge[1] and edge[::-1] in opposite}
    for _ in range(MAX_SPLITS):
        edge = max(inner, key=lambda one: (inner[one], one), default=None)
        if edge is None or inner[edge] <= longest:
            break
        middle = len(points)
        points.append((points[edge[0]] + points[edge[1]]) / 2)
        del inner[edge]
        for start, end in (edge, edge[::-1]):
            corner = opposite.pop((start, end))
            for face in ((start, middle, corner), (middle, end, corner)):
                opposite |= dict(_half_edges(face))
            inner[corner, middle] = _distance(points, (corner, middle))
        for end in edge:
            inner[end, middle] = _distance(points, (end, middle))
    triangles = {min((a, b, c), (b, c, a), (c, a, b)) for (a, b), c in opposite.items()}
    return Patch(np.array(points), np.array(sorted(triangles), dtype=np.int32))


def _half_edges(face: tuple[int, int, int]) -> list[tuple[tuple[int, int], int]]:
    """Return the half-edges of a face, each with the corner opposite to it."""
    a, b, c = face
    return [((a, b), c), ((b, c), a), ((c, a), b)]


def _distance(points: list[Floats], edge: tuple[int, int]) -> float:
    """Return the length of an edge."""
    return float(np.linalg.norm(points[edge[0]] - points[edge[1]]))


def fair(count: int, faces: Int32, points: Floats, values: Floats, new: Indices) -> tuple[Floats, Floats]:
    """Return places (N, 3) and values (N, K) of the new vertices (N,) that continue those around them.

    faces (F, 3): the patches and the faces around them, over `count` vertices. points (count, 3), values (count, K): of
    all vertices. Places have the least thin-plate energy, so that normals continue across the rim; values the least
    membrane energy, so that none is beyond those of the rim.
    """
    laplacian = _laplacian(count, faces)
    is_new = np.zeros(count, dtype=bool)
    is_new[new] = True
    old = np.flatnonzero(~is_new)
    membrane = laplacian[new]
    solved = []
    for operator, known in ((membrane @ laplacian, points), (membrane, values)):
        right = -(operator[:, old] @ known[old])
        solved.append(np.asarray(spsolve(operator[:, new].tocsc(), right)).reshape(len(new), -1))
    return solved[0], solved[1]


def _laplacian(count: int, faces: Int32) -> csr_array:
    """Return the matrix (count, count) that subtracts a vertex from the mean of its neighbours."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    links = coo_array(
        (np.ones(2 * len(starts)), (np.append(starts, ends), np.append(ends, starts))), shape=(count,) * 2
    )
    links = links.tocsr()
    links.data[:] = 1
    degree = np.maximum(np.asarray(links.sum(axis=1)).ravel(), 1)
    return (diags_array(1 / degree) @ links - eye_array(count)).tocsr()
