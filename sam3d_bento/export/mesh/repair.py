"""Make every closed piece of a simplified mesh a closed manifold again.

After edges were contracted, a surface is still closed in this sense: along each edge, as many half-edges lead one way
as the other. But surfaces may meet: edges get four and more faces, fans of faces touch at one vertex, and pairs of
faces lie back to back. Readers that count two faces for each edge then treat the surface as open.

The cuts along such edges and vertices follow Gueziec, Taubin, Lazarus, Horn: Cutting and Stitching: Converting Sets of
Polygons to Manifold Surfaces (IEEE TVCG 7(2), 2001). Faces at an edge are paired by angle, so that the pairs do not
cross. Copies of a vertex are moved apart, because files without indices (STL) are read by merging equal positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from trimesh.grouping import unique_rows

from sam3d_bento.arrays import Bool, Float32, Floats, Indices, Int32
from sam3d_bento.errors import BadResult
from sam3d_bento.export.grouping import added_up, distinct, leads, stable_order
from sam3d_bento.export.mesh.components import components
from sam3d_bento.export.mesh.degenerate import contract, without_degenerate
from sam3d_bento.export.mesh.surface import area_vectors, lengths, referenced, unit
from sam3d_bento.export.mesh.topology import Edges, edges, following, in_closed_pieces, weld

Mesh = tuple[Float32, Int32]

# Share of the faces. Pairs of faces back to back are accidents if they are fewer: simplification leaves such pairs
# where a thin tip collapses. A larger share is a sheet with two sides, which keeps them.
FEW_FOLDS = 0.01

# Distance that copies of a vertex are moved, in scene units. It is eight of the steps to which positions are quantized
# in compressed files (15 bits of the longest side, which is 1), so that the copies stay apart there.
SEPARATION = 2.5e-4
MAX_MOVE = 0.1  # share of the shortest edge at the position; more could turn a face over

# Length of the mean of the unit vectors along a fan's edges. A fan with a lower value is flat: its own edges give no
# direction, so it is moved along its normal instead.
FLAT = 0.3

GOLDEN_ANGLE = 2.399963  # radians; directions at multiples of it are spread evenly, for any number of them


def repair(vertices: Float32, faces: Int32) -> Mesh:
    """Return the mesh with exactly two faces at every edge of its closed pieces, which pass it in opposite directions.

    vertices (V, 3) float32 and faces (F, 3) int32 in and out. If there is nothing to repair, both keep their values;
    there are never more faces. A piece with an open border stays as it is. The result has no degenerate face and no
    unused vertex. Raises BadResult when no face remains.
    """
    faces = _without_folds_and_degenerate(vertices, faces)
    if not len(faces):
        raise BadResult("Nothing is left of the surface after simplification.")
    (split_vertices, split_faces), stuck = _split(vertices, faces)
    while len(stuck):
        faces = _without_folds_and_degenerate(vertices, contract(len(vertices), faces, *stuck.T))
        if not len(faces):  # in this case, a surface that is not manifold is the better result
            break
        (split_vertices, split_faces), stuck = _split(vertices, faces)
    used, split_faces = referenced(len(split_vertices), split_faces)
    return split_vertices.take(used, axis=0), split_faces


def _without_folds_and_degenerate(vertices: Float32, faces: Int32) -> Int32:
    """Return the faces (F, 3) that have an area and are not accidental folds."""
    return without_degenerate(vertices, _without_folds(faces))[0]


def _without_folds(faces: Int32) -> Int32:
    """Return the faces (F, 3) without pairs of the same corners that lie back to back, if these are few.

    Such a pair closes nothing, and its edges have two faces too many. If there are many such pairs, they are the two
    sides of a sheet, and one pair of the same corners is kept.
    """
    first, group = unique_rows(np.sort(faces, axis=1))
    if len(first) == len(faces):
        return faces
    some = np.flatnonzero((np.bincount(group) > 1).take(group))
    # Around a face, the vertex index falls in one of the three steps, or in two if the face has the opposite order.
    turned = (faces.take(some, axis=0) > np.roll(faces.take(some, axis=0), -1, axis=1)).sum(axis=1) - 1
    side = 2 * group.take(some) + turned
    order = stable_order(side)
    start = np.flatnonzero(leads(side.take(order)))
    number = np.empty(len(some), dtype=np.intp)  # for each face, the number of faces of its side before it
    number[order] = np.arange(len(some)) - np.repeat(start, np.diff(np.append(start, len(some))))
    pairs = np.bincount(side, minlength=2 * len(first)).reshape(-1, 2).min(axis=1)
    fold = number < pairs.take(group.take(some))
    if fold.sum() >= FEW_FOLDS * len(faces):
        fold &= number > 0
    return np.delete(faces, some.compress(fold), axis=0)


def _split(vertices: Float32, faces: Int32) -> tuple[Mesh, Indices]:
    """Cut the closed pieces of the mesh along edges of more than two faces and at vertices of several fans.

    Returns the mesh, and the edges (E, 2) along which it cannot be cut.
    """
    closed = in_closed_pieces(len(vertices), faces)
    if closed.all():
        return _split_closed(vertices, faces)
    if not closed.any():
        return (vertices, faces), np.zeros((0, 2), dtype=np.intp)
    some = faces.compress(closed, axis=0)
    (vertices, some), stuck = _split_closed(vertices, some)
    faces = faces.copy()
    faces[closed] = some
    return (vertices, faces), stuck


def _split_closed(vertices: Float32, faces: Int32) -> tuple[Mesh, Indices]:
    """Cut a mesh whose pieces are all closed, as `_split` does."""
    found = edges(faces)
    plain = found.plain()
    cut = _Cut.along_pairs(3 * len(faces), found.members(plain).reshape(-1, 2))
    if not plain.all():
        cut = _Crossings(vertices, faces, found, ~plain).resolve(cut)
    owner = faces.ravel().take(np.flatnonzero(np.diff(np.maximum.accumulate(cut.fan), prepend=-1)))
    # The first fan of a vertex keeps its index.
    first, _ = distinct(owner)
    number = np.full(cut.count, -1, dtype=np.int32)
    number[first] = owner[first]
    copies = np.flatnonzero(number < 0)
    number[copies] = len(vertices) + np.arange(len(copies), dtype=np.int32)
    vertices = np.concatenate([vertices, vertices.take(owner.take(copies), axis=0)])
    outward = np.zeros(len(vertices), dtype=bool)
    outward[number] = cut.outward
    faces = number.take(cut.fan).reshape(-1, 3)
    return (_moved_apart(vertices, faces, outward), faces), cut.stuck


@dataclass(frozen=True)
class _Cut:
    """Partition of the corners of all faces into fans, each of which becomes a vertex.

    count: number of fans. fan (3F,): the fan of each corner; numbered in the order of their first corners. outward
    (count,) bool: true for a fan that continues across an edge beside solid matter, which it must move away from; false
    beside air. stuck (E, 2): the vertices of edges that two pairs of faces still have in common.
    """

    count: int
    fan: Indices
    outward: Bool
    stuck: Indices

    @classmethod
    def along_pairs(cls, corners: int, pairs: Indices) -> _Cut:
        """Return the fans of `corners` corners when half-edges (P, 2) are neighbours."""
        count, fan = components(corners, *_joined_corners(pairs))
        return cls(count, fan, np.zeros(count, dtype=bool), np.zeros((0, 2), dtype=np.intp))


def _joined_corners(pairs: Indices) -> tuple[Indices, Indices]:
    """Return the corners (2P,) and (2P,) that are merged when half-edges (P, 2), of opposite directions, are joined."""
    this, that = pairs.T
    return np.concatenate([this, following(this)]), np.concatenate([following(that), that])


class _Crossings:
    """Edges of more than two faces, each with as many half-edges in one direction as in the other."""

    def __init__(self, vertices: Float32, faces: Int32, found: Edges, crossing: Bool) -> None:
        """Sort the half-edges of the edges `crossing` (E,) bool, a part of `found`, by angle around their edge."""
        half_edges = found.members(crossing)
        rising = found.rising.take(half_edges)
        edge = np.repeat(np.arange(np.count_nonzero(crossing)), found.size.compress(crossing))
        angle = _angles(vertices, faces, half_edges, rising)
        # Of two faces back to back, the falling one comes first, so that there is matter between them and not air.
        order = np.lexsort((rising, angle, edge))
        self._half_edges, self._rising, self._edge = half_edges[order], rising[order], edge
        self._faces = faces

    def resolve(self, cut: _Cut) -> _Cut:
        """Return the fans that remain when the faces at each edge are joined in pairs.

        First, pairs of faces with air between them are joined, so the solids at the edge stay one. If two pairs would
        then share both vertices of the edge, faces with matter between them are joined instead, so the solids separate.
        """
        solid = np.zeros(self._edge[-1] + 1, dtype=bool)
        tried = solid.copy()
        while True:
            pairs = self._pairs(solid)
            starts, ends = (cut.fan.take(corners) for corners in _joined_corners(self._half_edges.take(pairs)))
            count, merged = components(cut.count, starts, ends)
            ends_of_pairs = merged.take(starts).reshape(2, -1)
            double = self._double(pairs, count, ends_of_pairs)
            again = double & ~tried
            if not again.any():
                break
            solid ^= again
            tried |= again
        vote = np.where(solid, -1, 1).take(self._edge.take(pairs[:, 0]))
        votes = np.bincount(ends_of_pairs.ravel(), np.tile(vote, 2), minlength=count)
        stuck = self._half_edges.take(np.flatnonzero(leads(self._edge) & double.take(self._edge)))
        corners = self._faces.ravel().astype(np.intp)
        vertices = np.stack([corners.take(stuck), corners.take(following(stuck))], axis=1)
        return _Cut(count, merged.take(cut.fan), votes > 0, vertices)

    def _pairs(self, solid: Bool) -> Indices:
        """Return pairs (P, 2) of these half-edges, by their positions, such that no two pairs cross.

        solid (E,): whether the faces of a pair have matter between them at this edge, or air. Around an edge, one face
        opens such a wedge and another one closes it, like brackets, possibly with others inside.
        """
        opening = self._rising ^ solid.take(self._edge)
        depth = np.cumsum(np.where(opening, 1, -1))  # 0 after each edge
        level = np.where(opening, depth, depth + 1)
        by_level = np.lexsort((np.arange(len(level)), level, self._edge))
        leading = leads(self._edge.take(by_level)) | leads(level.take(by_level))
        first = np.flatnonzero(leading)
        after = np.arange(1, len(level) + 1)
        after[np.append(first[1:], len(level)) - 1] = first  # around the edge, the last one precedes the first
        pairs = np.stack([by_level, by_level.take(after)], axis=1)
        return pairs.compress(opening.take(by_level), axis=0)

    def _double(self, pairs: Indices, count: int, ends: Indices) -> Bool:
        """Return (E,) bool: whether two of the edge's pairs (P, 2) share both vertices.

        ends (2, P): the fans at both ends of each pair.
        """
        low, high = np.minimum(*ends), np.maximum(*ends)
        _, which = distinct(low * count + high)
        double = np.zeros(self._edge[-1] + 1, dtype=bool)
        double[self._edge.take(pairs[:, 0]).compress(np.bincount(which).take(which) > 1)] = True
        return double


def _angles(vertices: Float32, faces: Int32, half_edges: Indices, rising: Bool) -> Floats:
    """Return the angle (H,) in radians, -pi to pi, of the face of each half-edge around its edge.

    It is counter-clockwise about the direction from the edge's lower vertex to its higher one. All angles at an edge
    are measured from the same plane.
    """
    corners, after = faces.ravel(), following(half_edges)
    start, end = corners.take(half_edges), corners.take(after)
    exact = vertices.astype(np.float64)
    foot = exact.take(np.where(rising, start, end), axis=0)
    along = exact.take(np.where(rising, end, start), axis=0) - foot
    off = exact.take(corners.take(following(after)), axis=0) - foot
    axis = np.zeros_like(along)
    axis[np.arange(len(along)), np.abs(along).argmin(axis=1)] = 1
    along /= np.maximum(lengths(along), 1e-30)[:, None]
    across = np.cross(along, axis)
    square = np.cross(along, across)
    angles: Floats = np.arctan2(np.einsum("ij,ij->i", off, square), np.einsum("ij,ij->i", off, across))
    return angles


def _moved_apart(vertices: Float32, faces: Int32, outward: Bool) -> Float32:
    """Return the vertices after moving those that faces use at exactly the same position a little apart.

    Each vertex moves towards its own faces, by the mean of the unit vectors along their edges: a pointed fan inside a
    blunt one moves further. A flat fan moves along its normal, forwards where `outward` (V,) is true, else backwards.
    Identical fans move in arbitrary directions.
    """
    place = _shared_places(vertices, faces)
    if not len(place):
        return vertices
    near = faces.compress(np.isin(faces, place[:, 0]).any(axis=1), axis=0)
    mean, room = _mean_directions(vertices, near)
    normals = unit(added_up(near, area_vectors(vertices, near), len(vertices)))
    lean = np.maximum(FLAT - lengths(mean), 0) * np.where(outward, 1, -1)
    moved = _moved(vertices, place, mean + lean[:, None] * normals, room)
    place = _shared_places(moved, faces)
    turn = GOLDEN_ANGLE * np.arange(len(vertices))
    return _moved(moved, place, np.stack([np.cos(turn), np.sin(turn), np.cos(2 * turn)], axis=1), room)


def _shared_places(vertices: Float32, faces: Int32) -> Indices:
    """Return (S, 2): each vertex that shares its position with another one, and a number for the position.

    Only vertices that faces use count.
    """
    mask = np.zeros(len(vertices), dtype=bool)
    mask[faces] = True
    used = np.flatnonzero(mask)
    place = weld(vertices.take(used, axis=0))
    shared = (np.bincount(place) > 1).take(place)
    return np.stack([used, place], axis=1).compress(shared, axis=0).astype(np.intp)


def _moved(vertices: Float32, place: Indices, directions: Floats, room: Floats) -> Float32:
    """Return the vertices after moving those of `place` in their directions (V, 3).

    place: as `_shared_places` returns it. At each position, the vertex with the longest direction moves as far as
    allowed, others less. room (V,): the length of the shortest edge at each vertex.
    """
    if not len(place):
        return vertices
    vertex, group = place.T
    ways = directions.take(vertex, axis=0)
    longest, shortest = np.zeros(group.max() + 1), np.full(group.max() + 1, np.inf)
    np.maximum.at(longest, group, lengths(ways))
    np.minimum.at(shortest, group, room.take(vertex))
    step = np.minimum(SEPARATION, MAX_MOVE * shortest) / np.maximum(longest, 1e-30)
    moved = vertices.copy()
    moved[vertex] += (ways * step.take(group)[:, None]).astype(np.float32)
    return moved


def _mean_directions(vertices: Float32, faces: Int32) -> tuple[Floats, Floats]:
    """Return the mean (V, 3) of the unit vectors along the edges at each vertex, and the shortest length (V,)."""
    total, count = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    shortest = np.full(len(vertices), np.inf)
    exact = vertices.astype(np.float64)
    for one, other in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        start, end = faces[:, one], faces[:, other]
        edge = exact.take(end, axis=0) - exact.take(start, axis=0)
        length = lengths(edge)
        np.minimum.at(shortest, start, length)
        np.add.at(total, start, edge / np.maximum(length, 1e-30)[:, None])
        np.add.at(count, start, 1)
    return total / np.maximum(count, 1)[:, None], shortest
